"""The settings of a `Trainer`: what it refuses before anything is changed."""

from __future__ import annotations

from npalexnet import backend
from npalexnet.checks import has, integer, number
from npalexnet.layers.algorithm_choice import NAMES
from npalexnet.layers.layer import Layer
from npalexnet.losses import CrossEntropyLoss

_PARTS = {  # of a trainer: an attribute that each has, and what it must be
    "train": ("epoch", "a DataLoader"), "validation": ("epoch", "a DataLoader"), "schedule": ("factor", "a name or a "
    "Schedule"), "optimizer": ("param_groups", "an SGD"), "criterion": ("reduction", "a CrossEntropyLoss"),
    "run": ("record", "a Run: Run(folder) makes one, Run.reopen(folder) goes on with one"),
}  # fmt: skip


def check_parts(train: object, **parts: object) -> None:
    """Raise a TypeError that names what is no part of a trainer; all but `train` may be None, or a schedule's name."""
    for name, part in {"train": train, **parts}.items():
        if name == "train" or not (part is None or (name == "schedule" and isinstance(part, str))):
            has(name, part, *_PARTS[name])


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
