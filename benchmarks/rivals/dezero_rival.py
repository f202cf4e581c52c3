"""AlexNet in DeZero, the framework of the book "Deep Learning from Scratch 3"."""

from __future__ import annotations

from typing import Any

import numpy as np

from benchmarks.rivals.peer import Peer
from benchmarks.workload import SGD

# DeZero 0.0.13 asks for np.int as it is imported, which NumPy has not had since 1.24.
LACKING = {"int": int} if not hasattr(np, "int") else {}
vars(np).update(LACKING)
try:
    import dezero
    import dezero.functions as F
finally:
    for lacking in LACKING:
        delattr(np, lacking)


class DeZeroRival(Peer):
    """DeZero's functions, and its SGD with momentum."""

    name = "DeZero"

    def __init__(self, *given: Any) -> None:
        super().__init__(*given)
        optimizer = dezero.optimizers.MomentumSGD(SGD["lr"], SGD["momentum"]).setup(self)
        optimizer.add_hook(dezero.optimizers.WeightDecay(SGD["weight_decay"]))
        self.optimizer = optimizer

    def params(self) -> Any:
        """Return all parameters, as DeZero asks a model for them."""
        return iter(self.parameters)

    def infer(self) -> Any:
        with dezero.no_grad():
            return self.compute(dezero.Variable(self.images))

    def backward(self) -> Any:
        for parameter in self.parameters:
            parameter.cleargrad()
        loss = F.softmax_cross_entropy(self.compute(dezero.Variable(self.images)), dezero.Variable(self.labels))
        loss.backward()
        return loss

    def update(self) -> None:
        self.optimizer.update()

    def numbers(self, array: Any) -> np.ndarray:
        return np.asarray(array.data, "float32")

    def parameter(self, value: np.ndarray) -> Any:
        return dezero.Parameter(value)

    def gradient(self, parameter: Any) -> np.ndarray:
        return parameter.grad.data

    def conv(self, x: Any, weight: Any, bias: Any, stride: int, padding: int) -> Any:
        return F.conv2d(x, weight, bias, stride, padding)

    def max_pool(self, x: Any, size: int, stride: int) -> Any:
        return F.pooling(x, size, stride)

    def relu(self, x: Any) -> Any:
        return F.relu(x)

    def linear(self, x: Any, weight: Any, bias: Any) -> Any:
        return F.linear(x, weight, bias)

    def dropout(self, x: Any) -> Any:
        return F.dropout(x, self.dropout_rate)
