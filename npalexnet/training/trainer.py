"""The training loop."""

from __future__ import annotations

import time
from collections.abc import Callable, Generator, Iterator
from contextlib import closing
from functools import partial
from itertools import islice
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from npalexnet.backend import Batch
from npalexnet.layers.layer import Layer
from npalexnet.losses import CrossEntropyLoss
from npalexnet.optim import SGD
from npalexnet.training import state
from npalexnet.training.evaluation import evaluate
from npalexnet.training.metrics import Metrics
from npalexnet.training.observer import Observer
from npalexnet.training.run import Run
from npalexnet.training.schedules import Schedule, make_schedule
from npalexnet.training.settings import check_settings
from npalexnet.training.steps import DivergedError, Step, Stepper

if TYPE_CHECKING:
    from pathlib import Path

    from npalexnet.data.loader import DataLoader

CHECKPOINT_SECONDS = 600.0


class Trainer:
    """Trains a network on a loader's images by stochastic gradient descent::

        run = Run("runs/mine")
        trainer = Trainer(model, train_loader, val_loader, lr=0.01, epochs=10, run=run)
        trainer.fit(Progress())

    and, in another process, on from the last checkpoint to the bits of a run that was never stopped::

        trainer = Trainer(model, train_loader, val_loader, lr=0.01, epochs=10, run=Run.reopen("runs/mine"))
        trainer.resume()
        trainer.fit(Progress())

    Parameters
    ----------
    model : Layer
        What is trained, in place: its parameters with `requires_grad`.
    train : DataLoader
        The training images.
    val : DataLoader, optional
        Held-out images, tested with after each pass and at the end.
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
        self.model, self.train, self.val, self.run = model, train, val, run
        self.accumulate, self.patience, self.dtype = accumulate, patience, dtype
        self.checkpoint_every = checkpoint_every
        check_settings(self, epochs, steps, clip_norm, criterion)
        self.batches = len(train)
        self.steps_per_epoch = -(-self.batches // accumulate)
        self.steps = steps if steps is not None else (epochs or 0) * self.steps_per_epoch
        self.schedule = make_schedule(schedule, lr, self.steps, warmup) if isinstance(schedule, str) else schedule
        learnt = (parameter for parameter in model.parameters() if parameter.requires_grad)
        self.optimizer = optimizer or SGD(learnt, self.schedule.base_lr, momentum, weight_decay=weight_decay)
        self._base_lrs = [group["lr"] for group in self.optimizer.param_groups]
        self.stepper = Stepper(model, self.optimizer, criterion or CrossEntropyLoss(), clip_norm=clip_norm, dtype=dtype)
        self.step = self.images = self.epoch = self.batch = 0
        self.tested_step = self.bad_evaluations = 0
        self.best: tuple[float, float] | None = None
        self.evaluations: list[Metrics] = []
        self._saved: tuple[int, ...] | None = None  # where in the run the last checkpoint was written
        self._saved_at = time.monotonic()
        self._weights_missing = False  # whether those of the best evaluation could not be written

    @property
    def finished(self) -> bool:
        """Whether there is nothing left to do: all steps were taken, or the patience is at its end."""
        return self.step >= self.steps or self.out_of_patience

    @property
    def out_of_patience(self) -> bool:
        """Whether so many evaluations in a row were no better."""
        return self.patience is not None and self.bad_evaluations >= self.patience

    def fit(self, observer: Observer | None = None, should_stop: Callable[[], bool] = lambda: False) -> bool:
        """Train to the end; returns whether it came to that, not stopped by `should_stop`.

        Parameters
        ----------
        observer : Observer, optional
            Is told what happens: ``Progress()`` shows it.
        should_stop : callable
            Is asked after each step and before each batch of an evaluation. What was learnt is saved then.

        Raises
        ------
        DivergedError
            If the loss, or what was learnt, is not finite. The last good checkpoint is kept.
        OSError
            If at the end what was learnt can't be written. On the way that is only told to the observer.
        """
        observer, complete = observer or Observer(), False
        self._saved_at = time.monotonic()
        while not complete and not should_stop():
            if not self._pass_is_over():
                self._train(observer, should_stop)
            if self._pass_is_over() and not should_stop():
                self._end_pass(observer, should_stop)
            complete = self.finished and self.tested_step == self.step
        self._save_at_the_end()
        return complete

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
        if self.run is None:
            raise ValueError("resume needs a run: Trainer(..., run=Run.reopen(folder))")
        tensors, about = self.run.load_checkpoint(path)
        state.restore(self, tensors, about)
        self.run.rewind(about["lines"])
        self._saved = self._place()

    # --- one pass --------------------------------------------------------------------------------------------------

    def _pass_is_over(self) -> bool:
        return self.batch == self.batches or (self.step >= self.steps and self.tested_step < self.step)

    def _train(self, observer: Observer, should_stop: Callable[[], bool]) -> None:
        """Take the steps that are left of a pass."""
        for step in self.pass_over_images():
            self._try("the metrics", partial(self._record_step, step), observer)
            observer.stepped(step)
            if should_stop():
                return
            if self._checkpoint_is_due() and not self._pass_is_over():
                self._try("a checkpoint", self._save_checkpoint, observer)

    def pass_over_images(self) -> Iterator[Step]:
        """Go through what is left of a pass over the training images; yields after each step.

        Raises
        ------
        DivergedError
            If the loss is not finite; the step is not taken.
        """
        self.model.train()
        started = time.perf_counter()
        with closing(cast("Generator[Batch, None, None]", self.train.epoch(self.epoch, self.batch))) as batches:
            moved = self.stepper.device.prefetch(batches)
            while self.batch < self.batches and self.step < self.steps:
                count = min(self.accumulate, self.batches - self.batch)
                images = sum(map(self._batch_length, range(self.batch, self.batch + count)))
                factor = self.schedule.factor(self.step)
                for group, lr in zip(self.optimizer.param_groups, self._base_lrs, strict=True):
                    group["lr"] = lr * factor
                try:
                    loss, accuracy, norm = self.stepper.step(islice(moved, count), images)
                except DivergedError as error:
                    raise self._diverged(str(error)) from None
                self.step, self.images, self.batch = self.step + 1, self.images + images, self.batch + count
                lr, seconds = self.optimizer.param_groups[0]["lr"], time.perf_counter() - started
                yield Step(self.step, self.steps, self.images, loss, accuracy, lr, norm, seconds)
                started = time.perf_counter()

    def _batch_length(self, number: int) -> int:
        return min(self.train.batch_size, len(self.train.dataset) - number * self.train.batch_size)

    def _end_pass(self, observer: Observer, should_stop: Callable[[], bool]) -> None:
        """Test, note how it went, and save; or nothing of it if `should_stop` says so."""
        metrics = None
        if self.val is not None:
            observer.testing()
            metrics = self.evaluate(self.val, should_stop)
            if metrics is None:
                return
            if not np.isfinite(metrics.loss):
                raise self._diverged(f"the loss on held-out images is {metrics.loss}")
        passes = self.epoch + (1 if self.batch == self.batches else self.batch / self.batches)
        self.tested_step = self.step
        if self.batch == self.batches:
            self.epoch, self.batch = self.epoch + 1, 0
        if metrics is None or self._note(metrics, passes, observer):
            self._weights_missing = not self._try("the weights", lambda: self._save_weights(metrics), observer)
        self._try("a checkpoint", self._save_checkpoint, observer)

    def _note(self, metrics: Metrics, passes: float, observer: Observer) -> bool:
        """Take note of an evaluation; returns whether it is the best one so far."""
        self.evaluations.append(metrics)
        now = (1 - metrics.top1, metrics.loss)
        better = self.best is None or now < self.best
        self.best, self.bad_evaluations = (now, 0) if better else (self.best, self.bad_evaluations + 1)
        values = {
            "step": self.step, "images": self.images, "epoch": round(passes, 4), "test_loss": metrics.loss,
            "test_accuracy": metrics.top1, "test_top5": metrics.top5,
        }  # fmt: skip
        self._try("the metrics", lambda: self.run.record(**values) if self.run else None, observer)
        observer.tested(metrics, passes)
        if self.schedule.report(1 - metrics.top1):
            observer.say(f"no better: the learning rate is now {self.schedule.lr(self.step):g}")
        if self.out_of_patience and self.step < self.steps:
            observer.say(f"no better for {self.bad_evaluations} evaluations: that is where the patience ends")
        return better

    # --- saving ----------------------------------------------------------------------------------------------------

    def _record_step(self, step: Step) -> None:
        if self.run is not None:
            norm = {} if step.grad_norm is None else {"grad_norm": step.grad_norm}
            self.run.record(
                step=step.number, images=step.images, loss=step.loss, accuracy=step.accuracy, lr=step.lr, **norm,
                seconds=round(step.seconds, 4),
            )  # fmt: skip

    def _try(self, what: str, write: Callable[[], Any], observer: Observer) -> bool:
        """Write; returns whether that succeeded. If not, say so, and go on: at the end it has to."""
        try:
            write()
            return True
        except OSError as error:
            kept = f"the checkpoint of step {self._saved[0]} is kept" if self._saved else "there is no checkpoint yet"
            observer.say(f"can't write {what}: {error}; training goes on, {kept}")
            self._saved_at = time.monotonic()
            return False

    def _place(self) -> tuple[int, ...]:
        return self.step, self.epoch, self.batch, self.tested_step

    def _checkpoint_is_due(self) -> bool:
        every = self.checkpoint_every is not None and self.step % self.checkpoint_every == 0
        return every or time.monotonic() - self._saved_at > CHECKPOINT_SECONDS

    def _save_checkpoint(self) -> None:
        if self.run is None:
            return
        tensors, about = state.capture(self)
        self._check_finite(tensors)
        self.run.save_checkpoint(tensors, about)
        self._saved, self._saved_at = self._place(), time.monotonic()
        self.run.save_curves()

    def _save_weights(self, metrics: Metrics | None) -> None:
        if self.run is None:
            return
        weights = self.model.state_dict()
        self._check_finite(weights)
        about = {} if metrics is None else {"test_accuracy": metrics.top1, "test_loss": metrics.loss}
        self.run.save_weights(weights, steps=self.step, **about)
        if metrics is not None and self.val is not None:
            self.run.save_confusion(metrics.confusion, self.run.about.get("classes", self.val.dataset.classes))

    def _save_at_the_end(self) -> None:
        """Save what is not saved; without an evaluation so far, the weights as they are."""
        if self.step and self._saved != self._place():
            self._save_checkpoint()
        if self.step and self.best is None and (self._weights_missing or self.tested_step < self.step):
            self._save_weights(None)
        elif self._weights_missing:
            raise OSError("the weights of the best evaluation could not be written")

    def _check_finite(self, tensors: dict[str, np.ndarray]) -> None:
        if bad := next((name for name, array in tensors.items() if not np.isfinite(array).all()), None):
            raise self._diverged(f"{bad} is not finite")

    def _diverged(self, what: str) -> DivergedError:
        kept = ""
        if self.run is not None and self._saved:
            kept = f"; the checkpoint of step {self._saved[0]} is kept in {self.run.folder}/"
        return DivergedError(
            f"{what} after {self.step} steps: training has diverged; try a smaller learning rate{kept}"
        )
