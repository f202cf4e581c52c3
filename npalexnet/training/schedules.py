"""Schedules: which learning rate each step gets.

A schedule knows the highest rate and gives ``lr(step)``, with steps counted from 0. What it remembers is in
`state_dict`; only `Plateau` remembers anything.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from math import cos, inf, isfinite, pi
from typing import Any

from npalexnet.checks import integer
from npalexnet.fields import Float, Int, Kind, Nullable, Record
from npalexnet.training.milestones import MultiStepDecay, WeightsAndBiases
from npalexnet.training.schedule import Schedule, fraction


class Constant(Schedule):
    """The same rate at every step."""

    def factor(self, step: int) -> float:
        """Return 1."""
        return 1.0


class LinearDecay(Schedule):
    """Falls in a straight line, to 0 behind the last step: ``lr * (1 - step / steps)``.

    References
    ----------
    L.-C. Chen et al., "DeepLab", 2017, section 4.1: the "poly" policy, here with power 1.
    """

    def __init__(self, lr: float, steps: int) -> None:
        super().__init__(lr)
        self.steps = integer("steps", steps, 1)

    def factor(self, step: int) -> float:
        """Return ``1 - step / steps``, and 0 from there on."""
        return max(0.0, 1 - step / self.steps)


class StepDecay(Schedule):
    """Multiplied by `gamma` every `step_size` steps, as ``torch.optim.lr_scheduler.StepLR``.

    References
    ----------
    K. He et al., "Deep Residual Learning for Image Recognition", 2016, section 4.2: by ten at fixed iterations.
    """

    def __init__(self, lr: float, step_size: int, gamma: float = 0.1) -> None:
        super().__init__(lr)
        self.step_size = integer("step_size", step_size, 1)
        self.gamma = fraction("gamma", gamma)

    def factor(self, step: int) -> float:
        """Return ``gamma ** (step // step_size)``."""
        return self.gamma ** (step // self.step_size)

    def settings(self) -> dict[str, Any]:
        """Return gamma; `step_size` follows from the length of training."""
        return {"gamma": self.gamma}


class CosineDecay(Schedule):
    """Half a wave of the cosine from `lr` down to 0, as ``CosineAnnealingLR``; 0 from its end on.

    References
    ----------
    I. Loshchilov and F. Hutter, "SGDR: Stochastic Gradient Descent with Warm Restarts", 2017, equation 5, no restarts.
    """

    def __init__(self, lr: float, steps: int) -> None:
        super().__init__(lr)
        self.steps = integer("steps", steps, 1)

    def factor(self, step: int) -> float:
        """Return ``(1 + cos(pi * step / steps)) / 2``."""
        return (1 + cos(pi * min(step, self.steps) / self.steps)) / 2


class Plateau(Schedule):
    """Divided by ten whenever the error on the validation images has stopped falling, as ``ReduceLROnPlateau``.

    The paper's rule, with its "stopped improving" made exact: more than `patience` evaluations in a row that do not
    bring the error below ``best * (1 - threshold)``. At most `reductions` times.

    References
    ----------
    A. Krizhevsky, I. Sutskever and G. Hinton, "ImageNet Classification with Deep Convolutional Neural Networks", 2012,
    section 5: "divide the learning rate by 10 when the validation error rate stopped improving with the current
    learning rate", from 0.01 on, three times.
    """

    def __init__(
        self, lr: float, *, gamma: float = 0.1, patience: int = 2, threshold: float = 1e-4, reductions: int = 3
    ) -> None:
        super().__init__(lr)
        self.gamma, self.threshold = fraction("gamma", gamma), fraction("threshold", threshold)
        self.patience = integer("patience", patience, 0)
        self.reductions = integer("reductions", reductions, 0)
        self.best, self.bad, self.reduced = inf, 0, 0

    def factor(self, step: int) -> float:
        """Return ``gamma`` to the power of the reductions so far, whatever the step."""
        return self.gamma**self.reduced

    def report(self, error: float) -> bool:
        """Take note of the error on the validation images; returns whether the rate fell."""
        if error < self.best * (1 - self.threshold):
            self.best, self.bad = float(error), 0
            return False
        self.bad += 1
        if self.bad <= self.patience or self.reduced == self.reductions:
            return False
        self.bad, self.reduced = 0, self.reduced + 1
        return True

    def settings(self) -> dict[str, Any]:
        """Return all that decides when the rate falls, and by how much."""
        names = ("gamma", "patience", "threshold", "reductions")
        return {name: getattr(self, name) for name in names}

    def state_dict(self) -> dict[str, Any]:
        """Return the lowest error so far (None before any), bad evaluations since, and reductions."""
        return {"best": self.best if isfinite(self.best) else None, "bad": self.bad, "reduced": self.reduced}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Restore a state that `state_dict` returned."""
        fields = {"best": Nullable(Float()), "bad": Int(), "reduced": Int(0, self.reductions)}
        super().load_state_dict(Record({}, optional=fields, others=Kind()).check(dict(state)))
        self.best = inf if self.best is None else self.best


class WarmUp(Schedule):
    """Another schedule whose first steps are smaller: at step s (from 0 on) by ``min(1, (s + 1) / steps)``.

    References
    ----------
    P. Goyal et al., "Accurate, Large Minibatch SGD: Training ImageNet in 1 Hour", 2017, section 2.2.
    """

    def __init__(self, schedule: Schedule, steps: int) -> None:
        super().__init__(schedule.base_lr)
        self.schedule, self.steps = schedule, integer("steps", steps, 1)

    @property
    def name(self) -> str:
        """What a checkpoint calls it: the other one's name, and the warm-up's length."""
        return f"{self.schedule.name}, {self.steps} steps of warm-up"

    def factor(self, step: int) -> float:
        """Return the other schedule's factor, times the fraction of the warm-up that is done."""
        return min(1.0, (step + 1) / self.steps) * self.schedule.factor(step)

    def bias_factor(self, step: int) -> float:
        """Return the same of the other schedule's factor for biases."""
        return min(1.0, (step + 1) / self.steps) * self.schedule.bias_factor(step)

    def report(self, error: float) -> bool:
        """Report to the other schedule."""
        return self.schedule.report(error)

    def settings(self) -> dict[str, Any]:
        """Return the other schedule's settings; the name says how long the warm-up is."""
        return self.schedule.settings()

    def state_dict(self) -> dict[str, Any]:
        """Return the other schedule's state."""
        return self.schedule.state_dict()

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Load the other schedule's state."""
        self.schedule.load_state_dict(state)


SCHEDULES: Mapping[str, Callable[[float, int], Schedule]] = {  # of the highest rate and the number of steps
    "linear": LinearDecay,
    "constant": lambda lr, steps: Constant(lr),
    "step": lambda lr, steps: StepDecay(lr, max(1, -(-steps // 3))),  # two falls, three equal parts
    "plateau": lambda lr, steps: Plateau(lr),
    "cosine": CosineDecay,
    # The log at the end of layers/layer-params-145.cfg in computerhistory/AlexNet-Source-Code: 0.01 to begin with,
    # 0.001 after epoch 25, 0.0001 after 51, 0.00001 after 79, and the end after 91.
    "released": lambda lr, steps: MultiStepDecay(lr, steps, (25, 51, 79), 91),
    # models/bvlc_alexnet/solver.prototxt in BVLC/caffe: by ten every 100,000 of 450,000 iterations.
    "caffe": lambda lr, steps: MultiStepDecay(lr, steps, (100_000, 200_000, 300_000, 400_000), 450_000),
    # layers/layer-params-imagenet-1gpu.cfg in akrizhevsky/cuda-convnet2: in 4 equal parts down to a 250th, for biases
    # in 2 down to a tenth.
    "one-weird-trick": lambda lr, steps: WeightsAndBiases(
        MultiStepDecay(lr, steps, (1, 2, 3), 4, 250 ** (-1 / 3)), MultiStepDecay(lr, steps, (1,), 2)
    ),
}


def default_warmup(steps: int) -> int:
    """Return over how many of `steps` steps to warm up if nobody says: 20, but at most a third of all."""
    return min(20, steps // 3)


def make_schedule(name: str, lr: float, steps: int, warmup: int = 0) -> Schedule:
    """Return a schedule by its name, for `steps` steps in all, of which the first `warmup` warm up.

    Raises
    ------
    ValueError
        If no schedule has that name, or a number is out of range.
    """
    if name not in SCHEDULES:
        raise ValueError(f"schedule must be one of {', '.join(map(repr, SCHEDULES))}, got {name!r}")
    schedule = SCHEDULES[name](lr, steps)
    return WarmUp(schedule, warmup) if integer("warmup", warmup, 0) else schedule
