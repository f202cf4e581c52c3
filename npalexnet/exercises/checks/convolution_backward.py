"""A convolution's gradients, held against `naive.conv2d_gradients` and against finite differences of the definition."""

from __future__ import annotations

from collections.abc import Callable
from types import ModuleType
from typing import Any

import numpy as np

from npalexnet import naive
from npalexnet.exercises.calls import Arguments, Array
from npalexnet.exercises.checks import columns, windows
from npalexnet.exercises.checks.convolution import GEOMETRIES, case, conv2d
from npalexnet.exercises.judge import Case, Check

Three = tuple[Array, Array, Array]


def gradients(grad_y: Array, x: Array, weight: Array, stride: int, padding: int) -> Three:
    """Differentiate by the definition."""
    return naive.conv2d_gradients(grad_y, x, weight, (stride, stride), (padding, padding), (1, 1), 1)


def _case(*geometry: Any) -> Case:
    forward = case(*geometry).arguments
    bias = forward.pop("bias")
    shape = conv2d(forward["x"], forward["weight"], bias, forward["stride"], forward["padding"]).shape
    return Case({"grad_y": windows.integers(shape, geometry[-1] + 10), **forward})


def _wrong_x(from_columns: Callable[..., Array]) -> Callable[..., Three]:
    """Return the gradients with another col2im."""

    def mistake(grad_y: Array, x: Array, weight: Array, stride: int, padding: int) -> Three:
        rows = grad_y.transpose(0, 2, 3, 1).reshape(-1, len(weight)) @ weight.reshape(len(weight), -1)
        _, grad_weight, grad_bias = gradients(grad_y, x, weight, stride, padding)
        return from_columns(rows, x.shape, weight.shape[2:], stride, padding), grad_weight, grad_bias

    return mistake


def _changed(
    x: Callable[[Array], Array] = np.asarray,
    weight: Callable[[Array], Array] = np.asarray,
    bias: Callable[[Array, Array], Array] = lambda b, g: b,
) -> Callable[..., Three]:
    """Return the gradients with something done to each."""

    def mistake(grad_y: Array, *rest: Any) -> Three:
        grad_x, grad_weight, grad_bias = gradients(grad_y, *rest)
        return x(grad_x), weight(grad_weight), bias(grad_bias, grad_y)

    return mistake


def _last_image(grad_y: Array, x: Array, weight: Array, stride: int, padding: int) -> Three:
    _, grad_weight, grad_bias = gradients(grad_y[-1:], x[-1:], weight, stride, padding)
    return gradients(grad_y, x, weight, stride, padding)[0], grad_weight, grad_bias


def _per_image(change: str) -> Callable[..., Three]:
    def mistake(grad_y: Array, x: Array, weight: Array, stride: int, padding: int) -> Three:
        grad_x, grad_weight, grad_bias = gradients(grad_y, x, weight, stride, padding)
        if change == "mean":
            return grad_x / len(x), grad_weight / len(x), grad_bias / len(x)
        windows_, pixels = grad_y[0, 0].size, grad_y[:, 0].size
        return (
            grad_x,
            grad_weight / (windows_ if change == "windows" else pixels),
            grad_bias / (windows_ if change == "windows" else pixels),
        )

    return mistake


def _last_products(grad_y: Array, x: Array, weight: Array, stride: int, padding: int) -> Three:
    """What is left of each sum if every product replaces the one before: loops over n, o, p, q, then c, i, j."""
    grad_weight = np.zeros_like(weight)
    for (p, q), (i, j), (r, s) in windows.places(x.shape, weight.shape[2:], stride, padding):
        grad_weight[:, :, i, j] = np.multiply.outer(grad_y[-1, :, p, q], x[-1, :, r, s])
    assigned = _wrong_x(columns.COL2IM_MISTAKES[windows.ASSIGNED])
    return assigned(grad_y[:, -1:], x, weight[-1:], stride, padding)[0], grad_weight, grad_y[-1, :, -1, -1]


def _last_window(grad_y: Array, x: Array, weight: Array, stride: int, padding: int) -> Three:
    """Each window in turn replaces the gradient of the weights."""
    grad_x, _, grad_bias = gradients(grad_y, x, weight, stride, padding)
    window = windows.window(x[-1], weight.shape[2:], stride, padding, grad_y.shape[2] - 1, grad_y.shape[3] - 1)
    return grad_x, np.multiply.outer(grad_y[-1, :, -1, -1], window), grad_bias


def _channels_last(grad_y: Array, x: Array, weight: Array, stride: int, padding: int) -> Three:
    """The numbers of a kernel are in another order than those of a row of the columns."""
    O, C, *kernel_size = weight.shape
    moved = weight.transpose(0, 2, 3, 1).reshape(weight.shape)
    grad_x, grad_weight, grad_bias = gradients(grad_y, x, moved, stride, padding)
    return grad_x, grad_weight.reshape(O, *kernel_size, C).transpose(0, 3, 1, 2), grad_bias


def _rotated(grad_y: Array, x: Array, weight: Array, stride: int, padding: int) -> Three:
    return (gradients(grad_y, x, weight[:, :, ::-1, ::-1], stride, padding)[0],
            *gradients(grad_y, x, weight, stride, padding)[1:])  # fmt: skip


def _unstrided(grad_y: Array, x: Array, weight: Array, stride: int, padding: int) -> Three:
    moved = conv2d(x, weight, np.zeros(len(weight)), 1, padding)
    moved[:] = 0
    moved[:, :, : grad_y.shape[2], : grad_y.shape[3]] = grad_y
    return gradients(moved, x, weight, 1, padding)


def _reshaped(matrix: Callable[[Array], Array]) -> Callable[..., Three]:
    """Return the gradients by another matrix, (N*oH*oW, O), of grad_y."""

    def mistake(grad_y: Array, *rest: Any) -> Three:
        N, O, oH, oW = grad_y.shape
        return gradients(matrix(grad_y).reshape(N, oH, oW, O).transpose(0, 3, 1, 2), *rest)

    return mistake


def _wrapped(grad_y: Array, x: Array, weight: Array, stride: int, padding: int) -> Three:
    grad_x, _, grad_bias = _wrong_x(columns._wrapped)(grad_y, x, weight, stride, padding)
    return grad_x, gradients(grad_y, windows.wrapped(x, padding), weight, stride, 0)[1], grad_bias


def _without_first(grad_y: Array, x: Array, weight: Array, stride: int, padding: int) -> Three:
    grad_x, _, grad_bias = gradients(grad_y, x, weight, stride, padding)
    grad_weight = gradients(grad_y, windows.without_first(x), weight, stride, padding)[1]
    return windows.without_first(grad_x), grad_weight, grad_bias


def _unpadded(grad_y: Array, x: Array, weight: Array, stride: int, padding: int) -> Three:
    """The windows begin at 0 instead of -padding."""
    padded = np.pad(x, ((0, 0), (0, 0), (0, 2 * padding), (0, 2 * padding)))
    grad_x, grad_weight, grad_bias = gradients(grad_y, padded, weight, stride, 0)
    return grad_x[:, :, : x.shape[2], : x.shape[3]], grad_weight, grad_bias


BIAS = "the gradient of the bias is a sum over images and windows"
BIAS_MISTAKES: dict[str, Callable[[Array, Array], Array]] = {
    ": the sum over images is missing": lambda b, g: g.sum((2, 3)),
    ": the sum over windows is missing": lambda b, g: g.sum(0),
    ", and the sum is missing": lambda b, g: g,
    ": the sum over the rows of G is missing": lambda b, g: g.transpose(0, 2, 3, 1).reshape(-1, len(b)),
    ": the sum over the columns of windows is missing": lambda b, g: g.sum((0, 2)),
    ": the sum over the rows of windows is missing": lambda b, g: g.sum((0, 3)),
    ", not over the output channels": lambda b, g: g.sum((1, 2, 3)),
    ", not over the outputs: sum G over its rows, axis 0": lambda b, g: g.sum(1).reshape(-1),
    ", not one number": lambda b, g: np.asarray(g.sum()),
}
MISTAKES: dict[str, Callable[..., Any]] = {
    windows.ASSIGNED: _wrong_x(columns.COL2IM_MISTAKES[windows.ASSIGNED]),
    windows.ASSIGNED + " (here, over all offsets i, j inside the windows)": _wrong_x(
        columns.COL2IM_MISTAKES[windows.ASSIGNED + " (here, over all offsets i, j inside the windows)"]
    ),
    "= where += is needed: only the last of the products is left": _last_products,
    "= where += is needed: of the weights' gradient only the last window's part is left": _last_window,
    "the kernel is rotated by 180 degrees: a window's pixel (i, j) gets grad_y * weight[o, c, i, j]": _rotated,
    "the gradient of the weights is rotated by 180 degrees": _changed(weight=lambda w: w[:, :, ::-1, ::-1]),
    "the gradient of the weights has rows and columns swapped": _changed(weight=lambda w: w.transpose(0, 1, 3, 2)),
    "columns.T @ G is (C*kH*kW, O), a kernel in each column: the gradient of the weights is G.T @ columns": (
        _changed(weight=lambda w: w.reshape(len(w), -1).T.reshape(w.shape))
    ),
    "columns.T @ G, (C*kH*kW, O), has a kernel in each column: the weights' gradient is its transpose, reshaped": (
        _changed(weight=lambda w: w.reshape(len(w), -1).T)
    ),
    "the gradient of the weights is a row for each kernel, (O, C*kH*kW): reshape it like weight": (
        _changed(weight=lambda w: w.reshape(len(w), -1))
    ),
    "a kernel's numbers are in another order than those of the columns: both are (C, kH, kW)": _channels_last,
    "= where += is needed over the images: only the last image's gradient is left": _last_image,
    "divided by the number of images: the loss takes the mean, and grad_y has that already": _per_image("mean"),
    "the mean over the windows is taken: gradients add up": _per_image("windows"),
    "the mean over images and windows is taken: gradients add up": _per_image("pixels"),
    windows.CUT: _unpadded,
    "the padding is not cut off: grad_x is the image without it": _wrong_x(columns._uncut),
    **{BIAS + rest: _changed(bias=change) for rest, change in BIAS_MISTAKES.items()},
    windows.EMPTY: _wrong_x(columns.COL2IM_MISTAKES[windows.EMPTY]),
    windows.UNSTRIDED: _unstrided,
    windows.WRAPPED: _wrapped,
    windows.FIRST_LEFT_OUT: _without_first,
    "grad_y is reshaped without its transpose: G, (N*oH*oW, O), is grad_y.transpose(0, 2, 3, 1).reshape(-1, O)": (
        _reshaped(lambda g: g.reshape(-1, g.shape[1]))
    ),
    "G is grad_y.transpose(0, 2, 3, 1).reshape(-1, O), not reshape(O, -1).T": (
        _reshaped(lambda g: g.reshape(g.shape[1], -1).T)
    ),
    "the sign is wrong: a gradient points uphill": _changed(lambda x: -x, lambda w: -w, lambda b, g: -b),
}  # fmt: skip


def _origin(arguments: Arguments, output: str, index: tuple[int, ...]) -> list[str]:
    """Show the products that the element is the sum of."""
    grad_y, x, weight, stride, padding = arguments.values()
    if output == "grad_bias":
        return [
            f"it is the sum of grad_y[:, {index[0]}]:",
            *windows.beside((f"grad_y[0, {index[0]}]", grad_y[0, index[0]])),
        ]
    if output == "grad_x":
        n, c, r, s = index

        def value(w: tuple[int, ...], o: tuple[int, ...]) -> str:
            terms = [f"{grad_y[(n, k, *w)]:g} * {weight[(k, c, *o)]:g}" for k in range(len(weight))]
            return f"grad_y[{n}, o, {w[0]}, {w[1]}] * weight[o, {c}, {o[0]}, {o[1]}], summed: {' + '.join(terms)}"

        return windows.contributions(x.shape, weight.shape[2:], stride, padding, (r, s), value)
    o, c, i, j = index
    oH, oW = grad_y.shape[2:]
    met = np.pad(x, ((0, 0), (0, 0), (padding,) * 2, (padding,) * 2))[0, c, i::stride, j::stride][:oH, :oW]
    return [
        "it is the sum, over images and windows, of grad_y times the pixel that this weight met; for image 0:",
        *windows.beside((f"grad_y[0, {o}]", grad_y[0, o]), (f"pixels of x[0, {c}]", met)),
    ]


def _objective(arguments: Arguments, module: ModuleType) -> list[tuple[Array, Callable[[Array], float]]]:
    grad_y, x, weight, stride, padding = arguments.values()
    bias = np.zeros(len(weight))

    def f(x: Array, weight: Array, bias: Array) -> float:
        return (grad_y * conv2d(x, weight, bias, stride, padding)).sum()

    return [
        (x, lambda moved: f(moved, weight, bias)),
        (weight, lambda moved: f(x, moved, bias)),
        (bias, lambda moved: f(x, weight, moved)),
    ]


def _torch(grad_y: Array, x: Array, weight: Array, stride: int, padding: int) -> Three:
    import torch

    moved = [torch.from_numpy(array).requires_grad_() for array in (x, weight, np.zeros(len(weight)))]
    y = torch.nn.functional.conv2d(*moved, stride=stride, padding=padding)
    found = torch.autograd.grad(y, moved, torch.from_numpy(grad_y))
    return found[0].numpy(), found[1].numpy(), found[2].numpy()


CHECKS = {
    "conv2d_backward": [
        Check(
            "conv2d_backward", ("grad_x", "grad_weight", "grad_bias"), [_case(*g) for g in GEOMETRIES], gradients,
            MISTAKES, origin=_origin, objective=_objective, torch=_torch,
            raises={IndexError: windows.OUTSIDE, ValueError: windows.PAD_ALL},
        )
    ]
}  # fmt: skip
