"""What training reports while it runs; `npalexnet.training.progress` shows it."""

from __future__ import annotations

from npalexnet.training.metrics import Metrics
from npalexnet.training.steps import StepResult


class Callback:
    """Does nothing; a subclass overrides what it wants to know."""

    def on_step_end(self, step: StepResult) -> None:
        """Handle a step that was taken."""

    def on_validation_begin(self) -> None:
        """Handle the beginning of a validation."""

    def on_validation_end(self, metrics: Metrics, epoch: float) -> None:
        """Handle the result of a validation, after so many epochs."""

    def on_message(self, line: str) -> None:
        """Handle a line for the user: the learning rate fell, a file could not be written."""
