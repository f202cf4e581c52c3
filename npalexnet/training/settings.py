"""The settings of a `Trainer`: what it refuses before anything is changed."""

from __future__ import annotations

from npalexnet import backend
from npalexnet.checks import integer, number
from npalexnet.layers.algorithm_choice import NAMES
from npalexnet.layers.layer import Layer
from npalexnet.losses import CrossEntropyLoss


def check_settings(
    model: Layer, criterion: CrossEntropyLoss, clip_norm: float | None, dtype: str, convolution: str,
    **counts: int | None,
) -> None:  # fmt: skip
    """Raise a TypeError or ValueError that names what can't be; each count must be None or at least 1."""
    if not isinstance(model, Layer):
        raise TypeError(f"model must be a Layer, got {model!r}")
    if (counts["epochs"] is None) == (counts["steps"] is None):
        given = f"epochs={counts['epochs']} and steps={counts['steps']}"
        raise ValueError(f"one of epochs and steps must be given, got {given}")
    for name, value in counts.items():
        if value is not None:
            integer(name, value, 1)
    if clip_norm is not None and not number("clip_norm", clip_norm) > 0:
        raise ValueError(f"clip_norm must be above 0, got {clip_norm}")
    if criterion.reduction != "mean":
        raise ValueError(f"criterion must have reduction='mean', got {criterion.reduction!r}")
    if not model.trainable:
        raise ValueError("model has no parameter with requires_grad: there is nothing to train")
    backend.input_dtype(dtype)
    if convolution not in NAMES:
        raise ValueError(f"convolution must be 'auto', 'im2col' or 'winograd', got {convolution!r}")
