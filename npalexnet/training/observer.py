"""What training tells while it runs; `npalexnet.training.progress` shows it."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from npalexnet.training.metrics import Metrics
    from npalexnet.training.steps import Step


class Callback:
    """Hears what happens and does nothing; a class of one's own overrides what it wants to know."""

    def on_step_end(self, step: Step) -> None:
        """Hear of a step that was taken."""

    def on_validation_begin(self) -> None:
        """Hear that the held-out images come next."""

    def on_validation_end(self, metrics: Metrics, epoch: float) -> None:
        """Hear how that went, after so many passes over the training images."""

    def say(self, line: str) -> None:
        """Hear a line for the user: the rate fell, a file could not be written."""
