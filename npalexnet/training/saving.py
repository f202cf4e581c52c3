"""When and what a `Trainer` writes, and what happens where that is not possible."""

from __future__ import annotations

import shlex
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import Any

import numpy as np

from npalexnet.data.datasets import Subset, posix
from npalexnet.fields import FieldError
from npalexnet.layers.linear import Linear
from npalexnet.training.interrupt import Interrupted
from npalexnet.training.metrics import Metrics
from npalexnet.training.progress import Callback
from npalexnet.training.run import SPLIT, Run, names_of_outputs
from npalexnet.training.state import TrainingState
from npalexnet.training.steps import DivergedError, StepResult, is_finite

CHECKPOINT_SECONDS = 600.0


class Saver:
    """Writes the state of training to a run; without a run it does nothing.

    A file that can't be written on the way does not end training: the callback is told, and the next one may succeed.

    Parameters
    ----------
    state, run : TrainingState, Run or None
    every : int or None
        Steps between checkpoints within an epoch; besides, there is one every ten minutes.
    """

    def __init__(self, state: TrainingState, run: Run | None, every: int | None) -> None:
        self._state, self._run, self._every = state, run, every
        self._saved: tuple[int, ...] | None = None  # position of the last checkpoint
        self._saved_at = time.monotonic()
        if run is not None:
            run.describe(classes=_names_of_outputs(state))
            if variant := getattr(state.model, "variant", None):
                run.describe(variant=variant)
            if state.validation is not None:
                run.describe(pipeline=state.validation.pipeline.to_json())

    @contextmanager
    def working(self, callback: Callback) -> Iterator[None]:
        """Context of training, in which no other process can train the run; at the end everything is saved.

        Whatever ends it, the state after the last whole step is saved first. A ValueError if `resume` should have been
        called, for there is a checkpoint; an OSError if at the end something can't be written.
        """
        self._callback, self._saved_at = callback, time.monotonic()
        if self._run is None:
            yield
            return
        with self._run.locked(), closing(self._run):
            if self._saved is None and self._run.has_checkpoint():
                about = f"{self._run.folder} has a checkpoint, and would be overwritten"
                raise ValueError(f"{about}: call the trainer's resume() first")
            if note := self._run.promises():
                callback.on_message(note)
            if not self._state.step:
                self._run.rewind(0)  # what an earlier process left that was stopped before its first checkpoint
                self._save_split()
            for note in self._run.notes:
                callback.on_message(note)
            try:
                yield
            except BaseException as error:
                if not isinstance(error, DivergedError):  # then the last good checkpoint is kept
                    self._end_early(self._run, error)
                raise
            try:
                self._end(self._run)
                self._run.remove_leftovers()
            except Interrupted:
                self._tell_kept(self._run, True)
                raise

    def record_step(self, step: StepResult) -> None:
        """Add a step to the metrics."""
        more = {} if step.grad_norm is None else {"grad_norm": step.grad_norm}
        more["seconds"] = round(step.seconds, 4)
        self._record(step=step.number, images=step.images, loss=step.loss, accuracy=step.accuracy, lr=step.lr, **more)

    def record_validation(self, metrics: Metrics, epoch: float) -> None:
        """Add a validation to the metrics."""
        self._record(
            step=self._state.step, images=self._state.images, epoch=round(epoch, 4), test_loss=metrics.loss,
            test_accuracy=metrics.top1, test_top5=metrics.top5,
        )  # fmt: skip

    def weights(self, metrics: Metrics | None) -> None:
        """Write the weights as they are, with the metrics of their evaluation."""
        self._state.weights_missing = not self._try("the weights", lambda run: self._write_weights(run, metrics))
        if not self._state.weights_missing and metrics is not None:
            table = metrics.confusion
            self._try("the confusion matrix", lambda run: run.save_confusion(table, run.metadata["classes"]))

    def checkpoint(self) -> None:
        """Write a checkpoint."""
        self._try("a checkpoint", self._write_checkpoint)

    def checkpoint_first(self) -> None:
        """Write a checkpoint before any weights: where there are weights, there is one to resume from, too."""
        if self._saved is None and not self._state.validated_step:
            self.checkpoint()

    def checkpoint_if_due(self) -> None:
        """Write a checkpoint if it is time for one within an epoch."""
        if (
            self._every and self._state.step % self._every == 0
        ) or time.monotonic() - self._saved_at > CHECKPOINT_SECONDS:
            self.checkpoint()

    def resume(self, path: Path | None) -> None:
        """Restore the state from a checkpoint."""
        if self._run is None:
            raise ValueError("resume needs a run: Trainer(..., run=Run.reopen(folder))")
        with self._run.locked():
            tensors, metadata = self._run.load_checkpoint(path, self._check)
            self._state.restore(tensors, metadata)
            self._run.rewind(metadata["lines"], path)
        self._saved = self._state.position

    def _check(self, tensors: dict[str, np.ndarray], metadata: dict[str, Any]) -> None:
        if "lines" not in metadata:
            raise FieldError("it lacks lines")
        self._state.check(tensors, metadata)

    def diverged(self, what: str) -> DivergedError:
        """Return an error that says what happened, when, and which checkpoint is kept."""
        kept = ""
        if self._run is not None and self._saved:
            kept = f"; the checkpoint of step {self._saved[0]} is kept in {self._run.folder}/"
        when = f"{what} after {self._state.step} step{'s' * (self._state.step != 1)}"
        return DivergedError(f"{when}: training has diverged; try a smaller learning rate{kept}")

    # --- the end of training ---------------------------------------------------------------------------------------

    def _end(self, run: Run) -> None:
        """Write what is not yet written.

        That is a checkpoint, and the weights: of the best evaluation, or the last ones as long as there was none.
        """
        state = self._state
        if not state.step:
            return
        errors: list[Exception] = []
        if self._saved != state.position:
            errors += _failure(lambda: self._write_checkpoint(run))
        unevaluated = state.best is None and state.validated_step < state.step
        if (unevaluated or state.weights_missing) and state.is_best:
            metrics = state.evaluations[-1] if state.evaluations else None
            errors += (failed := _failure(lambda: self._write_weights(run, metrics)))
            if state.weights_missing and not failed:
                state.weights_missing = False
                errors += _failure(lambda: self._write_checkpoint(run))  # which says so
        elif state.weights_missing and not run.has_weights():  # not the best ones, but better than none
            errors += _failure(lambda: self._write_weights(run, None))
        if state.weights_missing:
            errors.append(OSError("the weights of the best evaluation could not be written when it was made"))
        if errors:
            raise errors[0]

    def _end_early(self, run: Run, error: BaseException) -> None:
        """Save what was learned, because an error is about to end training; not if it has to end at once."""
        if isinstance(error, MemoryError):  # what the interrupted step holds is in the way of saving
            traceback.clear_frames(error.__traceback__)
            self._state.optimizer.zero_grad()
            self._state.model.to(self._state.model.device or "cpu")  # forgets what a backward pass would need
        try:
            if not self._state.torn and not isinstance(error, Interrupted):
                self._end(run)
        except Exception as second:
            with suppress(Exception):
                self._callback.on_message(f"can't write what was learned: {second}")
        self._tell_kept(run, isinstance(error, Interrupted))

    def _tell_kept(self, run: Run, at_once: bool) -> None:
        """Tell how to go on."""
        if self._saved:
            line = f"The checkpoint of step {self._saved[0]} is kept in {run.folder}/; go on from there with"
        elif at_once and run.records:
            line = "There is no checkpoint yet; begin again with"
        else:
            return
        with suppress(Exception):  # of the callback, which may be what ends training
            self._callback.on_message(f"{line} --resume {shlex.quote(str(run.folder))}")

    # --- how -------------------------------------------------------------------------------------------------------

    def _record(self, **values: Any) -> None:
        known = self._run is not None and self._run.metrics_wait  # or it would be told at each step
        self._try("the metrics", lambda run: run.record(**values), tell=not known)

    def _try(self, what: str, write: Callable[[Run], None], *, tell: bool = True) -> bool:
        """Write; returns whether that succeeded. If not, the callback is told, and training continues."""
        if self._run is None:
            return True
        try:
            write(self._run)
        except OSError as error:
            if tell:
                saved = self._saved
                kept = f"the checkpoint of step {saved[0]} is kept" if saved else "there is no checkpoint yet"
                self._callback.on_message(f"can't write {what}: {error}; training goes on, {kept}")
            self._saved_at = time.monotonic()  # else it would be tried at each step
            return False
        return True

    def _write_checkpoint(self, run: Run) -> None:
        tensors, metadata = self._state.capture(copy=False)  # there may be little memory left
        self._check_finite(tensors)
        run.save_checkpoint(tensors, metadata)
        self._saved, self._saved_at = self._state.position, time.monotonic()
        run.save_curves()

    def _write_weights(self, run: Run, metrics: Metrics | None) -> None:
        weights = self._state.model.state_dict(copy=False)
        self._check_finite(weights)
        found = {} if metrics is None else {"test_accuracy": metrics.top1, "test_loss": metrics.loss}
        run.save_weights(weights, steps=self._state.step, **found)

    def _save_split(self) -> None:
        """Keep how pictures were split, if both parts are of one data set: ``npalexnet evaluate`` asks for it."""
        state = self._state
        train, validation = state.train.dataset, None if state.validation is None else state.validation.dataset
        if isinstance(train, Subset) and isinstance(validation, Subset) and train.dataset is validation.dataset:
            parts = {"train": train, "val": validation}
            split = {name: [posix(part.name(i)) for i in range(len(part))] for name, part in parts.items()}
            self._try("how pictures were split", lambda run: run.save_json(SPLIT, split))

    def _check_finite(self, tensors: dict[str, np.ndarray]) -> None:
        if bad := next((name for name, array in tensors.items() if not is_finite(array)), None):
            raise self.diverged(f"{bad} is not finite")


def _failure(write: Callable[[], None]) -> list[Exception]:
    """Write; returns the error in a list if that fails, else an empty one: what else there is to write comes first."""
    try:
        write()
    except DivergedError:
        raise
    except Exception as error:
        return [error]
    return []


def _names_of_outputs(state: TrainingState) -> list[str]:
    """Return the classes' names, and others for what the last linear layer has beyond them."""
    outputs = [layer.out_features for _, layer in state.model.named_leaves() if isinstance(layer, Linear)]
    return names_of_outputs(state.train.dataset.classes, outputs[-1] if outputs else 0)
