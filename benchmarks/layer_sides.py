"""What a layer is in a contest: one library's, with its input and its output's gradient."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

import numpy as np

PASSES = ("forward", "backward")


class Side(Protocol):
    """One library's layer, ready to be timed."""

    def forward(self) -> object:
        """Compute the output and keep what backward needs."""

    def backward(self) -> object:
        """Compute the gradients of the last forward."""

    def forget(self) -> None:
        """Free what the last forward and backward left."""

    def found(self) -> list[np.ndarray]:
        """Return the output and all gradients, after a forward and a backward."""


class Library(Protocol):
    """One library's AlexNet, of which single layers are used."""

    name: str
    threads: int

    def layer(self, number: int, x: np.ndarray, grad_y: np.ndarray, input_gradient: bool) -> Side:
        """Return a layer; `number` counts those of both parts."""

    def loss(self, logits: np.ndarray, labels: np.ndarray) -> Side:
        """Return the loss."""

    def update(self, gradients: list[np.ndarray]) -> Side:
        """Return a step of SGD over all parameters, as a forward with no backward."""


class Update:
    """A step of SGD.

    Parameters
    ----------
    optimizer : object
        With a ``step()``.
    values : callable
        Returns what it changes.
    """

    def __init__(self, optimizer: object, values: Callable[[], list[np.ndarray]]) -> None:
        self.forward = optimizer.step  # type: ignore[attr-defined]
        self.values = values

    def backward(self) -> None:
        """There is none."""

    def forget(self) -> None:
        """It leaves nothing."""

    def found(self) -> list[np.ndarray]:
        """Return the parameters after it."""
        return self.values()
