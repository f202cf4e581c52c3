"""One training step: forward and backward of one or several batches, then the optimizer."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from math import inf, isfinite
from typing import Any

import numpy as np

from npalexnet import backend
from npalexnet.backend import Array
from npalexnet.layers.layer import Layer
from npalexnet.losses import CrossEntropyLoss
from npalexnet.optim.clipping import clip_grad_norm_
from npalexnet.optim.grad_scaler import GradScaler
from npalexnet.optim.sgd import SGD


@dataclass(frozen=True)
class StepResult:
    """What one training step did.

    Attributes
    ----------
    number, steps : int
        Number of the step, from 1 on, and of all steps that will be taken.
    images : int
        Training images seen so far.
    loss, accuracy : float
        Means over the step's images before the update; accuracy from 0 to 1.
    lr : float
        The learning rate.
    grad_norm : float or None
        The norm of all gradients before clipping; None without clipping.
    seconds : float
        Duration of the step, the wait for its batches included.
    """

    number: int
    steps: int
    images: int
    loss: float
    accuracy: float
    lr: float
    grad_norm: float | None
    seconds: float


class DivergedError(RuntimeError):
    """The loss, or a trained parameter, is no longer finite."""


def is_finite(array: np.ndarray) -> bool:
    """Whether all numbers are finite; needs little memory."""
    return all(np.isfinite(array.reshape(-1)[i : i + 1_000_000]).all() for i in range(0, array.size, 1_000_000))


class Stepper:
    """Takes steps with one model and one optimizer; see `Trainer` for the settings."""

    def __init__(
        self, model: Layer, optimizer: SGD, criterion: CrossEntropyLoss, *, clip_norm: float | None, dtype: str
    ) -> None:
        self.model, self.optimizer, self.criterion = model, optimizer, criterion
        self.clip_norm, self.dtype = clip_norm, backend.input_dtype(dtype)
        self.scales_loss = dtype == "float16"
        self.scaler = GradScaler(enabled=self.scales_loss)
        self.updating = False
        self.device = backend.get_device(model.device or "cpu")

    def step(self, batches: Iterable[tuple[Array, Array]], images: int) -> tuple[float, float, float | None]:
        """Take a step on batches of `images` images together; returns loss, accuracy and the gradients' norm.

        Each image counts the same, whichever batch it is in. A GPU has everything up to the gradients to do before the
        host waits for the loss. The optimizer's step has to wait for it, too: if the loss, or the norm where it is
        needed, is not finite, that is a DivergedError, and no parameter is changed.
        """
        self.optimizer.zero_grad()
        self.updating = False  # until the parameters change; then, until the caller has counted the step
        results: list[Array] = []
        counts: list[int] = []
        for inputs, labels in batches:
            results += self._forward(inputs, labels)
            counts.append(len(labels))
            scale = self.scaler.get_scale() * (1.0 if len(labels) == images else len(labels) / images)
            self.model.backward(self.criterion.backward(scale), input_gradient=False)
            del inputs, labels  # their memory can be the next ones'
        values = self.device.read(*results, dtype="float64")
        if sum(counts) != images:
            raise ValueError(f"a step's batches must have {images} images, got {sum(counts)}")
        loss = sum(count * value for count, value in zip(counts, values[::2], strict=True)) / images
        if len(counts) == 1:
            loss = values[0]
        if not isfinite(loss):
            raise DivergedError(f"the loss is {loss}")
        norm = self._clip()
        self.updating = True
        self.scaler.step(self.optimizer)
        self.scaler.update()
        return loss, sum(values[1::2]) / images, norm

    def _forward(self, images: Array, labels: Array) -> tuple[Array, Array]:
        """Return a batch's mean loss and its number of images classified correctly; both on the device."""
        with self.device.active():
            images = images.astype(self.dtype, copy=False)
        logits = self.model(images)
        loss = self.criterion(logits, labels)
        with self.device.active():
            return loss, (logits.argmax(axis=1) == labels).sum()

    def _clip(self) -> float | None:
        if self.clip_norm is None:
            return None
        self.scaler.unscale_(self.optimizer)
        parameters: list[Any] = [p for group in self.optimizer.param_groups for p in group["params"]]
        try:
            return clip_grad_norm_(parameters, self.clip_norm, error_if_nonfinite=True)
        except RuntimeError as error:
            if self.scales_loss:  # the scaler will leave this step out
                return inf
            raise DivergedError(str(error)) from None
