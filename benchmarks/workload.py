"""What every rival is given: a batch of images, and how to train on it. It imports none of the rivals."""

from __future__ import annotations

from typing import Any, Protocol

import numpy as np

IMAGE_SIZE = 227
SGD: dict[str, Any] = {"lr": 1e-3, "momentum": 0.9, "weight_decay": 5e-4}


class Rival(Protocol):
    """AlexNet in one library.

    Attributes
    ----------
    name : str
        As in the tables.
    threads : int
        How many it uses, as it says itself.
    """

    name: str
    threads: int

    def take(self, images: np.ndarray, labels: np.ndarray) -> None:
        """Work on this batch from now on."""

    def forward(self) -> object:
        """Compute the logits in eval mode, keeping nothing for a backward."""

    def logits(self) -> np.ndarray:
        """Return what `forward` computes."""


class Trainer(Rival, Protocol):
    """AlexNet in a library that can train it."""

    def use_threads(self, threads: int) -> None:
        """Use so many threads from now on."""

    def step(self) -> None:
        """Zero the gradients, forward with dropout, loss, backward, and a step of SGD."""

    def first_pass(self) -> tuple[float, float]:
        """Return the loss and the norm of all parameters' gradients, without dropout."""

    def synchronize(self) -> None:
        """Wait until the device is done."""


def random_batch(images: int, classes: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the same random images, (N, 3, 227, 227) in float32, and labels, (N,), at every call."""
    rng = np.random.default_rng(0)
    return rng.standard_normal((images, 3, IMAGE_SIZE, IMAGE_SIZE), dtype="float32"), rng.integers(classes, size=images)


def settings(arguments: Any) -> dict[str, Any]:
    """Return what the numbers depend on, for the file."""
    names = ("batch_sizes", "rounds", "warmup", "threads", "classes", "dropout")
    return {**{name: getattr(arguments, name) for name in names}, "dtype": "float32", "sgd": SGD}
