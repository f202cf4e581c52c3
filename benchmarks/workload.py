"""What every rival is given: a batch of images, and how to train on it."""

from __future__ import annotations

from typing import Any

import numpy as np

IMAGE_SIZE = 227
SGD: dict[str, Any] = {"lr": 1e-3, "momentum": 0.9, "weight_decay": 5e-4}


def random_batch(images: int, classes: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the same random images, (N, 3, 227, 227) in float32, and labels, (N,), at every call."""
    rng = np.random.default_rng(0)
    return rng.standard_normal((images, 3, IMAGE_SIZE, IMAGE_SIZE), dtype="float32"), rng.integers(classes, size=images)


def settings(arguments: Any) -> dict[str, Any]:
    """Return what the numbers depend on, for the file."""
    names = ("batch_sizes", "rounds", "warmup", "threads", "classes", "dropout")
    return {**{name: getattr(arguments, name) for name in names}, "dtype": "float32", "sgd": SGD}
