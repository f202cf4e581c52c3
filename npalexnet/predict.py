"""Naming what is on image files, with the weights of a training run."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from npalexnet import backend
from npalexnet.alexnet import AlexNet
from npalexnet.data.images import Preprocessing, open_picture
from npalexnet.losses import log_softmax
from npalexnet.weights import FILE_NAME, load_weights

BATCH_SIZE = 16


def load_classifier(path: Path, device: str = "cpu") -> tuple[AlexNet, Preprocessing, list[str]]:
    """Return the network of a run in eval mode, its preprocessing, and the names of its classes.

    Parameters
    ----------
    path : Path
        The run's folder, or its weights file.

    Raises
    ------
    OSError, ValueError
        If there is none, or it is damaged.
    """
    if path.is_dir():
        path = path / FILE_NAME
    state, about = load_weights(path)
    try:
        classes, preprocessing = list(about["classes"]), Preprocessing(tuple(about["mean"]), tuple(about["std"]))
    except (KeyError, TypeError) as error:
        raise ValueError(f"{path} does not describe a classifier of images: {error} is missing") from None
    model = AlexNet(len(classes))
    model.load_state_dict(state)
    return model.to(device).eval(), preprocessing, classes


def probabilities(model: AlexNet, batch: np.ndarray) -> np.ndarray:
    """(N, 3, 227, 227) -> (N, num_classes): softmax of the logits, from NumPy to NumPy."""
    device = backend.get_device(model.device or "cpu")
    return np.exp(device.to_host(log_softmax(model(device.from_host(batch)))))


def predict(weights: Path, images: Sequence[Path], *, top: int = 3, device: str = "cpu") -> int:
    """Print the most probable classes of each image file; returns 1 if one couldn't be read, else 0."""
    model, preprocessing, classes = load_classifier(weights, device)
    readable: list[tuple[Path, Any]] = []
    for path in images:
        try:
            readable.append((path, open_picture(path)))
        except OSError as error:
            print(f"npalexnet predict: error: {error}", file=sys.stderr)
    for start in range(0, len(readable), BATCH_SIZE):
        part = readable[start : start + BATCH_SIZE]
        for (path, _), shares in zip(part, probabilities(model, preprocessing([p for _, p in part])), strict=True):
            print(path)
            for k in np.argsort(-shares, kind="stable")[:top]:
                print(f"  {100 * shares[k]:5.1f} %  {classes[k]}")
    return 0 if len(readable) == len(images) else 1
