"""The training loop."""

from __future__ import annotations

import time
from collections.abc import Callable, Generator
from contextlib import closing
from itertools import islice
from typing import TYPE_CHECKING, cast

import numpy as np

from npalexnet.backend import Batch
from npalexnet.data.loader import LoadError
from npalexnet.layers.layer import Layer
from npalexnet.losses import CrossEntropyLoss
from npalexnet.optim.sgd import SGD
from npalexnet.training import state
from npalexnet.training.evaluation import evaluate
from npalexnet.training.metrics import Metrics
from npalexnet.training.observer import Callback
from npalexnet.training.run import Run
from npalexnet.training.saving import Saver
from npalexnet.training.schedules import Schedule, make_schedule
from npalexnet.training.settings import check_settings
from npalexnet.training.steps import DivergedError, Step, Stepper

if TYPE_CHECKING:
    from pathlib import Path

    from npalexnet.data.loader import DataLoader


class Trainer:
    """Trains a network on a loader's images by stochastic gradient descent::

        data = open_data("pictures")
        train, val = data.loaders(batch_size=16, recipe="paper")
        model = AlexNet(len(data.classes))
        trainer = Trainer(model, train, val, lr=0.001, epochs=20, run=Run("runs/mine"))
        trainer.fit(Progress())

    and, in another process, on from the last checkpoint to the bits of a run that was never stopped::

        trainer = Trainer(model, train, val, lr=0.001, epochs=20, run=Run.reopen("runs/mine"))
        trainer.resume()
        trainer.fit(Progress())

    Parameters
    ----------
    model : Layer
        What is trained, in place: its parameters with `requires_grad`.
    train : DataLoader
        The training images.
    val : DataLoader, optional
        Held-out images, tested with after each pass and at the end. Without them, what `run` keeps does not say how
        images are prepared, and ``npalexnet predict`` refuses it.
    epochs, steps : int
        How long: passes over all training images, or steps. One of the two.
    lr, schedule, warmup : float, str or Schedule, int
        The highest learning rate, the schedule's name (see `make_schedule`), and over how many steps it warms up; or a
        schedule that knows all that.
    momentum, weight_decay : float
        See `SGD`.
    optimizer : SGD, optional
        In place of one with these settings. The schedule's factor multiplies the rate of each of its groups.
    criterion : CrossEntropyLoss, optional
        With label smoothing, say; its reduction must be "mean".
    accumulate : int
        How many batches make one step. Their gradients are added, each image counting the same.
    clip_norm : float, optional
        What the norm of all gradients is held to, see `clip_grad_norm_`.
    patience : int, optional
        Stop after so many evaluations in a row without a better share of right answers (or the same, and less loss).
    dtype : {"float32", "bfloat16", "float16"}
        What the network computes in; its parameters are float32. In float16 the loss is scaled: see `GradScaler`.
    run : Run, optional
        Where weights, checkpoints and metrics go.
    checkpoint_every : int, optional
        Write a checkpoint every so many steps too, besides after each pass and every ten minutes.

    Attributes
    ----------
    step, images, epoch, batch : int
        Steps taken, training images seen, whole passes, and the batch that comes next in this one.
    best : tuple or None
        Of the best evaluation: share of wrong answers, and loss.
    evaluations : list of Metrics
        Those of this process.

    Raises
    ------
    TypeError, ValueError
        If a setting can't be; the message names it.

    References
    ----------
    A. Krizhevsky, I. Sutskever and G. Hinton, "ImageNet Classification with Deep Convolutional Neural Networks", 2012,
    section 5.
    """

    def __init__(
        self,
        model: Layer,
        train: DataLoader,
        val: DataLoader | None = None,
        *,
        epochs: int | None = None,
        steps: int | None = None,
        lr: float = 0.01,
        schedule: str | Schedule = "linear",
        warmup: int = 0,
        momentum: float = 0.9,
        weight_decay: float = 5e-4,
        optimizer: SGD | None = None,
        criterion: CrossEntropyLoss | None = None,
        accumulate: int = 1,
        clip_norm: float | None = None,
        patience: int | None = None,
        dtype: str = "float32",
        run: Run | None = None,
        checkpoint_every: int | None = None,
    ) -> None:
        self.model, self.train, self.val = model, train, val
        self.accumulate, self.patience, self.dtype = accumulate, patience, dtype
        check_settings(self, epochs, steps, clip_norm, criterion, checkpoint_every)
        self.batches = len(train)
        self.steps_per_epoch = -(-self.batches // accumulate)
        self.steps = steps if steps is not None else (epochs or 0) * self.steps_per_epoch
        self.schedule = make_schedule(schedule, lr, self.steps, warmup) if isinstance(schedule, str) else schedule
        learnt = (parameter for parameter in model.parameters() if parameter.requires_grad)
        self.optimizer = optimizer or SGD(learnt, self.schedule.base_lr, momentum, weight_decay=weight_decay)
        self.base_lrs = [group["lr"] for group in self.optimizer.param_groups]
        self.stepper = Stepper(model, self.optimizer, criterion or CrossEntropyLoss(), clip_norm=clip_norm, dtype=dtype)
        self.step = self.images = self.epoch = self.batch = 0
        self.tested_step = self.bad_evaluations = 0
        self.best: tuple[float, float] | None = None
        self.evaluations: list[Metrics] = []
        self._saver = Saver(self, run, checkpoint_every)

    @property
    def finished(self) -> bool:
        """Whether nothing is left to do: all steps were taken, or the patience is at its end, and it was tested."""
        return self.tested_step == self.step and (self.step >= self.steps or self.out_of_patience)

    @property
    def out_of_patience(self) -> bool:
        """Whether so many evaluations in a row were no better."""
        return self.patience is not None and self.bad_evaluations >= self.patience

    def fit(self, observer: Callback | None = None, should_stop: Callable[[], bool] = lambda: False) -> bool:
        """Train to the end; returns whether it came to that, not stopped by `should_stop`.

        Parameters
        ----------
        observer : Callback, optional
            Is told what happens: ``Progress()`` shows it.
        should_stop : callable
            Is asked after each step and before each batch of an evaluation. What was learnt is saved then.

        Raises
        ------
        DivergedError
            If the loss, or what was learnt, is not finite. The last good checkpoint is kept.
        LoadError
            If a picture can't be loaded. What was learnt up to there is saved.
        OSError
            If at the end what was learnt can't be written. On the way that is only told to the observer.
        """
        observer = observer or Callback()
        with self._saver.working(observer):
            while not self.finished and not should_stop():
                if not self._pass_is_over():
                    self._train(observer, should_stop)
                if self._pass_is_over() and not should_stop():
                    self._end_pass(observer, should_stop)
        return self.finished

    def evaluate(self, loader: DataLoader, should_stop: Callable[[], bool] = lambda: False) -> Metrics | None:
        """Return how good the answers to a loader's images are; see `npalexnet.training.evaluate`."""
        return evaluate(self.model, loader, dtype=self.dtype, should_stop=should_stop)

    def resume(self, path: Path | None = None) -> None:
        """Go on from the last checkpoint of the run, or from another one of it.

        Raises
        ------
        CheckpointError, OSError
            If it can't be used; where an older one can, the message names it.
        ValueError
            If it is one of another network, or of other settings.
        """
        self._saver.resume(path)

    # --- one pass --------------------------------------------------------------------------------------------------

    def _pass_is_over(self) -> bool:
        return self.batch == self.batches or (self.step >= self.steps and self.tested_step < self.step)

    def _train(self, observer: Callback, should_stop: Callable[[], bool]) -> None:
        """Take the steps that are left of a pass."""
        with closing(self.pass_over_images()) as steps:
            for step in steps:
                self._saver.record_step(step)
                observer.on_step_end(step)
                if should_stop():
                    return
                if not self._pass_is_over():
                    self._saver.checkpoint_if_due()

    def pass_over_images(self) -> Generator[Step, None, None]:
        """Go through what is left of a pass over the training images; yields after each step.

        Raises
        ------
        DivergedError
            If the loss is not finite; the step is not taken.
        LoadError
            If a picture can't be loaded; it is as if the step had not been begun.
        """
        self.model.train()
        started = time.perf_counter()
        with closing(cast("Generator[Batch, None, None]", self.train.epoch(self.epoch, self.batch))) as batches:
            moved = self.stepper.device.prefetch(batches)
            while self.batch < self.batches and self.step < self.steps:
                count = min(self.accumulate, self.batches - self.batch)
                images = sum(map(self._batch_length, range(self.batch, self.batch + count)))
                factor = self.schedule.factor(self.step)
                for group, lr in zip(self.optimizer.param_groups, self.base_lrs, strict=True):
                    group["lr"] = lr * factor
                generators = state.generator_states(self)
                try:
                    loss, accuracy, norm = self.stepper.step(islice(moved, count), images)
                except DivergedError as error:
                    raise self._saver.diverged(str(error)) from None
                except LoadError:  # maybe not in the first of the batches that are accumulated
                    state.restore_generators(self, generators)
                    raise
                self.step, self.images, self.batch = self.step + 1, self.images + images, self.batch + count
                lr, seconds = self.optimizer.param_groups[0]["lr"], time.perf_counter() - started
                yield Step(self.step, self.steps, self.images, loss, accuracy, lr, norm, seconds)
                started = time.perf_counter()

    def _batch_length(self, number: int) -> int:
        return min(self.train.batch_size, len(self.train.dataset) - number * self.train.batch_size)

    def _end_pass(self, observer: Callback, should_stop: Callable[[], bool]) -> None:
        """Test, note how it went, and save; or nothing of it if `should_stop` says so."""
        metrics = None
        self._saver.checkpoint_first()
        if self.val is not None:
            observer.on_validation_begin()
            metrics = self.evaluate(self.val, should_stop)
            if metrics is None:
                return
            if not np.isfinite(metrics.loss):
                raise self._saver.diverged(f"the loss on held-out images is {metrics.loss}")
        passes = self.epoch + (1 if self.batch == self.batches else self.batch / self.batches)
        self.tested_step = self.step
        if self.batch == self.batches:
            self.epoch, self.batch = self.epoch + 1, 0
        if metrics is None or self._note(metrics, passes, observer):
            self._saver.weights(metrics)
        self._saver.checkpoint()

    def _note(self, metrics: Metrics, passes: float, observer: Callback) -> bool:
        """Take note of an evaluation; returns whether it is the best one so far."""
        self.evaluations.append(metrics)
        now = (1 - metrics.top1, metrics.loss)
        better = self.best is None or now < self.best
        self.best, self.bad_evaluations = (now, 0) if better else (self.best, self.bad_evaluations + 1)
        self._saver.record_test(metrics, passes)
        observer.on_validation_end(metrics, passes)
        if self.schedule.report(1 - metrics.top1):
            observer.say(f"no better: the learning rate is now {self.schedule.lr(self.step):g}")
        if self.out_of_patience and self.step < self.steps:
            times = f"{self.bad_evaluations} evaluation{'s' * (self.bad_evaluations > 1)}"
            observer.say(f"no better for {times}: that is where the patience ends")
        return better
