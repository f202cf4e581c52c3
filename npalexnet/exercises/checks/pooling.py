"""Max-pooling, held against `naive.max_pool2d` and its gradient."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from types import ModuleType
from typing import Any

import numpy as np

from npalexnet import naive
from npalexnet.exercises.calls import Arguments, Array
from npalexnet.exercises.checks import windows
from npalexnet.exercises.judge import Case, Check

GEOMETRIES = [  # x, kernel_size, stride; overlapping windows, sizes that don't divide
    ((1, 1, 5, 7), 3, 2),
    ((2, 3, 6, 5), 2, 2),
    ((2, 2, 8, 6), 3, 2),
    ((1, 2, 4, 5), 2, 1),
    ((1, 2, 7, 8), 2, 3),
]


def max_pool2d(x: Array, kernel_size: int, stride: int) -> Array:
    """Take each window's largest number, by the definition."""
    return naive.max_pool2d(x, (kernel_size, kernel_size), (stride, stride))


def backward(grad_y: Array, x: Array, kernel_size: int, stride: int) -> Array:
    """Give each window's gradient to its first largest number, by the definition."""
    return naive.max_pool2d_gradient(grad_y, x, (kernel_size, kernel_size), (stride, stride))


HANGING = "off by one at the border: windows that hang over the border don't count (the size is rounded down)"


def _hanging(count: Callable[[int, int, int], int], padding: float = -np.inf) -> Callable[..., Array]:
    """Return the maxima of ``count(H, kernel_size, stride)`` rows of windows, with `padding` beyond the border."""

    def mistake(x: Array, kernel_size: int, stride: int) -> Array:
        oH, oW = (count(size, kernel_size, stride) for size in x.shape[2:])
        more = [(0, 0)] * 2 + [(0, kernel_size + stride)] * 2
        return max_pool2d(np.pad(x, more, constant_values=padding), kernel_size, stride)[:, :, :oH, :oW]

    return mistake


MISTAKES = {
    "kernel_size and stride are swapped": lambda x, k, s: max_pool2d(x, s, k),
    "the windows don't overlap: window p begins at row p * stride, not at p * kernel_size": (
        lambda x, k, s: max_pool2d(x, k, k)
    ),
    "windows move by 1 and not by stride: window p begins at row p * stride": (
        lambda x, k, s: max_pool2d(x, k, 1)[:, :, : (x.shape[2] - k) // s + 1, : (x.shape[3] - k) // s + 1]
    ),
    "off by one at the border: there are (H - kernel_size) // stride + 1 rows of windows; the + 1 is missing": (
        lambda x, k, s: max_pool2d(x, k, s)[:, :, :-1, :-1]
    ),
    **windows.border_mistakes(max_pool2d),
    "the number of windows is (H - kernel_size) // stride + 1: it is divided by stride, not by kernel_size": (
        lambda x, k, s: max_pool2d(x, k, s)[:, :, : (x.shape[2] - k) // k + 1, : (x.shape[3] - k) // k + 1]
    ),
    HANGING: _hanging(lambda size, k, s: -(-(size - k) // s) + 1),
    HANGING + " (here, with zeros beyond the border)": _hanging(lambda size, k, s: -(-(size - k) // s) + 1, 0.0),
    "windows that hang over the border don't count: the last one begins kernel_size before the end, not at the end": (
        _hanging(lambda size, k, s: -(-size // s))
    ),
    "the number of windows is (H - kernel_size) // stride + 1, not H // stride: none hangs over the border": (
        _hanging(lambda size, k, s: size // s)
    ),
    "the maximum begins at 0, so negative numbers are lost: begin with the window's first number, or -inf": (
        lambda x, k, s: np.maximum(max_pool2d(x, k, s), 0)
    ),
    "the maximum begins at -1, so smaller numbers are lost: begin with the window's first number, or -inf": (
        lambda x, k, s: np.maximum(max_pool2d(x, k, s), -1)
    ),
    "the maximum is taken over all images and channels, too: over the window's rows and columns, axis=(2, 3)": (
        lambda x, k, s: np.broadcast_to(max_pool2d(x, k, s).max((0, 1)), max_pool2d(x, k, s).shape)
    ),
    "the average is taken, not the maximum": lambda x, k, s: naive.avg_pool2d(x, (k, k), (s, s)),
    "the smallest number is taken, not the largest": lambda x, k, s: -max_pool2d(-x, k, s),
    "the largest magnitude is taken, not the largest number": lambda x, k, s: max_pool2d(np.abs(x), k, s),
}


def _windows(x: Array, grad_y: Array, k: int, s: int) -> Iterator[tuple[Any, Array, Array, Any]]:
    """Yield (slices, the window's numbers, the flags of its largest ones, the gradient) in the order of the loops."""
    for n, c, p, q in np.ndindex(grad_y.shape):
        at = (n, c, slice(p * s, p * s + k), slice(q * s, q * s + k))
        yield at, x[at], x[at] == x[at].max(), grad_y[n, c, p, q]


def _spread(add: Callable[[Array, Array, Any], Array], assign: bool = False) -> Callable[..., Array]:
    """Return the backward pass that adds ``add(numbers, flags of the largest, gradient)`` to each window."""

    def mistake(grad_y: Array, x: Array, k: int, s: int) -> Array:
        grad_x = np.zeros_like(x)
        for at, numbers, largest, g in _windows(x, grad_y, k, s):
            share = add(numbers, largest, g)
            grad_x[at] = np.where(share != 0, share, grad_x[at]) if assign else grad_x[at] + share
        return grad_x

    return mistake


def _one(largest: Array, last: bool = False) -> Array:
    """Return the flags of the first, or the last, of the largest numbers alone."""
    flags = np.zeros(largest.size)
    flags[np.flatnonzero(largest)[-1 if last else 0]] = 1
    return flags.reshape(largest.shape)


def _unplaced(grad_y: Array, x: Array, k: int, s: int) -> Array:
    """Every window's gradient goes where it would if the window were the first of the image."""
    grad_x = np.zeros_like(x)
    for (n, c, *_), _, largest, g in _windows(x, grad_y, k, s):
        grad_x[n, c, :k, :k] += g * _one(largest)
    return grad_x


def _replaced(grad_y: Array, x: Array, k: int, s: int) -> Array:
    """Each window's whole gradient replaces what is there, zeros included."""
    grad_x = np.zeros_like(x)
    for at, _, largest, g in _windows(x, grad_y, k, s):
        grad_x[at] = g * _one(largest)
    return grad_x


BACKWARD_MISTAKES: dict[str, Callable[..., Any]] = {
    "the gradient goes to all ties: where several numbers of a window are the largest, the first one alone gets it": (
        _spread(lambda numbers, largest, g: g * largest)
    ),
    "the gradient is shared among ties: where several numbers of a window are the largest, the first one gets it all": (
        _spread(lambda numbers, largest, g: g * largest / largest.sum())
    ),
    "the gradient goes to the last of ties: it belongs to the first, row by row": (
        _spread(lambda numbers, largest, g: g * _one(largest, last=True))
    ),
    windows.ASSIGNED: _spread(lambda numbers, largest, g: g * _one(largest), assign=True),
    windows.ASSIGNED + " (and a window's zeros replace it, too)": _replaced,
    "= where += is needed (and the gradient goes to all ties: the first one alone gets it)": (
        _spread(lambda numbers, largest, g: g * largest, assign=True)
    ),
    "the gradient is spread over the whole window, as average-pooling does; the largest number gets all of it": (
        _spread(lambda numbers, largest, g: np.full(largest.shape, g / largest.size))
    ),
    "every number of the window gets the gradient; the largest one alone does": (
        _spread(lambda numbers, largest, g: np.full(largest.shape, g))
    ),
    "the gradient is multiplied by the number itself: the slope of a maximum is 1": (
        _spread(lambda numbers, largest, g: g * numbers * _one(largest))
    ),
    "the window's place is forgotten: row i of window p is row p * stride + i of the image": _unplaced,
    "the gradient is left out: the largest number of a window gets grad_y of that window, not 1": (
        _spread(lambda numbers, largest, g: _one(largest))
    ),
}


def _origin(arguments: Arguments, output: str, index: tuple[int, ...]) -> list[str]:
    x, k, s = arguments.values()
    n, c, p, q = index
    seen = windows.window(x[n, c], (k, k), s, 0, p, q)
    return [f"its window begins at row {p * s}, column {q * s}", *windows.beside((f"x[{n}, {c}]", seen))]


def _backward_origin(arguments: Arguments, output: str, index: tuple[int, ...]) -> list[str]:
    grad_y, x, k, s = arguments.values()
    n, c, r, t = index

    def value(w: tuple[int, ...], o: tuple[int, ...]) -> str:
        seen = windows.window(x[n, c], (k, k), s, 0, *w)
        first = tuple(int(i) for i in np.unravel_index(seen.argmax(), seen.shape))
        wins = "it is the first largest" if first == o else f"the largest is at row {first[0]}, column {first[1]}"
        return f"{grad_y[(n, c, *w)] if first == o else 0:g} ({wins} of {seen.tolist()})"

    return windows.contributions(x.shape, (k, k), s, 0, (r, t), value)


def _objective(arguments: Arguments, module: ModuleType) -> list[tuple[Array, Callable[[Array], float]]]:
    grad_y, x, k, s = arguments.values()
    return [(x, lambda moved: float((grad_y * max_pool2d(moved, k, s)).sum()))]


def _torch(x: Array, kernel_size: int, stride: int) -> Array:
    import torch

    return torch.nn.functional.max_pool2d(torch.from_numpy(x), kernel_size, stride).numpy()


def _torch_backward(grad_y: Array, x: Array, kernel_size: int, stride: int) -> Array:
    import torch

    moved = torch.from_numpy(x).requires_grad_()
    y = torch.nn.functional.max_pool2d(moved, kernel_size, stride)
    return torch.autograd.grad(y, moved, torch.from_numpy(grad_y))[0].numpy()


def _case(x: tuple[int, ...], kernel_size: int, stride: int, seed: int) -> Case:
    return Case({"x": windows.distinct(x, seed), "kernel_size": kernel_size, "stride": stride})


def _backward_case(x: Array, kernel_size: int, stride: int, smooth: bool) -> Case:
    shape = max_pool2d(x, kernel_size, stride).shape
    rest = {"x": x, "kernel_size": kernel_size, "stride": stride}
    return Case({"grad_y": windows.integers(shape, 5), **rest}, smooth)


# Pixels after a ReLU: many zeros, so that many windows have ties.
_TIES = np.maximum(windows.integers((2, 2, 6, 7), 3), 0)
CHECKS = {
    "max_pool2d": [
        Check(
            "max_pool2d", ("y",), [_case(*g, i) for i, g in enumerate(GEOMETRIES)], max_pool2d, MISTAKES,
            origin=_origin, torch=_torch,
            raises={
                IndexError: "a window hangs over the border; there are (H - kernel_size) // stride + 1 rows of windows"
            },
        ),
        Check(
            "max_pool2d_backward", ("grad_x",),
            [
                *(_backward_case(windows.distinct(g[0], i), *g[1:], True) for i, g in enumerate(GEOMETRIES)),
                _backward_case(_TIES, 3, 2, False), _backward_case(np.zeros((1, 1, 5, 5)), 3, 2, False),
            ],
            backward, BACKWARD_MISTAKES, origin=_backward_origin, objective=_objective, torch=_torch_backward,
        ),
    ]
}  # fmt: skip
