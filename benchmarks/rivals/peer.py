"""AlexNet in other from-scratch frameworks on NumPy: what they have in common, and which are installed."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Iterator
from importlib import import_module
from importlib.metadata import version
from typing import Any

import numpy as np
from threadpoolctl import threadpool_limits

import npalexnet as na
from benchmarks.rivals.rival import Rival
from benchmarks.rounds import Say

PEERS = {"dezero": "DeZero", "mygrad": "MyGrad", "pydynet": "PyDyNet"}  # package on PyPI: its name, and the module's


def peers(threads: int, model: na.AlexNet, dropout: float, say: Say) -> list[Peer]:
    """Return the frameworks that can be imported, with the weights of `model`; of the others the reason is said."""
    found: list[Peer] = []
    for package, name in PEERS.items():
        try:
            module = import_module(f"benchmarks.rivals.{package}_rival")
        except ModuleNotFoundError as error:
            say(f"{name} is left out: {error.name} is not installed (pip install 'npalexnet[peers]')")
        except Exception as error:  # a package from another age of NumPy fails in its own ways
            say(f"{name} is left out: {type(error).__name__}: {error}")
        else:
            found.append(getattr(module, f"{name}Rival")(threads, model, dropout))
    return found


def versions(found: list[Peer]) -> dict[str, str]:
    """Return the versions by name."""
    return {rival.name: version(rival.name.lower()) for rival in found}


class Peer(Rival):
    """A framework, with the layers and the weights of npalexnet's network.

    Its matrix products are NumPy's, whose BLAS has the threads; everything else is on one. A framework says how it
    computes each layer: `weight` is a parameter of (O, C, kH, kW), or of (in, out) for a linear layer.
    """

    dropout_rate: float
    training = False

    def __init__(self, threads: int, model: na.AlexNet, dropout: float) -> None:
        self.threads, self.dropout_rate = threads, dropout
        self.layers: list[tuple[na.Layer, tuple[Any, ...]]] = []
        for layer in (*model.layers, *model.classifier):
            values = [np.array(parameter.data, order="C") for parameter in layer.parameters()]  # copies
            if isinstance(layer, na.Linear):
                values[0] = np.ascontiguousarray(values[0].T)
            self.layers.append((layer, tuple(self.parameter(value) for value in values)))
        self.parameters = [parameter for _, given in self.layers for parameter in given]

    def take(self, images: np.ndarray, labels: np.ndarray) -> None:
        self.images, self.labels = images, labels

    def runner(self, task: str) -> Callable[[], Any]:
        """Return what a task does again and again."""
        run = self.infer if task == "forward" else self._train

        def limited() -> Any:
            with threadpool_limits(self.threads, user_api="blas"):
                return run()

        return limited

    def first_pass(self) -> tuple[float, float]:
        """Return the loss and the norm of all parameters' gradients, without dropout."""
        loss = float(self.numbers(self.backward()))
        return loss, float(np.sqrt(sum(self.squared_gradients())))

    def squared_gradients(self) -> Iterator[float]:
        return (float((self.gradient(p).astype("float64") ** 2).sum()) for p in self.parameters)

    def compute(self, x: Any) -> Any:
        """Compute the logits of images, with dropout if `training`."""
        for layer, given in self.layers:
            match layer:
                case na.Conv2d():
                    weight, bias = given
                    x = self.conv(x, weight, bias, layer.stride[0], layer.geometry.padding[0][0])
                case na.MaxPool2d():
                    x = self.max_pool(x, layer.kernel_size[0], layer.stride[0])
                case na.ReLU():
                    x = self.relu(x)
                case na.Flatten():
                    x = x.reshape(len(self.images), -1)
                case na.Linear():
                    x = self.linear(x, *given)
                case na.Dropout():
                    x = self.dropout(x) if self.training else x
                case _:
                    raise TypeError(f"{self.name} has nothing for {layer!r}")
        return x

    def _train(self) -> None:
        self.training = True
        try:
            self.backward()
        finally:
            self.training = False
        self.update()

    @abstractmethod
    def parameter(self, value: np.ndarray) -> Any:
        """Return a parameter."""

    @abstractmethod
    def gradient(self, parameter: Any) -> np.ndarray:
        """Return the gradient of a parameter."""

    @abstractmethod
    def update(self) -> None:
        """Do a step of SGD with momentum and weight decay."""

    @abstractmethod
    def conv(self, x: Any, weight: Any, bias: Any, stride: int, padding: int) -> Any:
        """Compute a convolution."""

    @abstractmethod
    def max_pool(self, x: Any, size: int, stride: int) -> Any:
        """Compute a max-pooling."""

    @abstractmethod
    def relu(self, x: Any) -> Any:
        """Compute a ReLU."""

    @abstractmethod
    def linear(self, x: Any, weight: Any, bias: Any) -> Any:
        """Compute a linear layer."""

    @abstractmethod
    def dropout(self, x: Any) -> Any:
        """Drop numbers, as in training."""
