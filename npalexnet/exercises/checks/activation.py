"""ReLU, held against `naive.relu` and its gradient."""

from __future__ import annotations

from collections.abc import Callable
from types import ModuleType
from typing import Any

import numpy as np

from npalexnet import naive
from npalexnet.exercises.calls import Arguments, Array
from npalexnet.exercises.checks import windows
from npalexnet.exercises.judge import Case, Check

MISTAKES: dict[str, Callable[..., Any]] = {
    "the magnitude is taken: negative numbers become 0": np.abs,
    "the negative numbers are kept, and the positive ones become 0": lambda x: np.minimum(x, 0),
    "1 is returned where x is above 0: it is x": lambda x: (x > 0).astype("float64"),
    "negative numbers are not cut off": lambda x: x,
}
BACKWARD_MISTAKES: dict[str, Callable[..., Any]] = {
    "the mask is taken from grad_y: the gradient passes where x is above 0": lambda g, x: g * (g > 0),
    "the gradient passes where x is 0, too: it does where x is above 0 alone": lambda g, x: g * (x >= 0),
    "the gradient is left out: where x is above 0 it is grad_y, not 1": lambda g, x: (x > 0).astype("float64"),
    "the gradient is multiplied by x: the slope of ReLU is 1 or 0": lambda g, x: g * np.maximum(x, 0),
    "the mask is the wrong way round: the gradient passes where x is above 0": lambda g, x: g * (x < 0),
    "the gradient passes everywhere: it does where x is above 0 alone": lambda g, x: g,
}


def _origin(arguments: Arguments, output: str, index: tuple[int, ...]) -> list[str]:
    where = ", ".join(map(str, index))
    return [f"there {name}[{where}] = {array[index]:g}" for name, array in arguments.items()]


def _objective(arguments: Arguments, module: ModuleType) -> list[tuple[Array, Callable[[Array], float]]]:
    grad_y, x = arguments.values()
    return [(x, lambda moved: float((grad_y * module.relu(moved)).sum()))]


def _torch(x: Array) -> Array:
    import torch

    return torch.relu(torch.from_numpy(x)).numpy()


def _torch_backward(grad_y: Array, x: Array) -> Array:
    import torch

    moved = torch.from_numpy(x).requires_grad_()
    return torch.autograd.grad(torch.relu(moved), moved, torch.from_numpy(grad_y))[0].numpy()


_SHAPES = [(6,), (3, 4), (2, 3, 2, 5)]
_WITH_ZEROS = np.array([[0.0, -1.0, 2.0], [3.0, 0.0, -0.0]])
CHECKS = {
    "relu": [
        Check(
            "relu", ("y",), [Case({"x": x}) for x in (*(windows.distinct(s, 1) for s in _SHAPES), _WITH_ZEROS)],
            naive.relu, MISTAKES, origin=_origin, torch=_torch,
        ),
        Check(
            "relu_backward", ("grad_x",),
            [
                *(Case({"grad_y": windows.integers(s, 2), "x": windows.distinct(s, 1)}) for s in _SHAPES),
                Case({"grad_y": windows.integers((2, 3), 3), "x": _WITH_ZEROS}, smooth=False),
            ],
            naive.relu_gradient, BACKWARD_MISTAKES, origin=_origin, objective=_objective, torch=_torch_backward,
        ),
    ]
}  # fmt: skip
