"""torch's layers, one by one, in its default layout."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch

from benchmarks.layer_sides import Side, Update
from benchmarks.torch_rival import TorchRival, sgd


class TorchLayers:
    """Those of a rival, see `Library`."""

    def __init__(self, rival: TorchRival) -> None:
        self.name, self.threads, self.model = rival.name, rival.threads, rival.model.train()

    def layer(self, number: int, x: np.ndarray, grad_y: np.ndarray, input_gradient: bool) -> Side:
        """Return a layer."""
        layer = [*self.model.layers, *self.model.classifier][number]
        return _TorchLayer(layer, list(layer.parameters()), x, grad_y, input_gradient)

    def loss(self, logits: np.ndarray, labels: np.ndarray) -> Side:
        """Return the loss."""
        criterion, targets = torch.nn.CrossEntropyLoss(), torch.from_numpy(labels)
        return _TorchLayer(lambda x: criterion(x, targets), [], logits, np.ones((), "float32"), input_gradient=True)

    def update(self, gradients: list[np.ndarray]) -> Side:
        """Return a step of SGD over copies of the parameters."""
        parameters = [parameter.detach().clone() for parameter in self.model.parameters()]
        for parameter, gradient in zip(parameters, gradients, strict=True):
            parameter.grad = torch.from_numpy(gradient)
        return Update(sgd(parameters), [parameter.numpy() for parameter in parameters])


class _TorchLayer:
    """A layer with its input and its output's gradient, see `Side`."""

    def __init__(
        self,
        layer: Callable[[torch.Tensor], torch.Tensor],
        parameters: list[torch.Tensor],
        x: np.ndarray,
        grad_y: np.ndarray,
        input_gradient: bool,
    ) -> None:
        self.layer = layer
        self.x, self.grad_y = (torch.from_numpy(np.array(array, order="C")) for array in (x, grad_y))
        self.x.requires_grad_(input_gradient)
        self.inputs = [self.x, *parameters] if input_gradient else parameters
        self.y: torch.Tensor | None = None
        self.gradients: tuple[torch.Tensor, ...] = ()

    def forward(self) -> None:
        self.y = self.layer(self.x)

    def backward(self) -> None:
        self.gradients = torch.autograd.grad(self.y, self.inputs, self.grad_y)

    def forget(self) -> None:
        self.y, self.gradients = None, ()

    def found(self) -> list[np.ndarray]:
        return [tensor.detach().numpy() for tensor in (self.y, *self.gradients) if tensor is not None]
