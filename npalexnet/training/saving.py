"""When and what a `Trainer` writes, and what happens where that is not possible."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from npalexnet.data.datasets import Subset
from npalexnet.data.loader import LoadError
from npalexnet.layers.linear import Linear
from npalexnet.training import state
from npalexnet.training.metrics import Metrics
from npalexnet.training.observer import Callback
from npalexnet.training.run import Run, names_of_outputs
from npalexnet.training.steps import DivergedError, Step

if TYPE_CHECKING:
    from npalexnet.training.trainer import Trainer

CHECKPOINT_SECONDS = 600.0
METRICS = "the metrics"


class Saver:
    """Writes a trainer's files to its run; without a run it does nothing.

    A file that can't be written on the way does not end training: the observer is told, and the next one may succeed.

    Parameters
    ----------
    trainer : Trainer
    run : Run or None
    every : int or None
        Steps between checkpoints within a pass; besides, there is one every ten minutes.
    """

    def __init__(self, trainer: Trainer, run: Run | None, every: int | None) -> None:
        self._trainer, self._run, self._every = trainer, run, every
        self._saved: tuple[int, ...] | None = None  # where in the run the last checkpoint was written
        self._saved_at = time.monotonic()
        self._weights_missing = False  # whether those of the best evaluation could not be written
        self._metrics_wait = False  # for space, and the user knows it
        self._attempted = False  # to write a checkpoint
        if run is not None:
            run.describe(classes=_names_of_outputs(trainer))
        if run is not None and trainer.val is not None:
            run.describe(pipeline=trainer.val.pipeline.to_json())

    @contextmanager
    def working(self, observer: Callback) -> Iterator[None]:
        """Context of training: `observer` is told, no other process can go on with the run; at the end all is saved.

        A picture that can't be loaded is such an end, too: the trainer is between two steps then.

        Raises
        ------
        ValueError
            If there is a checkpoint that `resume` should have been called for.
        OSError
            If at the end something can't be written.
        """
        self._observer, self._saved_at = observer, time.monotonic()
        if self._run is None:
            yield
            return
        with self._run.locked(), closing(self._run):
            if self._saved is None and self._run.has_checkpoint():
                raise ValueError(
                    f"{self._run.folder} has a checkpoint, and would be overwritten: call the trainer's resume() first"
                )
            if not self._trainer.step:
                self._run.rewind(0)  # what an earlier process left that was stopped before its first checkpoint
                self._save_split()
            try:
                yield
            except LoadError:
                self._end_early()
                raise
            self.end()

    def record_step(self, step: Step) -> None:
        """Add a step to the metrics."""
        norm = {} if step.grad_norm is None else {"grad_norm": step.grad_norm}
        self._record(
            step=step.number, images=step.images, loss=step.loss, accuracy=step.accuracy, lr=step.lr, **norm,
            seconds=round(step.seconds, 4),
        )  # fmt: skip

    def record_test(self, metrics: Metrics, passes: float) -> None:
        """Add an evaluation to the metrics."""
        self._record(
            step=self._trainer.step, images=self._trainer.images, epoch=round(passes, 4), test_loss=metrics.loss,
            test_accuracy=metrics.top1, test_top5=metrics.top5,
        )  # fmt: skip

    def weights(self, metrics: Metrics | None) -> None:
        """Write the weights as they are, with what an evaluation made of them."""
        self._weights_missing = not self._try("the weights", lambda: self._write_weights(metrics))
        if metrics is not None and self._run is not None and not self._weights_missing:
            run = self._run
            self._try("the confusion matrix", lambda: run.save_confusion(metrics.confusion, run.about["classes"]))

    def checkpoint(self) -> None:
        """Write a checkpoint."""
        self._attempted = True
        self._try("a checkpoint", self._write_checkpoint)

    def checkpoint_first(self) -> None:
        """Write a checkpoint if none was so far: where there are weights, there is one to go on from, too."""
        if self._saved is None and not self._attempted:
            self.checkpoint()

    def checkpoint_if_due(self) -> None:
        """Write a checkpoint if it is time for one within a pass."""
        every = self._every is not None and self._trainer.step % self._every == 0
        if every or time.monotonic() - self._saved_at > CHECKPOINT_SECONDS:
            self.checkpoint()

    def end(self) -> None:
        """Write what is not written; without weights of an evaluation so far, those that there are.

        Raises
        ------
        OSError
            If something can't be, or the best weights could not be when they were there.
        """
        trainer, errors = self._trainer, []
        if self._run is None or not trainer.step:
            return
        if self._saved != self._place():
            errors += self._failure(self._write_checkpoint)
        is_best = trainer.best is None or (trainer.bad_evaluations == 0 and trainer.tested_step == trainer.step)
        untested = trainer.best is None and trainer.tested_step < trainer.step
        if untested or (self._weights_missing and (is_best or not self._run.has_weights())):
            metrics = trainer.evaluations[-1] if is_best and trainer.evaluations else None
            failed = self._failure(lambda: self._write_weights(metrics))
            errors += failed
            if self._weights_missing and is_best and not failed:
                self._weights_missing = False
                errors += self._failure(self._write_checkpoint)  # which knows that
        if self._weights_missing:
            errors.append(OSError("the weights of the best evaluation could not be written when it was made"))
        if errors:
            raise errors[0]

    def resume(self, path: Path | None) -> None:
        """Put the trainer where a checkpoint was written."""
        if self._run is None:
            raise ValueError("resume needs a run: Trainer(..., run=Run.reopen(folder))")
        with self._run.locked():
            tensors, about = self._run.load_checkpoint(path)
            state.restore(self._trainer, tensors, about)
            self._run.rewind(about["lines"], path)
        self._saved, self._weights_missing = self._place(), about["weights_missing"]

    def diverged(self, what: str) -> DivergedError:
        """Return the error that says so, and what is kept."""
        kept = ""
        if self._run is not None and self._saved:
            kept = f"; the checkpoint of step {self._saved[0]} is kept in {self._run.folder}/"
        when = f"{what} after {self._trainer.step} step{'s' * (self._trainer.step != 1)}"
        return DivergedError(f"{when}: training has diverged; try a smaller learning rate{kept}")

    # --- how -------------------------------------------------------------------------------------------------------

    def _end_early(self) -> None:
        """Save what was learnt, because an error is about to end training."""
        try:
            self.end()
        except OSError as error:
            self._observer.say(f"can't write what was learnt: {error}")
        if self._run is not None and self._saved:
            folder = self._run.folder
            self._observer.say(
                f"The checkpoint of step {self._saved[0]} is kept in {folder}/; go on from there with --resume {folder}"
            )

    def _record(self, **values: Any) -> None:
        if self._run is not None:
            run = self._run
            self._try(METRICS, lambda: run.record(**values))

    def _try(self, what: str, write: Callable[[], None]) -> bool:
        """Write; returns whether that succeeded. If not, say so, and go on."""
        try:
            write()
        except OSError as error:
            kept = f"the checkpoint of step {self._saved[0]} is kept" if self._saved else "there is no checkpoint yet"
            if not (what == METRICS and self._metrics_wait):  # that would be said at each step
                self._observer.say(f"can't write {what}: {error}; training goes on, {kept}")
            self._metrics_wait = self._metrics_wait or what == METRICS
            self._saved_at = time.monotonic()  # else it would be tried at each step
            return False
        self._metrics_wait = self._metrics_wait and what != METRICS
        return True

    @staticmethod
    def _failure(write: Callable[[], None]) -> list[OSError]:
        """Write; returns the error in a list if that fails, else an empty one."""
        try:
            write()
        except OSError as error:
            return [error]
        return []

    def _place(self) -> tuple[int, ...]:
        trainer = self._trainer
        return trainer.step, trainer.epoch, trainer.batch, trainer.tested_step

    def _write_checkpoint(self) -> None:
        if self._run is None:
            return
        tensors, about = state.capture(self._trainer)
        self._check_finite(tensors)
        self._run.save_checkpoint(tensors, {**about, "weights_missing": self._weights_missing})
        self._saved, self._saved_at = self._place(), time.monotonic()
        self._run.save_curves()

    def _write_weights(self, metrics: Metrics | None) -> None:
        if self._run is None:
            return
        weights = self._trainer.model.state_dict()
        self._check_finite(weights)
        about = {} if metrics is None else {"test_accuracy": metrics.top1, "test_loss": metrics.loss}
        self._run.save_weights(weights, steps=self._trainer.step, **about)

    def _save_split(self) -> None:
        """Keep how pictures were distributed, if both parts are of one data set: `npalexnet evaluate` asks for it."""
        run, train = self._run, self._trainer.train.dataset
        val = None if self._trainer.val is None else self._trainer.val.dataset
        if run is None or not (isinstance(train, Subset) and isinstance(val, Subset) and train.dataset is val.dataset):
            return
        split = {part: [data.name(i) for i in range(len(data))] for part, data in (("train", train), ("val", val))}
        self._try("how pictures were distributed", lambda: run.save_split(split))

    def _check_finite(self, tensors: dict[str, np.ndarray]) -> None:
        if bad := next((name for name, array in tensors.items() if not np.isfinite(array).all()), None):
            raise self.diverged(f"{bad} is not finite")


def _names_of_outputs(trainer: Trainer) -> list[str]:
    """The classes' names, and others for what the last linear layer has beyond them."""
    outputs = [layer.out_features for _, layer in trainer.model.named_leaves() if isinstance(layer, Linear)]
    return names_of_outputs(trainer.train.dataset.classes, outputs[-1] if outputs else 0)
