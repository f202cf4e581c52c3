"""torch's layers, one by one."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch

from benchmarks.layer_cases import LayerAdapter, update
from benchmarks.rivals.torch_rival import TorchRival, sgd


class TorchLayers:
    """The layers of a rival, on its device, in its layout and precision."""

    def __init__(self, rival: TorchRival) -> None:
        self.name, self.rival, self.model = rival.name, rival, rival.model.train()

    def layer(self, number: int, x: np.ndarray, grad_y: np.ndarray, input_gradient: bool) -> LayerAdapter:
        layer = [*self.model.layers, *self.model.classifier][number]
        parameters = list(layer.parameters())
        return _Adapter(
            self.rival,
            layer,
            parameters,
            self.rival.array(np.array(x)),
            self.rival.array(np.array(grad_y)),
            input_gradient,
        )

    def loss(self, logits: np.ndarray, labels: np.ndarray) -> LayerAdapter:
        criterion, targets = torch.nn.CrossEntropyLoss(), torch.from_numpy(labels).to(self.rival.device)
        one = torch.ones((), device=self.rival.device)  # the loss is float32 in any precision
        return _Adapter(self.rival, lambda x: criterion(x, targets), [], self.rival.array(np.array(logits)), one, True)

    def update(self, gradients: list[np.ndarray]) -> LayerAdapter:
        parameters = [parameter.detach().clone() for parameter in self.model.parameters()]
        for parameter, gradient in zip(parameters, gradients, strict=True):
            parameter.grad = torch.empty_like(parameter).copy_(torch.from_numpy(gradient))
        return update(sgd(parameters).step, lambda: [self.rival.numbers(parameter) for parameter in parameters])


class _Adapter:
    """A layer with its input and its output's gradient."""

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
        return [self.rival.numbers(tensor) for tensor in (self.y, *self.gradients) if tensor is not None]
