"""Naming what is on image files, with the weights of a training run."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from math import isfinite
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
        if not (path / FILE_NAME).exists():
            raise ValueError(f"{path} is not the folder of a run: it holds no {FILE_NAME}")
        path = path / FILE_NAME
    state, about = load_weights(path)
    about = about if isinstance(about, dict) else {}
    classes, mean, std = about.get("classes"), about.get("mean", []), about.get("std", [])
    if not (isinstance(classes, list) and classes and all(isinstance(name, str) for name in classes)):
        raise ValueError(f"{path} does not name the classes that it tells apart, got {classes!r}")
    if not (_is_colour(mean) and _is_colour(std) and min(std) > 0):
        raise ValueError(f"{path} must give mean and std of three colours each, got {mean!r} and {std!r}")
    model = AlexNet(len(classes))
    try:
        model.load_state_dict(state)
    except (ValueError, TypeError) as error:
        raise ValueError(f"{path}: {error}") from None
    return model.to(device).eval(), Preprocessing(tuple(mean), tuple(std)), classes


def _is_colour(values: Any) -> bool:
    return (
        isinstance(values, list)
        and len(values) == 3
        and all(isinstance(value, int | float) and isfinite(value) for value in values)
    )


def probabilities(model: AlexNet, batch: np.ndarray) -> np.ndarray:
    """(N, 3, 227, 227) -> (N, num_classes): softmax of the logits, from NumPy to NumPy."""
    device = backend.get_device(model.device or "cpu")
    return np.exp(device.to_host(log_softmax(model(device.from_host(batch)))))


def predict(weights: Path, images: Sequence[Path], *, top: int = 3, device: str = "cpu") -> int:
    """Print the most probable classes of each image file; returns 1 if one couldn't be read, else 0.

    Raises
    ------
    ValueError
        If the weights give no probabilities: they hold infinities or NaN.
    """
    model, preprocessing, classes = load_classifier(weights, device)
    failed = 0
    for start in range(0, len(images), BATCH_SIZE):
        pictures: list[tuple[Path, Any]] = []
        for path in images[start : start + BATCH_SIZE]:
            try:
                pictures.append((path, open_picture(path)))
            except OSError as error:
                print(f"npalexnet predict: error: {error}", file=sys.stderr)
                failed = 1
        if not pictures:
            continue
        shares_of_all = probabilities(model, preprocessing([picture for _, picture in pictures]))
        if not np.isfinite(shares_of_all).all():
            raise ValueError(f"the weights in {weights} are not finite: they come from training that diverged")
        for (path, _), shares in zip(pictures, shares_of_all, strict=True):
            print(path)
            for k in np.argsort(-shares, kind="stable")[:top]:
                print(f"  {100 * shares[k]:5.1f} %  {classes[k]}")
    return failed
