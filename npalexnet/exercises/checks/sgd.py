"""A step of SGD with momentum, held against its formula, number by number, and against torch's optimizer."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from npalexnet.exercises.calls import Arguments, Array
from npalexnet.exercises.checks import windows
from npalexnet.exercises.judge import Case, Check

Two = tuple[Array, Array]


def step(weight: Array, gradient: Array, velocity: Array, lr: float, momentum: float) -> Two:
    """``v = momentum * v + g``, then ``w = w - lr * v``."""
    w, v = np.zeros_like(weight), np.zeros_like(velocity)
    for i in np.ndindex(weight.shape):
        v[i] = momentum * velocity[i] + gradient[i]
        w[i] = weight[i] - lr * v[i]
    return w, v


MISTAKES: dict[str, Callable[..., Any]] = {
    "momentum order: the weight moves along the old velocity; first the velocity changes, then the weight moves along "
    "the new one": lambda w, g, v, lr, m: (w - lr * v, m * v + g),
    "momentum is left out: w - lr * gradient is plain gradient descent": lambda w, g, v, lr, m: (w - lr * g, g),
    "the sign is wrong: the weight moves against the velocity, downhill": (
        lambda w, g, v, lr, m: (w + lr * (m * v + g), m * v + g)
    ),
    "the learning rate is missing: w - lr * v": lambda w, g, v, lr, m: (w - m * v - g, m * v + g),
    "the learning rate is in the velocity; here it multiplies the velocity when the weight moves": (
        lambda w, g, v, lr, m: (w - m * v - lr * g, m * v + lr * g)
    ),
    "the learning rate is in the velocity and in the step": (
        lambda w, g, v, lr, m: (w - lr * (m * v + lr * g), m * v + lr * g)
    ),
    "momentum order: momentum multiplies the gradient, too: v = momentum * v + gradient": (
        lambda w, g, v, lr, m: (w - lr * m * (v + g), m * (v + g))
    ),
    "the gradient is multiplied by 1 - momentum: that is an average; here v = momentum * v + gradient": (
        lambda w, g, v, lr, m: (w - lr * (m * v + (1 - m) * g), m * v + (1 - m) * g)
    ),
    "this is Nesterov's momentum: the weight moves along the velocity alone": (
        lambda w, g, v, lr, m: (w - lr * (g + m * (m * v + g)), m * v + g)
    ),
    "the gradient is subtracted from the velocity: v = momentum * v + gradient, and w = w - lr * v": (
        lambda w, g, v, lr, m: (w + lr * (m * v - g), m * v - g)
    ),
    "the learning rate and a minus are in the velocity; here v = momentum * v + gradient, and w = w - lr * v": (
        lambda w, g, v, lr, m: (w + (m * v - lr * g), m * v - lr * g)
    ),
    "the two are returned the other way round: first the weight, then the velocity": (
        lambda w, g, v, lr, m: (m * v + g, w - lr * (m * v + g))
    ),
    "momentum multiplies the gradient instead of the velocity": (
        lambda w, g, v, lr, m: (w - lr * (v + m * g), v + m * g)
    ),
    "the old velocity is returned": lambda w, g, v, lr, m: (w - lr * (m * v + g), v),
    "the velocity is returned with another sign": lambda w, g, v, lr, m: (w - lr * (m * v + g), -(m * v + g)),
}


def _origin(arguments: Arguments, output: str, index: tuple[int, ...]) -> list[str]:
    weight, gradient, velocity, lr, momentum = arguments.values()
    w, g, v = weight[index], gradient[index], velocity[index]
    new = momentum * v + g
    return [
        f"the velocity becomes {momentum:g} * {v:g} + {g:g} = {new:g}",
        f"the weight becomes {w:g} - {lr:g} * {new:g} = {w - lr * new:g}",
    ]


def _torch(weight: Array, gradient: Array, velocity: Array, lr: float, momentum: float) -> Two:
    import torch

    parameter = torch.from_numpy(weight).requires_grad_()
    parameter.grad = torch.from_numpy(gradient)
    optimizer = torch.optim.SGD([parameter], lr=lr, momentum=momentum)
    optimizer.state[parameter]["momentum_buffer"] = torch.from_numpy(velocity)
    optimizer.step()
    return parameter.detach().numpy(), optimizer.state[parameter]["momentum_buffer"].numpy()


def _case(shape: tuple[int, ...], lr: float, momentum: float, *, first: bool = False) -> Case:
    velocity = windows.integers(shape, 3) * (not first)
    arrays = {"weight": windows.integers(shape, 1), "gradient": windows.integers(shape, 2), "velocity": velocity}
    return Case(arrays | {"lr": lr, "momentum": momentum})


CASES = [
    _case((3,), 0.1, 0.5),
    _case((2, 3), 0.01, 0.9),
    _case((2, 2, 3), 0.5, 0.9, first=True),
    _case((4,), 2.0, 0.25),
]
CHECKS = {
    "sgd": [
        Check(
            "sgd_step", ("weight", "velocity"), CASES, step, MISTAKES, origin=_origin, torch=_torch, may_change=True
        )
    ]
}  # fmt: skip
