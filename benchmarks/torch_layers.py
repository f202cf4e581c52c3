"""torch's layers, one by one."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch

from benchmarks.layer_sides import Side, Update
from benchmarks.torch_rival import TorchRival, sgd


class TorchLayers:
    """Those of a rival, on its device, in its layout and precision, see `Library`."""

    def __init__(self, rival: TorchRival) -> None:
        self.name, self.threads, self.model = rival.name, rival.threads, rival.model.train()
        self.rival = rival

    def layer(self, number: int, x: np.ndarray, grad_y: np.ndarray, input_gradient: bool) -> Side:
        """Return a layer."""
        layer = [*self.model.layers, *self.model.classifier][number]
        parameters = list(layer.parameters())
        return _TorchLayer(self.rival, layer, parameters, self._tensor(x), self._tensor(grad_y), input_gradient)

    def loss(self, logits: np.ndarray, labels: np.ndarray) -> Side:
        """Return the loss."""
        criterion, targets = torch.nn.CrossEntropyLoss(), torch.from_numpy(labels).to(self.rival.device)
        one = torch.ones((), device=self.rival.device)  # the loss is float32 in any precision
        return _TorchLayer(self.rival, lambda x: criterion(x, targets), [], self._tensor(logits), one, True)

    def update(self, gradients: list[np.ndarray]) -> Side:
        """Return a step of SGD over copies of the parameters."""
        parameters = [parameter.detach().clone() for parameter in self.model.parameters()]
        for parameter, gradient in zip(parameters, gradients, strict=True):
            parameter.grad = torch.empty_like(parameter).copy_(torch.from_numpy(gradient))
        return Update(sgd(parameters), lambda: [parameter.cpu().numpy() for parameter in parameters])

    def _tensor(self, array: np.ndarray) -> torch.Tensor:
        """Return a copy of a float32 array on the device, in the rival's dtype and layout."""
        there = torch.from_numpy(np.array(array, order="C")).to(self.rival.device).to(self.rival.dtype)
        return there.contiguous(memory_format=self.rival.layout) if there.ndim == 4 else there


class _TorchLayer:
    """A layer with its input and its output's gradient, see `Side`."""

    def __init__(
        self,
        rival: TorchRival,
        layer: Callable[[torch.Tensor], torch.Tensor],
        parameters: list[torch.Tensor],
        x: torch.Tensor,
        grad_y: torch.Tensor,
        input_gradient: bool,
    ) -> None:
        self.rival, self.layer = rival, layer
        self.x, self.grad_y = x, grad_y
        self.x.requires_grad_(input_gradient)
        self.inputs = [self.x, *parameters] if input_gradient else parameters
        self.y: torch.Tensor | None = None
        self.gradients: tuple[torch.Tensor, ...] = ()

    def forward(self) -> None:
        with self.rival.computing:
            self.y = self.layer(self.x)

    def backward(self) -> None:
        self.gradients = torch.autograd.grad(self.y, self.inputs, self.grad_y)

    def forget(self) -> None:
        self.y, self.gradients = None, ()

    def found(self) -> list[np.ndarray]:
        return [tensor.detach().float().cpu().numpy() for tensor in (self.y, *self.gradients) if tensor is not None]
