"""A linear layer, held against `naive.linear` and its gradients."""

from __future__ import annotations

from collections.abc import Callable
from types import ModuleType
from typing import Any

import numpy as np

from npalexnet import naive
from npalexnet.exercises.calls import Arguments, Array
from npalexnet.exercises.checks import windows
from npalexnet.exercises.judge import Case, Check

SIZES = [(1, 3, 3), (2, 4, 4), (3, 5, 2), (4, 1, 3)]  # N, inputs, outputs; square weights first


def _changed(x: Callable[..., Any], weight: Callable[..., Any], bias: Callable[..., Any]) -> Callable[..., Any]:
    """Return the gradients with something done to each: functions of the gradient and of grad_y."""

    def mistake(grad_y: Array, *rest: Array) -> tuple[Array, ...]:
        changes = zip((x, weight, bias), naive.linear_gradients(grad_y, *rest), strict=True)
        return tuple(np.asarray(change(gradient, grad_y)) for change, gradient in changes)

    return mistake


def _same(gradient: Array, grad_y: Array) -> Array:
    return gradient


MISTAKES: dict[str, Callable[..., Any]] = {
    "the weight is transposed: weight is (outputs, inputs), so y = x @ weight.T + bias": (
        lambda x, w, b: naive.linear(x, w.T, b)
    ),
    "the bias is forgotten": lambda x, w, b: naive.linear(x, w),
    "the bias is subtracted": lambda x, w, b: naive.linear(x, w, -b),
}
BACKWARD_MISTAKES: dict[str, Callable[..., Any]] = {
    "the weight is transposed: grad_x = grad_y @ weight": (
        lambda g, x, w: (naive.linear_gradients(g, x, w.T)[0], *naive.linear_gradients(g, x, w)[1:])
    ),
    "the gradient of the weight is transposed: it is (outputs, inputs), as the weight is: grad_y.T @ x": (
        _changed(_same, lambda w, g: w.T, _same)
    ),
    "divided by the number of images: the loss takes the mean, and grad_y has that already": (
        _changed(lambda x, g: x / len(g), lambda w, g: w / len(g), lambda b, g: b / len(g))
    ),
    "the gradient of the bias is the sum of grad_y over the images; the sum is missing": (
        _changed(_same, _same, lambda b, g: g)
    ),
    "the gradient of the bias is the sum of grad_y over the images, for each output; not one number": (
        _changed(_same, _same, lambda b, g: g.sum())
    ),
    "the gradient of the bias is the sum of grad_y over the images, not over the outputs": (
        _changed(_same, _same, lambda b, g: g.sum(1))
    ),
    "= where += is needed over the images: only the last image's gradient is left": (
        lambda g, x, w: (g @ w, g[-1:].T @ x[-1:], g[-1])
    ),
    "the sign is wrong: a gradient points uphill": _changed(lambda x, g: -x, lambda w, g: -w, lambda b, g: -b),
}


def _origin(arguments: Arguments, output: str, index: tuple[int, ...]) -> list[str]:
    x, weight, bias = arguments.values()
    n, o = index
    lines = windows.beside((f"x[{n}]", x[n]), (f"weight[{o}]", weight[o]))
    return [*lines, f"the sum of the products is {x[n] @ weight[o]:g}, the bias {bias[o]:g}"]


def _backward_origin(arguments: Arguments, output: str, index: tuple[int, ...]) -> list[str]:
    grad_y, x, weight = arguments.values()
    if output == "grad_x":
        n, i = index
        return windows.beside((f"grad_y[{n}]", grad_y[n]), (f"weight[:, {i}]", weight[:, i]))
    shown = [(f"grad_y[:, {index[0]}]", grad_y[:, index[0]])]
    return windows.beside(*shown, *([(f"x[:, {index[1]}]", x[:, index[1]])] if output == "grad_weight" else []))


def _objective(arguments: Arguments, module: ModuleType) -> list[tuple[Array, Callable[[Array], float]]]:
    grad_y, x, weight = arguments.values()
    bias = np.zeros(len(weight))

    def f(x: Array, weight: Array, bias: Array) -> float:
        return float((grad_y * module.linear(x, weight, bias)).sum())

    return [
        (x, lambda moved: f(moved, weight, bias)),
        (weight, lambda moved: f(x, moved, bias)),
        (bias, lambda moved: f(x, weight, moved)),
    ]


def _torch(x: Array, weight: Array, bias: Array) -> Array:
    import torch

    return torch.nn.functional.linear(*(torch.from_numpy(array) for array in (x, weight, bias))).numpy()


def _torch_backward(grad_y: Array, x: Array, weight: Array) -> tuple[Array, ...]:
    import torch

    moved = [torch.from_numpy(array).requires_grad_() for array in (x, weight, np.zeros(len(weight)))]
    y = torch.nn.functional.linear(*moved)
    return tuple(gradient.numpy() for gradient in torch.autograd.grad(y, moved, torch.from_numpy(grad_y)))


def _arrays(N: int, inputs: int, outputs: int) -> Arguments:
    return {"x": windows.integers((N, inputs), N), "weight": windows.integers((outputs, inputs), N + 9)}


CHECKS = {
    "linear": [
        Check(
            "linear", ("y",), [Case(_arrays(*s) | {"bias": windows.integers(s[2:], 7)}) for s in SIZES], naive.linear,
            MISTAKES, origin=_origin, torch=_torch,
        ),
        Check(
            "linear_backward", ("grad_x", "grad_weight", "grad_bias"),
            [Case({"grad_y": windows.integers((s[0], s[2]), 5)} | _arrays(*s)) for s in SIZES], naive.linear_gradients,
            BACKWARD_MISTAKES, origin=_backward_origin, objective=_objective, torch=_torch_backward,
        ),
    ]
}  # fmt: skip
