"""npalexnet's layers, one by one."""

from __future__ import annotations

from typing import Any

import numpy as np

import npalexnet as na
from benchmarks.layer_sides import Side, Update
from benchmarks.npalexnet_rival import NpalexnetRival
from benchmarks.workload import SGD
from npalexnet.backend import Array, Device


class NpalexnetLayers:
    """Those of a rival, on its device and in its dtype, see `Library`."""

    def __init__(self, rival: NpalexnetRival) -> None:
        self.name, self.threads, self.model = rival.name, rival.threads, rival.model.train()
        self.rival, self.device = rival, rival.device

    def layer(self, number: int, x: np.ndarray, grad_y: np.ndarray, input_gradient: bool) -> Side:
        """Return a layer."""
        layer = [*self.model.layers, *self.model.classifier][number]
        return _OurLayer(layer, self.device, self._array(x), self._array(grad_y), input_gradient)

    def loss(self, logits: np.ndarray, labels: np.ndarray) -> Side:
        """Return the loss."""
        loss = _Loss(self.device.from_host(labels))
        return _OurLayer(loss, self.device, self._array(logits), np.float32(1), input_gradient=True)

    def update(self, gradients: list[np.ndarray]) -> Side:
        """Return a step of SGD over copies of the parameters."""
        parameters = [na.Parameter(parameter.data.copy()) for parameter in self.model.parameters()]
        for parameter, gradient in zip(parameters, gradients, strict=True):
            parameter.grad = self.device.from_host(gradient)
        return Update(na.SGD(parameters, **SGD), lambda: [self.device.to_host(p.data) for p in parameters])

    def _array(self, array: np.ndarray) -> Array:
        """Return a float32 array on the device, in the rival's dtype."""
        there = self.device.from_host(array)
        return there if there.dtype == self.rival.dtype else there.astype(self.rival.dtype)


class _OurLayer:
    """A layer with its input and its output's gradient, see `Side`."""

    def __init__(self, layer: na.Layer, device: Device, x: Array, grad_y: Any, input_gradient: bool) -> None:
        self.layer, self.device, self.input_gradient = layer, device, input_gradient
        self.x, self.grad_y = x, grad_y
        self.y = self.grad_x = None

    def forward(self) -> None:
        self.y = self.layer(self.x)

    def backward(self) -> None:
        self.grad_x = self.layer.backward(self.grad_y, input_gradient=self.input_gradient)

    def forget(self) -> None:
        self.y = self.grad_x = None
        self.layer.to(self.device.name)  # where it is: that forgets what backward would need
        self.layer.zero_grad()

    def found(self) -> list[np.ndarray]:
        gradients = [self.grad_x, *(parameter.grad for parameter in self.layer.parameters())]
        found = [array for array in (self.y, *gradients) if array is not None]
        return [self.device.to_host(array).astype("float32", copy=False) for array in found]


class _Loss(na.Layer):
    """CrossEntropyLoss with its labels, to be called as a layer: (N, K) -> a scalar."""

    def __init__(self, labels: Array) -> None:
        self.criterion, self.labels = na.CrossEntropyLoss(), labels

    def forward(self, x: Array) -> Array:
        return self.criterion(x, self.labels)

    def backward(self, grad_y: Any, *, input_gradient: bool = True) -> Array:
        return self.criterion.backward(grad_y)
