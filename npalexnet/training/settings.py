"""What a `Trainer` refuses, before anything is changed."""

from __future__ import annotations

from typing import TYPE_CHECKING

from npalexnet import backend
from npalexnet.layers.layer import Layer
from npalexnet.losses import CrossEntropyLoss

if TYPE_CHECKING:
    from npalexnet.training.trainer import Trainer


def check_settings(
    trainer: Trainer,
    epochs: int | None,
    steps: int | None,
    clip_norm: float | None,
    criterion: CrossEntropyLoss | None,
    checkpoint_every: int | None,
) -> None:
    """Raise a TypeError or ValueError that names what can't be."""
    if not isinstance(trainer.model, Layer):
        raise TypeError(f"model must be a Layer, got {trainer.model!r}")
    if (epochs is None) == (steps is None):
        raise ValueError(f"one of epochs and steps must be given, got epochs={epochs} and steps={steps}")
    for name, value in (
        ("epochs", epochs), ("steps", steps), ("accumulate", trainer.accumulate), ("patience", trainer.patience),
        ("checkpoint_every", checkpoint_every),
    ):  # fmt: skip
        if value is not None and (isinstance(value, bool) or not isinstance(value, int) or value < 1):
            raise ValueError(f"{name} must be a whole number of at least 1, got {value!r}")
    if clip_norm is not None and not clip_norm > 0:
        raise ValueError(f"clip_norm must be above 0, got {clip_norm}")
    if trainer.patience is not None and trainer.val is None:
        raise ValueError("patience needs held-out images to lose it over: pass val")
    if criterion is not None and criterion.reduction != "mean":
        raise ValueError(f"criterion must have reduction='mean', got {criterion.reduction!r}")
    if not trainer.model.trainable:
        raise ValueError("model has no parameter with requires_grad: there is nothing to train")
    backend.input_dtype(trainer.dtype)
