"""Convolution, held against `naive.conv2d`."""

from __future__ import annotations

from typing import Any

import numpy as np

from npalexnet import naive
from npalexnet.exercises.calls import Arguments, Array
from npalexnet.exercises.checks import windows
from npalexnet.exercises.judge import Case, Check


def case(x: Any, weight: Any, stride: int, padding: int, seed: int) -> Case:
    """Return a case with arrays of these shapes."""
    arrays = windows.integers(x, seed), windows.integers(weight, seed + 1), windows.integers(weight[:1], seed + 2)
    return Case(dict(zip(("x", "weight", "bias"), arrays, strict=True)) | {"stride": stride, "padding": padding})


GEOMETRIES = [  # x, weight, stride, padding, seed; small ones first, sizes that don't divide
    ((1, 1, 4, 5), (1, 1, 3, 3), 2, 1, 1),
    ((2, 3, 5, 7), (2, 3, 2, 3), 2, 1, 2),
    ((2, 2, 6, 5), (3, 2, 3, 2), 3, 2, 3),
    ((1, 2, 5, 4), (2, 2, 2, 2), 1, 0, 4),
    ((2, 1, 4, 4), (1, 1, 4, 4), 1, 0, 5),
]


def conv2d(x: Array, weight: Array, bias: Array, stride: int, padding: int) -> Array:
    """Convolve by the definition."""
    return naive.conv2d(x, weight, bias, (stride, stride), (padding, padding), (1, 1), 1)


def _shifted(x: Array, weight: Array, bias: Array, stride: int, padding: int) -> Array:
    """The windows begin at row 0 and column 0: as if all of the padding were below and right of the image."""
    padded = np.pad(x, ((0, 0), (0, 0), (0, 2 * padding), (0, 2 * padding)))
    return conv2d(padded, weight, bias, stride, 0)


def _unstrided(x: Array, weight: Array, bias: Array, stride: int, padding: int) -> Array:
    y = conv2d(x, weight, bias, stride, padding)
    return conv2d(x, weight, bias, 1, padding)[:, :, : y.shape[2], : y.shape[3]]


def _strided_once(x: Array, weight: Array, bias: Array, stride: int, padding: int) -> Array:
    y = conv2d(x, weight, bias, stride, padding)
    return conv2d(x, weight, bias, 1, padding)[:, :, ::stride, : y.shape[3]][:, :, : y.shape[2]]


def _last_product(x: Array, weight: Array, bias: Array, stride: int, padding: int, again: float = 0.0) -> Array:
    """What is left if each product replaces what is there, to which the bias may be added again."""
    y = np.zeros_like(conv2d(x, weight, bias, stride, padding)) + bias[:, None, None]  # windows of zeros alone
    for (p, q), (i, j), (r, s) in windows.places(x.shape, weight.shape[2:], stride, padding):
        y[:, :, p, q] = x[:, -1, r, s, None] * weight[:, -1, i, j] + again * bias
    return y


def _last_channel(x: Array, weight: Array, bias: Array, stride: int, padding: int) -> Array:
    return conv2d(x[:, -1:], weight[:, -1:], bias, stride, padding)


def _too_few(x: Array, weight: Array, bias: Array, stride: int, padding: int) -> Array:
    return conv2d(x, weight, bias, stride, padding)[:, :, :-1, :-1]


def _last_element(x: Array, weight: Array, bias: Array, stride: int, padding: int) -> Array:
    """What is left if the loop is over i, j, and each pair's products replace those of the one before."""
    one = np.zeros_like(weight)
    one[:, :, -1, -1] = weight[:, :, -1, -1]
    return conv2d(x, one, bias, stride, padding)


MISTAKES = {
    windows.ROTATED: lambda x, w, b, s, p: conv2d(x, w[:, :, ::-1, ::-1], b, s, p),
    "the kernel's rows and columns are swapped: weight[o, c, j, i] for weight[o, c, i, j]": (
        lambda x, w, b, s, p: conv2d(x, w.transpose(0, 1, 3, 2), b, s, p)
    ),
    windows.SWAPPED: lambda x, w, b, s, p: conv2d(x, w, b, p, s),
    "the bias is forgotten: y[n, o] begins with bias[o]": lambda x, w, b, s, p: conv2d(x, w, 0 * b, s, p),
    "the bias is added once for each channel; it belongs to the whole sum": (
        lambda x, w, b, s, p: conv2d(x, w, b * w.shape[1], s, p)
    ),
    "the bias is added with each product; it belongs to the whole sum": (
        lambda x, w, b, s, p: conv2d(x, w, b * w[0].size, s, p)
    ),
    "the bias is subtracted": lambda x, w, b, s, p: conv2d(x, w, -b, s, p),
    "= where += is needed: only the last channel's sum is left": _last_channel,
    "= where += is needed: only the products with the kernel's last row and column, i and j, are left": _last_element,
    "= where += is needed: only the last product of each window is left": _last_product,
    "= where += is needed: only the last product of each window, and the bias, are left": (
        lambda x, w, b, s, p: _last_product(x, w, b, s, p, again=1.0)
    ),
    windows.ONE_TOO_FEW: _too_few,
    **windows.border_mistakes(conv2d),
    windows.SHIFTED: _shifted,
    windows.UNSTRIDED: _unstrided,
    windows.STRIDED_ONCE: _strided_once,
    windows.WRAPPED: lambda x, w, b, s, p: conv2d(windows.wrapped(x, p), w, b, s, 0),
    windows.FIRST_LEFT_OUT: lambda x, w, b, s, p: conv2d(windows.without_first(x), w, b, s, p),
    "the padding is left out": lambda x, w, b, s, p: conv2d(x, w, b, s, 0),
    "the image is padded at the top and at the left alone, or the number of windows counts the padding once: it is on "
    "all four sides, and counts twice": (
        lambda x, w, b, s, p: conv2d(np.pad(x, ((0, 0), (0, 0), (p, 0), (p, 0))), w, b, s, 0)
    ),
}


def _origin(arguments: Arguments, output: str, index: tuple[int, ...]) -> list[str]:
    """Show a window, its kernel, and the sum of their products."""
    x, weight, bias, stride, padding = arguments.values()
    n, o, p, q = index
    seen = windows.window(x[n], weight.shape[2:], stride, padding, p, q)
    lines = [f"its window begins at row {p * stride - padding}, column {q * stride - padding} of x[{n}]"]
    lines[0] += " (0 outside of the image)" * (padding > 0)
    for c in range(min(len(seen), 3)):
        lines += windows.beside((f"x[{n}, {c}]", seen[c]), (f"weight[{o}, {c}]", weight[o, c]))
    total = (seen * weight[o]).sum()
    return [*lines, f"the sum of the products is {total:g}, the bias {bias[o]:g}, together {total + bias[o]:g}"]


def _torch(x: Array, weight: Array, bias: Array, stride: int, padding: int) -> Array:
    import torch

    tensors = [torch.from_numpy(array) for array in (x, weight, bias)]
    return torch.nn.functional.conv2d(*tensors, stride=stride, padding=padding).numpy()


CHECKS = {
    "conv2d": [
        Check(
            "conv2d", ("y",), [case(*g) for g in GEOMETRIES], conv2d, MISTAKES, origin=_origin, torch=_torch,
            raises={IndexError: windows.OUTSIDE, ValueError: windows.PAD_ALL},
        )
    ]
}  # fmt: skip
