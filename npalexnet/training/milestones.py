"""Schedules that fall at given parts of the training."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from npalexnet.checks import integer
from npalexnet.training.schedule import Schedule, fraction


class MultiStepDecay(Schedule):
    """Multiplied by `gamma` after given parts of the training, as ``torch.optim.lr_scheduler.MultiStepLR``.

    Parameters
    ----------
    lr : float
        The highest learning rate, above 0.
    steps : int
        The length of training.
    milestones : sequence of int
        When the rate falls, counted in a unit of which training has `total`: (1, 3) of 4 is after a quarter of the
        steps and after three.
    total : int
        The length of training in the milestones' unit.
    gamma : float
        What the rate is multiplied by.
    """

    def __init__(self, lr: float, steps: int, milestones: Sequence[int], total: int, gamma: float = 0.1) -> None:
        super().__init__(lr)
        self.steps, self.total = integer("steps", steps, 1), integer("total", total, 1)
        self.milestones = [integer("milestones", milestone, 1) for milestone in milestones]
        self.gamma = fraction("gamma", gamma)

    def factor(self, step: int) -> float:
        """Return ``gamma`` to the power of the number of milestones that are reached."""
        return self.gamma ** sum(step * self.total >= milestone * self.steps for milestone in self.milestones)

    def settings(self) -> dict[str, Any]:
        """Return all but the length of training."""
        return {"gamma": self.gamma, "milestones": self.milestones, "total": self.total}


class WeightsAndBiases(Schedule):
    """A schedule for weights and another one for biases, where an optimizer has groups of both.

    Parameters
    ----------
    weights, biases : Schedule
        Neither may depend on the validation images. The highest rate is that of `weights`.

    References
    ----------
    akrizhevsky/cuda-convnet2, ``layers/layer-params-imagenet-1gpu.cfg``: ``epsW`` and ``epsB``.
    """

    def __init__(self, weights: Schedule, biases: Schedule) -> None:
        super().__init__(weights.base_lr)
        for name, schedule in (("weights", weights), ("biases", biases)):
            if schedule.state_dict():
                raise ValueError(f"{name} must be a schedule that remembers nothing, got {schedule.name}")
        self.weights, self.biases = weights, biases

    @property
    def name(self) -> str:
        """What a checkpoint calls it: both names."""
        return f"{self.weights.name}, biases {self.biases.name}"

    def factor(self, step: int) -> float:
        """Return the weights' factor."""
        return self.weights.factor(step)

    def bias_factor(self, step: int) -> float:
        """Return the biases' factor."""
        return self.biases.factor(step)

    def settings(self) -> dict[str, Any]:
        """Return those of both."""
        return {"weights": self.weights.settings(), "biases": self.biases.settings()}
