"""What training reports while it runs, and how it is shown: a bar on a terminal, lines elsewhere."""

from __future__ import annotations

import sys
import time
from typing import Any

from npalexnet.terminal import Console, say, shown, shows_bars
from npalexnet.training.metrics import Metrics
from npalexnet.training.steps import StepResult


class Callback:
    """Does nothing; a subclass overrides what it wants to know."""

    def on_step_end(self, step: StepResult) -> None:
        """Handle a step that was taken."""

    def on_validation_begin(self) -> None:
        """Handle the beginning of a validation."""

    def on_validation_end(self, metrics: Metrics, epoch: float) -> None:
        """Handle the result of a validation after `epoch` epochs."""

    def on_message(self, line: str) -> None:
        """Handle a line for the user: the learning rate fell, a file could not be written."""


class Progress(Callback):
    """Shows loss, accuracy, images per second and the time left.

    On a terminal, on its standard error stream, and in a notebook it is tqdm's bar; elsewhere a line every 20 seconds,
    and one for each validation, on the standard output stream. Loss and accuracy are running means, so
    that they don't jump about.
    """

    QUIET_SECONDS = 20.0

    def __init__(self) -> None:
        self.with_bar = shows_bars()
        self.loss = self.accuracy = 0.0
        self.seen = self.first_step = 0  # of this process, which may have gone on from a checkpoint
        self.last_line = self.started = time.monotonic()
        self._bar: Any = None

    def __enter__(self) -> Progress:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def close(self) -> None:
        """End the bar."""
        if self._bar is not None:
            self._bar.set_postfix_str(self._means())  # a stop may have come amid a validation
            self._bar.close()
            self._bar = None

    def on_step_end(self, step: StepResult) -> None:
        """Show a step."""
        if not self.first_step:
            self.first_step, self.started = step.number, time.monotonic() - step.seconds
        number = step.number - self.first_step + 1  # of steps that this process has taken
        keep = min(0.9, 1 - 1 / number)
        self.loss = keep * self.loss + (1 - keep) * step.loss
        self.accuracy = keep * self.accuracy + (1 - keep) * step.accuracy
        before, self.seen = self.seen, step.images
        if self.with_bar:
            self._show_bar(step, step.images - before if before else 0)
        elif time.monotonic() - self.last_line >= self.QUIET_SECONDS:
            self.last_line = time.monotonic()
            elapsed = time.monotonic() - self.started
            rate = step.images / step.number * number / elapsed
            self.on_message(
                f"step {step.number} of {step.steps}: loss {self.loss:.3f}, accuracy {100 * self.accuracy:.0f} %, "
                f"{rate:.1f} images/s, {elapsed / number * (step.steps - step.number):.0f} s left"
            )

    def _show_bar(self, step: StepResult, images: int) -> None:
        from tqdm.auto import tqdm

        if self._bar is None:
            total = round(step.images / step.number * step.steps)
            self._bar = tqdm(
                total=total, initial=step.images, unit="image", dynamic_ncols=True, smoothing=0.1,
                file=Console(sys.stderr),
            )  # fmt: skip
        self._bar.set_postfix_str(self._means(), refresh=False)
        self._bar.update(images)

    def _means(self) -> str:
        return f"loss {self.loss:.3f}, accuracy {100 * self.accuracy:.0f} %"

    def on_validation_begin(self) -> None:
        """Show that the validation images are being classified."""
        if self._bar is not None:
            self._bar.set_postfix_str("validating")

    def on_validation_end(self, metrics: Metrics, epoch: float) -> None:
        """Print loss and accuracy of a validation."""
        if self._bar is not None:
            self._bar.set_postfix_str(self._means())
        top5 = f", top-5 {100 * metrics.top5:.1f} %" if len(metrics.confusion) > 10 else ""
        self.on_message(
            f"epoch {epoch:.4g}: validation loss {metrics.loss:.3f}, accuracy {100 * metrics.top1:.1f} %{top5} of "
            f"{metrics.images:,} images, {time.monotonic() - self.started:.0f} s since the start"
        )

    def on_message(self, line: str) -> None:
        """Print a line without tearing the bar."""
        if self._bar is not None:
            self._bar.clear()
        say(shown(line))  # names of files may hold ends of lines
        if self._bar is not None:
            self._bar.refresh()
