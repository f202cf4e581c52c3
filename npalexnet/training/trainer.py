"""The training loop."""

from __future__ import annotations

import time
from collections.abc import Callable, Generator
from contextlib import closing
from itertools import islice
from pathlib import Path
from typing import cast

import numpy as np

from npalexnet.backend import Batch
from npalexnet.checks import has
from npalexnet.data.loader import DataLoader
from npalexnet.layers.algorithm_choice import convolution_algorithm, get_convolution_algorithm
from npalexnet.layers.layer import Layer
from npalexnet.losses import CrossEntropyLoss
from npalexnet.optim.groups import weights_and_biases
from npalexnet.optim.sgd import SGD
from npalexnet.training.evaluation import evaluate
from npalexnet.training.metrics import Metrics
from npalexnet.training.progress import Callback
from npalexnet.training.run import Run
from npalexnet.training.saving import Saver
from npalexnet.training.schedules import Schedule, default_warmup, make_schedule
from npalexnet.training.settings import check_parts, check_settings
from npalexnet.training.state import TrainingState
from npalexnet.training.steps import DivergedError, Stepper, StepResult


class Trainer:
    """Trains a network on a loader's images by stochastic gradient descent::

        data = open_data("pictures")
        train, validation = data.loaders(batch_size=16, augment="paper")
        model = AlexNet(len(data.classes))
        trainer = Trainer(model, train, validation, epochs=20, run=Run("runs/mine"))
        trainer.fit(Progress())

    and, in another process, resumed from the last checkpoint, bit-identical to a run that was never stopped::

        trainer = Trainer(model, train, validation, epochs=20, run=Run.reopen("runs/mine"))
        trainer.resume()
        trainer.fit(Progress())

    Parameters
    ----------
    model : Layer
        Trained in place: its parameters with `requires_grad`.
    train : DataLoader
        The training images.
    validation : DataLoader, optional
        The validation images, for an evaluation after each epoch and at the end. Without them, what `run` keeps does
        not say how images are prepared, and ``npalexnet predict`` refuses it.
    epochs, steps : int
        Length of training: one of the two.
    lr, schedule, warmup : float, str or Schedule, int
        The highest learning rate, the schedule's name (see `make_schedule`), and over how many steps it warms up (20 by
        default, or a third of all if that is fewer); or a schedule that knows all that.
    momentum, weight_decay : float
        See `SGD`.
    bias_lr_factor, bias_decay_factor : float
        What the rate and the weight decay are multiplied by for biases, see `weights_and_biases`.
    optimizer : SGD, optional
        In place of one with these settings. The schedule's factor multiplies the rate of each of its groups.
    criterion : CrossEntropyLoss, optional
        With label smoothing, say; its reduction must be "mean".
    accumulate : int
        How many batches make one step. Their gradients are added, each image counting the same.
    clip_norm : float, optional
        Largest norm of all gradients, see `clip_grad_norm_`.
    patience : int, optional
        Stop after this number of evaluations in a row without a better accuracy (or the same, and less loss).
    dtype : {"float32", "bfloat16", "float16"}
        What the network computes in; its parameters are float32. In float16 the loss is scaled: see `GradScaler`.
    convolution : {"auto", "im2col", "winograd"}, optional
        The `set_convolution_algorithm` of this training; without it, what that function was given by now.
    run : Run, optional
        Where weights, checkpoints and metrics go.
    checkpoint_every : int, optional
        Write a checkpoint after every `checkpoint_every` steps, too, besides after each epoch and every ten minutes.

    Attributes
    ----------
    state : TrainingState
        How far training has come: ``state.step``, ``state.finished``, ``state.best``, ``state.evaluations``, ...

    Raises
    ------
    TypeError, ValueError
        If a setting is wrong; the message names it.

    References
    ----------
    A. Krizhevsky, I. Sutskever, G. Hinton, "ImageNet Classification with Deep Convolutional Neural Networks", 2012, 5.
    """

    def __init__(
        self,
        model: Layer,
        train: DataLoader,
        validation: DataLoader | None = None,
        *,
        epochs: int | None = None,
        steps: int | None = None,
        lr: float = 0.001,
        schedule: str | Schedule = "linear",
        warmup: int | None = None,
        momentum: float = 0.9,
        weight_decay: float = 5e-4,
        bias_lr_factor: float = 1.0,
        bias_decay_factor: float = 1.0,
        optimizer: SGD | None = None,
        criterion: CrossEntropyLoss | None = None,
        accumulate: int = 1,
        clip_norm: float | None = None,
        patience: int | None = None,
        dtype: str = "float32",
        convolution: str | None = None,
        run: Run | None = None,
        checkpoint_every: int | None = None,
    ) -> None:
        check_parts(
            train, validation=validation, schedule=schedule, optimizer=optimizer, criterion=criterion, run=run
        )  # fmt: skip
        criterion = criterion or CrossEntropyLoss()
        convolution = get_convolution_algorithm() if convolution is None else convolution
        check_settings(
            model, criterion, clip_norm, dtype, convolution, epochs=epochs, steps=steps, accumulate=accumulate,
            patience=patience, checkpoint_every=checkpoint_every,
        )  # fmt: skip
        if patience is not None and validation is None:
            raise ValueError("patience needs validation images: pass validation")
        self.model, self.train, self.validation = model, train, validation
        self.dtype, self.accumulate = dtype, int(accumulate)
        self.steps_per_epoch = -(-len(train) // self.accumulate)
        steps = int(steps if steps is not None else (epochs or 0) * self.steps_per_epoch)
        if isinstance(schedule, str):
            warmup = default_warmup(steps) if warmup is None else warmup
            schedule = make_schedule(schedule, lr, steps, warmup)
        if optimizer is None:
            biases = {"bias_lr_factor": bias_lr_factor, "bias_decay_factor": bias_decay_factor}
            groups = weights_and_biases(model, schedule.base_lr, weight_decay, **biases)
            optimizer = SGD(groups, schedule.base_lr, momentum)
        self.stepper = Stepper(model, optimizer, criterion, clip_norm=clip_norm, dtype=dtype)
        settings = {
            "accumulate": self.accumulate, "clip_norm": clip_norm, "dtype": dtype, "convolution": convolution,
            "label_smoothing": criterion.label_smoothing,
        }  # fmt: skip
        self.state = TrainingState(
            model, optimizer, schedule, self.stepper.scaler, train, validation, settings, steps, patience
        )
        self._saver = Saver(self.state, run, checkpoint_every)

    def fit(self, callback: Callback | None = None, should_stop: Callable[[], bool] = lambda: False) -> bool:
        """Train to the end; returns whether it came to that, not stopped by `should_stop`.

        Parameters
        ----------
        callback : Callback, optional
            ``Progress()`` shows what happens.
        should_stop : callable
            Called after each step and before each batch of a validation; if it returns True, all is saved.

        Raises
        ------
        DivergedError
            If the loss, or a parameter, is not finite. The last good checkpoint is kept.
        LoadError, MemoryError, ...
            What was learned until the last whole step is saved first.
        OSError
            If at the end what was learned can't be written. On the way the callback is told, no more.
        """
        callback, state = callback or Callback(), self.state
        has("callback", callback, "on_step_end", "a Callback")
        state.begin()
        with self._saver.working(callback), convolution_algorithm(state.settings["convolution"]):
            while not state.finished and not should_stop():
                if not state.epoch_is_over:
                    self._train(callback, should_stop)
                if state.epoch_is_over and not should_stop():
                    self._end_epoch(callback, should_stop)
        return state.finished

    def resume(self, path: Path | None = None) -> None:
        """Resume from the last checkpoint of the run, or from another of its checkpoints.

        Raises
        ------
        CheckpointError, OSError
            If it can't be used; where an older one can, the message names it.
        ValueError
            If it comes from another network or other settings.
        """
        self._saver.resume(path)

    # --- one epoch -------------------------------------------------------------------------------------------------

    def _train(self, callback: Callback, should_stop: Callable[[], bool]) -> None:
        """Take the remaining steps of an epoch."""
        with closing(self.train_epoch()) as steps:
            for step in steps:
                self._saver.record_step(step)
                callback.on_step_end(step)
                if should_stop():
                    return
                if not self.state.epoch_is_over:
                    self._saver.checkpoint_if_due()

    def train_epoch(self) -> Generator[StepResult, None, None]:
        """Take the remaining steps of an epoch; yields after each. A step that raises was not taken."""
        state, loader, stepper = self.state, self.train, self.stepper
        self.model.train()
        started = time.perf_counter()
        state.check_data()
        with closing(cast("Generator[Batch, None, None]", loader.epoch(state.epoch, state.batch))) as batches:
            moved = stepper.device.prefetch(batches)
            while state.batch < len(loader) and state.step < state.steps:
                state.check_data()
                count = min(self.accumulate, len(loader) - state.batch)
                images = min(count * loader.batch_size, len(loader.dataset) - state.batch * loader.batch_size)
                lr, generators = state.set_learning_rate(), state.generators()
                try:
                    loss, accuracy, norm = stepper.step(islice(moved, count), images)
                    state.step, state.images, state.batch = state.step + 1, state.images + images, state.batch + count
                except DivergedError as error:
                    raise self._saver.diverged(str(error)) from None
                except BaseException:  # maybe not in the first of the batches that are accumulated
                    state.torn = stepper.updating
                    if not state.torn:
                        state.restore_generators(generators)
                    raise
                stepper.updating = False
                seconds = time.perf_counter() - started
                yield StepResult(state.step, state.steps, state.images, loss, accuracy, lr, norm, seconds)
                started = time.perf_counter()

    def _end_epoch(self, callback: Callback, should_stop: Callable[[], bool]) -> None:
        """Validate, note how it went, and save; if `should_stop` returns True, none of it."""
        state, metrics = self.state, None
        self._saver.checkpoint_first()
        if self.validation is not None:
            state.check_data()
            callback.on_validation_begin()
            metrics = evaluate(self.model, self.validation, dtype=self.dtype, should_stop=should_stop)
            if metrics is None:
                return
            if not np.isfinite(metrics.loss):
                raise self._saver.diverged(f"the loss on the validation images is {metrics.loss}")
        # First: if it raises, the run that goes on makes this evaluation again.
        lowered = metrics is not None and state.schedule.report(1 - metrics.top1)
        epochs = state.end_epoch()
        if metrics is None or self._note(metrics, epochs, lowered, callback):
            self._saver.weights(metrics)
        self._saver.checkpoint()

    def _note(self, metrics: Metrics, epochs: float, lowered: bool, callback: Callback) -> bool:
        """Take note of an evaluation; returns whether it is the best one so far."""
        state = self.state
        better = state.add_evaluation(metrics)
        state.weights_missing = state.weights_missing or better  # until they are written
        self._saver.record_validation(metrics, epochs)
        callback.on_validation_end(metrics, epochs)  # which may raise: all that is saved is as it should be
        if lowered:
            callback.on_message(f"no better: the learning rate is now {state.schedule.lr(state.step):g}")
        if state.out_of_patience and state.step < state.steps:
            times = f"{state.bad_evaluations} evaluation{'s' * (state.bad_evaluations > 1)}"
            callback.on_message(f"no better for {times}: that is where the patience ends")
        return better
