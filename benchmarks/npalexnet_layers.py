"""npalexnet's layers, one by one."""

from __future__ import annotations

from typing import Any

import numpy as np

import npalexnet as na
from benchmarks.layer_sides import Side, Update
from benchmarks.npalexnet_rival import NpalexnetRival
from benchmarks.workload import SGD


class NpalexnetLayers:
    """Those of a rival, see `Library`."""

    def __init__(self, rival: NpalexnetRival) -> None:
        self.name, self.threads, self.model = rival.name, rival.threads, rival.model.train()

    def layer(self, number: int, x: np.ndarray, grad_y: np.ndarray, input_gradient: bool) -> Side:
        """Return a layer."""
        return _OurLayer([*self.model.layers, *self.model.classifier][number], x, grad_y, input_gradient)

    def loss(self, logits: np.ndarray, labels: np.ndarray) -> Side:
        """Return the loss."""
        return _OurLayer(_Loss(labels), logits, np.float32(1), input_gradient=True)

    def update(self, gradients: list[np.ndarray]) -> Side:
        """Return a step of SGD over copies of the parameters."""
        parameters = [na.Parameter(parameter.data.copy()) for parameter in self.model.parameters()]
        for parameter, gradient in zip(parameters, gradients, strict=True):
            parameter.grad = gradient
        return Update(na.SGD(parameters, **SGD), [parameter.data for parameter in parameters])


class _OurLayer:
    """A layer with its input and its output's gradient, see `Side`."""

    def __init__(self, layer: na.Layer, x: np.ndarray, grad_y: Any, input_gradient: bool) -> None:
        self.layer, self.input_gradient = layer, input_gradient
        self.x, self.grad_y = x, grad_y
        self.y = self.grad_x = None

    def forward(self) -> None:
        self.y = self.layer(self.x)

    def backward(self) -> None:
        self.grad_x = self.layer.backward(self.grad_y, input_gradient=self.input_gradient)

    def forget(self) -> None:
        self.y = self.grad_x = None
        self.layer.to("cpu")  # where it is: that forgets what backward would need
        self.layer.zero_grad()

    def found(self) -> list[np.ndarray]:
        gradients = [self.grad_x, *(parameter.grad for parameter in self.layer.parameters())]
        return [array for array in (self.y, *gradients) if array is not None]


class _Loss(na.Layer):
    """CrossEntropyLoss with its labels, to be called as a layer: (N, K) -> a scalar."""

    def __init__(self, labels: np.ndarray) -> None:
        self.criterion, self.labels = na.CrossEntropyLoss(), labels

    def forward(self, x: np.ndarray) -> np.ndarray:
        return self.criterion(x, self.labels)

    def backward(self, grad_y: Any, *, input_gradient: bool = True) -> np.ndarray:
        return self.criterion.backward(grad_y)
