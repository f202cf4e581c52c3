"""npalexnet's layers, one by one."""

from __future__ import annotations

from typing import Any

import numpy as np

import npalexnet as na
from benchmarks.layer_cases import LayerAdapter, update
from benchmarks.rivals.npalexnet_rival import NpalexnetRival
from benchmarks.workload import SGD
from npalexnet.backend import Array


class NpalexnetLayers:
    """The layers of a rival, on its device and in its dtype."""

    def __init__(self, rival: NpalexnetRival) -> None:
        self.name, self.rival, self.model = rival.name, rival, rival.model.train()
        self.device = rival.device

    def layer(self, number: int, x: np.ndarray, grad_y: np.ndarray, input_gradient: bool) -> LayerAdapter:
        layer = [*self.model.layers, *self.model.classifier][number]
        return _Adapter(self.rival, layer, self.rival.array(x), self.rival.array(grad_y), input_gradient)

    def loss(self, logits: np.ndarray, labels: np.ndarray) -> LayerAdapter:
        loss = _Loss(self.device.from_host(labels))
        return _Adapter(self.rival, loss, self.rival.array(logits), np.float32(1), input_gradient=True)

    def update(self, gradients: list[np.ndarray]) -> LayerAdapter:
        parameters = [na.Parameter(parameter.data.copy()) for parameter in self.model.parameters()]
        for parameter, gradient in zip(parameters, gradients, strict=True):
            parameter.grad = self.device.from_host(gradient)
        return update(na.SGD(parameters, **SGD).step, lambda: [self.rival.numbers(p.data) for p in parameters])


class _Adapter:
    """A layer with its input and its output's gradient."""

    def __init__(self, rival: NpalexnetRival, layer: na.Layer, x: Array, grad_y: Any, input_gradient: bool) -> None:
        self.rival, self.layer, self.input_gradient = rival, layer, input_gradient
        self.x, self.grad_y = x, grad_y
        self.y = self.grad_x = None

    def forward(self) -> None:
        self.y = self.layer(self.x)

    def backward(self) -> None:
        self.grad_x = self.layer.backward(self.grad_y, input_gradient=self.input_gradient)

    def forget(self) -> None:
        self.y = self.grad_x = None
        self.layer.to(self.rival.device.name)  # where it is: that forgets what backward would need
        self.layer.zero_grad()

    def found(self) -> list[np.ndarray]:
        gradients = [self.grad_x, *(parameter.grad for parameter in self.layer.parameters())]
        return [self.rival.numbers(array) for array in (self.y, *gradients) if array is not None]


class _Loss(na.Layer):
    """CrossEntropyLoss with its labels, to be called as a layer: (N, K) -> a scalar."""

    def __init__(self, labels: Array) -> None:
        self.criterion, self.labels = na.CrossEntropyLoss(), labels

    def forward(self, x: Array) -> Array:
        return self.criterion(x, self.labels)

    def backward(self, grad_y: Any, *, input_gradient: bool = True) -> Array:
        return self.criterion.backward(grad_y)
