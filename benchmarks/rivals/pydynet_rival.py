"""AlexNet in PyDyNet, a framework on NumPy with PyTorch's names."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # it says that CuPy is missing
    import pydynet
    import pydynet.nn.functional as F
    from pydynet.nn import Parameter
    from pydynet.optim import SGD as PyDyNetSGD

from benchmarks.rivals.peer import Peer
from benchmarks.workload import SGD


class PyDyNetRival(Peer):
    """PyDyNet's functions and its SGD."""

    name = "PyDyNet"

    def __init__(self, *given: Any) -> None:
        super().__init__(*given)
        self.optimizer = PyDyNetSGD(self.parameters, **SGD, nesterov=False)

    def infer(self) -> Any:
        with pydynet.no_grad():
            return self.compute(pydynet.Tensor(self.images))

    def backward(self) -> Any:
        self.optimizer.zero_grad()
        loss = F.cross_entropy_loss(self.compute(pydynet.Tensor(self.images)), pydynet.Tensor(self.labels))
        loss.backward()
        return loss

    def update(self) -> None:
        self.optimizer.step()

    def numbers(self, array: Any) -> np.ndarray:
        return np.asarray(array.data, "float32")

    def parameter(self, value: np.ndarray) -> Any:
        return Parameter(pydynet.Tensor(value))

    def gradient(self, parameter: Any) -> np.ndarray:
        return parameter.grad

    def conv(self, x: Any, weight: Any, bias: Any, stride: int, padding: int) -> Any:
        return F.conv2d(x, weight, padding, stride) + bias.reshape(1, -1, 1, 1)

    def max_pool(self, x: Any, size: int, stride: int) -> Any:
        return F.max_pool2d(x, size, stride)

    def relu(self, x: Any) -> Any:
        return F.relu(x)

    def linear(self, x: Any, weight: Any, bias: Any) -> Any:
        return F.linear(x, weight, bias)

    def dropout(self, x: Any) -> Any:
        kept = pydynet.rand(*x.shape) < 1 - self.dropout_rate
        return x * kept.astype(x.dtype) / (1 - self.dropout_rate)
