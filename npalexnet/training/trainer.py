"""The training loop."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from math import ceil, isfinite

import numpy as np

from npalexnet import backend
from npalexnet.backend import Array, Batch
from npalexnet.data.images import Preprocessing
from npalexnet.grad_scaler import GradScaler
from npalexnet.layers.layer import Layer
from npalexnet.losses import CrossEntropyLoss
from npalexnet.optim import SGD

WARM_UP_STEPS = 20


@dataclass(frozen=True)
class Step:
    """What one training step did.

    Attributes
    ----------
    number, steps : int
        Which step it was, from 1 on, and how many there will be.
    images : int
        Training images seen so far.
    loss, accuracy : float
        Mean over the batch, before the step; accuracy from 0 to 1.
    lr : float
        The learning rate.
    seconds : float
        What the step took, from asking for its batch on.
    """

    number: int
    steps: int
    images: int
    loss: float
    accuracy: float
    lr: float
    seconds: float


class DivergedError(RuntimeError):
    """The loss is no longer finite."""


class Trainer:
    """Trains a network on labelled pictures by stochastic gradient descent.

    The learning rate rises linearly over the first 20 steps, then falls linearly to 0 at the last one.

    Parameters
    ----------
    model : Layer
        What is trained, in place.
    preprocess : Preprocessing
        Makes the network's input of pictures.
    images, labels : ndarray
        Training pictures, uint8 (N, H, W) or (N, H, W, 3), and their classes, (N,).
    epochs, batch_size : int
        Passes over all pictures; how many go into one step (the last one of a pass may get fewer).
    lr, momentum, weight_decay : float
        See `SGD`; `lr` is the highest rate of the schedule.
    seed : int
        Where the order of the pictures comes from.
    dtype : {"float32", "bfloat16", "float16"}
        What the network computes in; its parameters are float32. In float16 the loss is scaled: see `GradScaler`.

    References
    ----------
    P. Goyal et al., "Accurate, Large Minibatch SGD: Training ImageNet in 1 Hour", 2017, section 2.2: warm-up.
    """

    def __init__(
        self,
        model: Layer,
        preprocess: Preprocessing,
        images: np.ndarray,
        labels: np.ndarray,
        *,
        epochs: int,
        batch_size: int,
        lr: float,
        momentum: float,
        weight_decay: float,
        seed: int,
        dtype: str = "float32",
    ) -> None:
        self.model, self.preprocess = model, preprocess
        self.images, self.labels = images, labels.astype(np.int64)
        self.batch_size, self.lr = batch_size, lr
        self.steps_per_epoch = ceil(len(images) / batch_size)
        self.steps = epochs * self.steps_per_epoch
        self.optimizer = SGD(model.parameters(), lr, momentum, weight_decay=weight_decay)
        self.criterion, self.scaler = CrossEntropyLoss(), GradScaler(enabled=dtype == "float16")
        self.dtype = backend.input_dtype(dtype)
        self.device = backend.get_device(model.device or "cpu")
        self._order = np.random.default_rng(seed)
        self._step = self._seen = 0

    def epoch(self) -> Iterator[Step]:
        """Go once through all pictures, in a new order; yields after each step.

        Raises
        ------
        DivergedError
            If the loss is not finite; the step is not taken.
        """
        self.model.train()
        started = time.perf_counter()
        order = self._order.permutation(len(self.images))
        for images, labels in self.device.prefetch(self._batches(self.images, self.labels, order)):
            loss, accuracy, lr = self._train_on(images, labels)
            self._step += 1
            self._seen += len(labels)
            del images, labels  # their memory can be the next ones'
            yield Step(self._step, self.steps, self._seen, loss, accuracy, lr, time.perf_counter() - started)
            started = time.perf_counter()

    def _train_on(self, images: Array, labels: Array) -> tuple[float, float, float]:
        """Take a step; return the loss and the accuracy before it, and the learning rate.

        A GPU has everything up to the gradients to do before the host waits for the loss. The optimizer's step has to
        wait for it, too: it is taken only if the loss is finite.
        """
        loss, correct = self._forward(images, labels)
        self.optimizer.zero_grad()
        self.model.backward(self.criterion.backward(self.scaler.get_scale()), input_gradient=False)
        mean_loss, number_correct = self.device.read(loss, correct, dtype="float64")
        self._check_finite(mean_loss)
        lr = self.optimizer.param_groups[0]["lr"] = self.lr * self._schedule()
        self.scaler.step(self.optimizer)
        self.scaler.update()
        return mean_loss, number_correct / len(labels), lr

    def evaluate(
        self, images: np.ndarray, labels: np.ndarray, should_stop: Callable[[], bool] = lambda: False
    ) -> tuple[float, float] | None:
        """Return the mean loss over labelled pictures and the share that is classified rightly.

        None if `should_stop`, asked before each batch is computed with, said so.

        Raises
        ------
        DivergedError
            If the loss is not finite.
        """
        self.model.eval()
        total_loss, total_correct = 0.0, 0.0
        batches = self._batches(images, labels.astype(np.int64), np.arange(len(images)))
        for inputs, targets in self.device.prefetch(batches):
            if should_stop():
                return None
            loss, correct = self.device.read(*self._forward(inputs, targets), dtype="float64")
            total_loss += loss * len(targets)
            total_correct += correct
        self._check_finite(total_loss)
        return total_loss / len(images), total_correct / len(images)

    def _batches(self, images: np.ndarray, labels: np.ndarray, order: np.ndarray) -> Iterator[Batch]:
        """Yield the network's input and the labels, batch by batch in the order given."""
        for start in range(0, len(order), self.batch_size):
            chosen = order[start : start + self.batch_size]
            yield self.preprocess(images[chosen]), labels[chosen]

    def _forward(self, images: Array, labels: Array) -> tuple[Array, Array]:
        """Return the mean loss of a batch, and how many of its images are classified rightly; both on the device."""
        with self.device.active():
            images = images.astype(self.dtype, copy=False)
        logits = self.model(images)
        loss = self.criterion(logits, labels)
        with self.device.active():
            return loss, (logits.argmax(axis=1) == labels).sum()

    def _check_finite(self, loss: float) -> None:
        if not isfinite(loss):
            raise DivergedError(
                f"the loss is {loss} after {self._step} steps: training has diverged; try a smaller learning rate"
            )

    def _schedule(self) -> float:
        """Factor of the learning rate at the coming step."""
        return min(1.0, (self._step + 1) / WARM_UP_STEPS) * (1 - self._step / self.steps)
