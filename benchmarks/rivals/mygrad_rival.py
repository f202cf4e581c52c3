"""AlexNet in MyGrad, an autograd library on NumPy with layers, but without optimizers."""

from __future__ import annotations

from typing import Any

import mygrad as mg
import numpy as np
from mygrad.nnet.activations import relu
from mygrad.nnet.layers import conv_nd, max_pool
from mygrad.nnet.losses import softmax_crossentropy

from benchmarks.rivals.peer import Peer
from benchmarks.workload import SGD


class MyGradRival(Peer):
    """MyGrad's layers, without its guards of memory; SGD is a few lines of NumPy here."""

    name = "MyGrad"

    def __init__(self, *given: Any) -> None:
        super().__init__(*given)
        mg.turn_memory_guarding_off()  # faster, as its manual recommends for code that is known to work
        self.velocities = [np.zeros_like(parameter.data) for parameter in self.parameters]

    def infer(self) -> Any:
        with mg.no_autodiff:
            return self.compute(mg.tensor(self.images, constant=True))

    def backward(self) -> Any:
        for parameter in self.parameters:
            parameter.null_grad()
        loss = softmax_crossentropy(self.compute(mg.tensor(self.images, constant=True)), self.labels)
        loss.backward()
        return loss

    def update(self) -> None:
        for parameter, velocity in zip(self.parameters, self.velocities, strict=True):
            velocity *= SGD["momentum"]
            velocity += parameter.grad + SGD["weight_decay"] * parameter.data
            parameter.data -= SGD["lr"] * velocity

    def numbers(self, array: Any) -> np.ndarray:
        return np.asarray(array.data, "float32")

    def parameter(self, value: np.ndarray) -> Any:
        return mg.tensor(value)

    def gradient(self, parameter: Any) -> np.ndarray:
        return parameter.grad

    def conv(self, x: Any, weight: Any, bias: Any, stride: int, padding: int) -> Any:
        return conv_nd(x, weight, stride=stride, padding=padding) + bias.reshape(1, -1, 1, 1)

    def max_pool(self, x: Any, size: int, stride: int) -> Any:
        return max_pool(x, (size, size), stride)

    def relu(self, x: Any) -> Any:
        return relu(x)

    def linear(self, x: Any, weight: Any, bias: Any) -> Any:
        return mg.matmul(x, weight) + bias

    def dropout(self, x: Any) -> Any:
        kept = np.random.default_rng().random(x.shape, "float32") >= self.dropout_rate
        return x * (kept / np.float32(1 - self.dropout_rate))
