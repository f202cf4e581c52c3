"""What a learning-rate schedule is; the schedules are in `npalexnet.training.schedules`."""

from __future__ import annotations

from collections.abc import Mapping
from math import isfinite
from typing import Any

from npalexnet.checks import number


class Schedule:
    """Base class of schedules; a subclass defines `factor`.

    Parameters
    ----------
    lr : float
        The highest learning rate, above 0.
    """

    def __init__(self, lr: float) -> None:
        self.base_lr = number("lr", lr)
        if not (isfinite(lr) and lr > 0):
            raise ValueError(f"lr must be above 0 and finite, got {lr}")

    @property
    def name(self) -> str:
        """What a checkpoint calls it: Constant, Linear, Step, Cosine, Plateau, ..."""
        return type(self).__name__.removesuffix("Decay")

    def factor(self, step: int) -> float:
        """Return what the highest rate is multiplied by at a step."""
        raise NotImplementedError

    def bias_factor(self, step: int) -> float:
        """Return what the rate of a parameter group that has nothing but biases is multiplied by: the same."""
        return self.factor(step)

    def lr(self, step: int) -> float:
        """Return the learning rate of a step; the first one is 0."""
        return self.base_lr * self.factor(step)

    def report(self, error: float) -> bool:
        """Take note of the error, or loss, on the validation images; returns whether the rate fell."""
        return False

    def settings(self) -> dict[str, Any]:
        """Return what a run that goes on must have in common, ready for JSON: all but the rate and the length."""
        return {}

    def state_dict(self) -> dict[str, Any]:
        """Return the state for `load_state_dict`, ready for JSON."""
        return {}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Restore a state that `state_dict` returned; another schedule's is a ValueError, and changes nothing."""
        if set(state) != set(self.state_dict()):
            raise ValueError(
                f"the state of a {self.name} schedule has {sorted(self.state_dict())}, got {sorted(state)}"
            )
        vars(self).update(state)


def fraction(name: str, value: float) -> float:
    """Return a number from 0 to below 1, or raise a ValueError that names it."""
    if not 0 <= number(name, value) < 1:
        raise ValueError(f"{name} must be from 0 to below 1, got {value}")
    return float(value)
