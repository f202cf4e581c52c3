"""im2col and col2im, held against loops over windows."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from npalexnet.exercises.calls import Arguments, Array
from npalexnet.exercises.checks import windows
from npalexnet.exercises.judge import Case, Check

Pair = tuple[int, int]
Shape = tuple[int, ...]
GEOMETRIES = [  # x, kernel_size, stride, padding
    ((1, 1, 3, 5), (2, 2), 2, 1),
    ((2, 1, 3, 4), (2, 2), 1, 0),
    ((1, 2, 4, 5), (3, 3), 2, 1),
    ((2, 2, 5, 7), (2, 3), 2, 1),
    ((2, 3, 6, 5), (3, 2), 1, 2),
    ((2, 1, 7, 6), (2, 2), 3, 1),  # windows that leave gaps
]

DENSE = ((1, 1, 2, 3), (2, 2), 1, 2)  # stride and padding swapped, there are fewer windows, and so no error


def im2col(x: Array, kernel_size: Pair, stride: int, padding: int) -> Array:
    """Return the windows of images as rows: (N, C, H, W) -> (N*oH*oW, C*kH*kW)."""
    return _rows(_windows(x, kernel_size, stride, padding))


def col2im(columns: Array, x_shape: Shape, kernel_size: Pair, stride: int, padding: int) -> Array:
    """Add each row's numbers to the pixels that they came from: the adjoint of `im2col`."""
    N, C, H, W = x_shape
    oH, oW = (windows.size(n, k, stride, padding) for n, k in zip((H, W), kernel_size, strict=True))
    cells = columns.reshape(N, oH, oW, C, *kernel_size)
    x = np.zeros(x_shape)
    for (p, q), (i, j), (r, s) in windows.places(x_shape, kernel_size, stride, padding):
        x[:, :, r, s] += cells[:, p, q, :, i, j]
    return x


def _windows(x: Array, kernel_size: Pair, stride: int, padding: int) -> Array:
    """(N, C, H, W) -> (N, oH, oW, C, kH, kW)."""
    oH, oW = (windows.size(n, k, stride, padding) for n, k in zip(x.shape[2:], kernel_size, strict=True))
    cells = np.zeros((len(x), oH, oW, x.shape[1], *kernel_size))
    for (p, q), (i, j), (r, s) in windows.places(x.shape, kernel_size, stride, padding):
        cells[:, p, q, :, i, j] = x[:, :, r, s]
    return cells


def _rows(cells: Array) -> Array:
    return cells.reshape(int(np.prod(cells.shape[:3])), -1)


def _shifted(x: Array, kernel_size: Pair, stride: int, padding: int) -> Array:
    return im2col(np.pad(x, ((0, 0), (0, 0), (0, 2 * padding), (0, 2 * padding))), kernel_size, stride, 0)


def _unstrided(x: Array, kernel_size: Pair, stride: int, padding: int) -> Array:
    oH, oW = (windows.size(n, k, stride, padding) for n, k in zip(x.shape[2:], kernel_size, strict=True))
    return _rows(_windows(x, kernel_size, 1, padding)[:, :oH, :oW])


IM2COL_MISTAKES = {
    "the columns are in another order: a row holds a window channel by channel, then row by row (C, kH, kW); here the "
    "channel moves fastest": lambda *a: _rows(_windows(*a).transpose(0, 1, 2, 4, 5, 3)),
    "a window's rows and columns are swapped: within a channel, row by row (kH, kW)": (
        lambda *a: _rows(_windows(*a).transpose(0, 1, 2, 3, 5, 4))
    ),
    "the rows are in another order: image by image, then row by row (N, oH, oW); here the image moves fastest": (
        lambda *a: _rows(_windows(*a).transpose(1, 2, 0, 3, 4, 5))
    ),
    "the rows are in another order: windows row by row (oH, oW), not column by column": (
        lambda *a: _rows(_windows(*a).transpose(0, 2, 1, 3, 4, 5))
    ),
    "the matrix is transposed: each window is a row": lambda *a: im2col(*a).T,
    "each window is rotated by 180 degrees": lambda *a: _rows(_windows(*a)[..., ::-1, ::-1]),
    windows.SWAPPED: lambda x, k, s, p: im2col(x, k, p, s),
    windows.ONE_TOO_FEW: lambda *a: _rows(_windows(*a)[:, :-1, :-1]),
    windows.SHIFTED: _shifted,
    windows.UNSTRIDED: _unstrided,
    windows.WRAPPED: lambda x, k, s, p: im2col(windows.wrapped(x, p), k, s, 0),
    windows.FIRST_LEFT_OUT: lambda x, k, s, p: im2col(windows.without_first(x), k, s, p),
    "reshaped without a transpose: numbers (N, C, oH, oW, kH, kW) must be (N, oH, oW, C, kH, kW) before reshape": (
        lambda *a: _windows(*a).transpose(0, 3, 1, 2, 4, 5).reshape(im2col(*a).shape)
    ),
    "reshaped without a transpose: numbers (N, C, kH, kW, oH, oW) must be (N, oH, oW, C, kH, kW) before reshape": (
        lambda *a: _windows(*a).transpose(0, 3, 4, 5, 1, 2).reshape(im2col(*a).shape)
    ),
    "the padding is left out": lambda x, k, s, p: im2col(x, k, s, 0),
}


def _assigned(order: str) -> Callable[..., Array]:
    def mistake(columns: Array, x_shape: Shape, kernel_size: Pair, stride: int, padding: int) -> Array:
        """Each window replaces what is there: the last window wins, or the last offset inside the windows."""
        oH, oW = (windows.size(n, k, stride, padding) for n, k in zip(x_shape[2:], kernel_size, strict=True))
        cells = columns.reshape(x_shape[0], oH, oW, x_shape[1], *kernel_size)
        places = list(windows.places(x_shape, kernel_size, stride, padding))
        x = np.zeros(x_shape)
        for (p, q), (i, j), (r, s) in places if order == "windows" else sorted(places, key=lambda place: place[1]):
            x[:, :, r, s] = cells[:, p, q, :, i, j]
        return x

    return mistake


def _uncut(columns: Array, x_shape: Shape, kernel_size: Pair, stride: int, padding: int) -> Array:
    """The image with its padding."""
    padded = (*x_shape[:2], x_shape[2] + 2 * padding, x_shape[3] + 2 * padding)
    return col2im(columns, padded, kernel_size, stride, 0)


def _averaged(least: int) -> Callable[..., Array]:
    def mistake(columns: Array, *rest: Any) -> Array:
        """Each pixel is divided by the number of its windows; by `least`, if that is more."""
        return col2im(columns, *rest) / np.maximum(col2im(np.ones_like(columns), *rest), least)

    return mistake


def _wrapped(columns: Array, x_shape: Shape, kernel_size: Pair, stride: int, padding: int) -> Array:
    """What fell on the padding at the top and at the left is added to the last rows and columns."""
    padded = (*x_shape[:2], x_shape[2] + padding, x_shape[3] + padding)  # that at the bottom and right is dropped
    whole = _uncut(columns, x_shape, kernel_size, stride, padding)[:, :, : padded[2], : padded[3]]
    x = whole[:, :, padding:, padding:].copy()
    for r, s in np.ndindex(padded[2:]):
        if r < padding or s < padding:
            x[:, :, r - padding, s - padding] += whole[:, :, r, s]
    return x


def _reordered(columns: Array, x_shape: Shape, kernel_size: Pair, stride: int, padding: int) -> Array:
    cells = columns.reshape(-1, *kernel_size, x_shape[1]).transpose(0, 3, 1, 2)
    return col2im(cells.reshape(columns.shape), x_shape, kernel_size, stride, padding)


def _untransposed(columns: Array, x_shape: Shape, kernel_size: Pair, stride: int, padding: int) -> Array:
    oH, oW = (windows.size(n, k, stride, padding) for n, k in zip(x_shape[2:], kernel_size, strict=True))
    cells = columns.reshape(*x_shape[:2], *kernel_size, oH, oW).transpose(0, 4, 5, 1, 2, 3)
    return col2im(cells.reshape(columns.shape), x_shape, kernel_size, stride, padding)


def _swapped(columns: Array, x_shape: Shape, kernel_size: Pair, stride: int, padding: int) -> Array:
    count = len(im2col(np.zeros(x_shape), kernel_size, padding, stride))  # of rows that are then looked at
    return col2im(columns[:count], x_shape, kernel_size, padding, stride)


AVERAGED = "divided by how many windows contain the pixel: col2im is a sum, not an average"
COL2IM_MISTAKES: dict[str, Callable[..., Any]] = {
    windows.ASSIGNED: _assigned("windows"),
    windows.ASSIGNED + " (here, over all offsets i, j inside the windows)": _assigned("offsets"),
    AVERAGED: _averaged(1),
    AVERAGED + " (and 0 / 0 is NaN where none does)": _averaged(0),
    "divided by the size of the windows: col2im is a sum, not a mean": lambda c, shape, k, s, p: (
        col2im(c, shape, k, s, p) / (k[0] * k[1])
    ),
    "the padding is not cut off: the result is the image without it": _uncut,
    windows.CUT: (lambda c, shape, k, s, p: _uncut(c, shape, k, s, p)[:, :, : shape[2], : shape[3]]),
    windows.EMPTY: lambda c, shape, k, s, p: _uncut(c, shape, k, s, p)[:, :, p:-p, p:-p],
    windows.WRAPPED.replace("read", "write"): _wrapped,
    windows.FIRST_LEFT_OUT: lambda *a: windows.without_first(col2im(*a)),
    "a row is taken apart in another order: its numbers are in the order (C, kH, kW)": _reordered,
    "reshaped in another order: columns.reshape(N, oH, oW, C, kH, kW), and only then a transpose": _untransposed,
    windows.SWAPPED: _swapped,
}


def _cell(index: tuple[int, ...], x_shape: Shape, kernel_size: Pair, stride: int, padding: int) -> tuple[int, ...]:
    """Return n, p, q, c, i, j of a number in the columns matrix."""
    oH, oW = (windows.size(n, k, stride, padding) for n, k in zip(x_shape[2:], kernel_size, strict=True))
    n, p, q = np.unravel_index(index[0], (x_shape[0], oH, oW))
    c, i, j = np.unravel_index(index[1], (x_shape[1], *kernel_size))
    return tuple(int(value) for value in (n, p, q, c, i, j))


def _im2col_origin(arguments: Arguments, output: str, index: tuple[int, ...]) -> list[str]:
    x, kernel_size, stride, padding = arguments.values()
    n, p, q, c, i, j = _cell(index, x.shape, kernel_size, stride, padding)
    top, left = p * stride - padding, q * stride - padding
    where = f"row {index[0]} is window ({p}, {q}) of x[{n}], which begins at row {top}, column {left}"
    which = f"column {index[1]} is channel {c}, row {i}, column {j} in that window: pixel ({top + i}, {left + j})"
    seen = windows.window(x[n, c], kernel_size, stride, padding, p, q)
    return [where + " (0 outside of the image)" * (padding > 0), which, *windows.beside((f"x[{n}, {c}]", seen))]


def _col2im_origin(arguments: Arguments, output: str, index: tuple[int, ...]) -> list[str]:
    columns, x_shape, kernel_size, stride, padding = arguments.values()
    n, c, r, s = index
    oH, oW = (windows.size(size, k, stride, padding) for size, k in zip(x_shape[2:], kernel_size, strict=True))
    cells = columns.reshape(x_shape[0], oH, oW, x_shape[1], *kernel_size)

    def value(w: tuple[int, ...], o: tuple[int, ...]) -> str:
        row, column = (
            np.ravel_multi_index((n, *w), (x_shape[0], oH, oW)),
            np.ravel_multi_index((c, *o), cells.shape[3:]),
        )
        return f"columns[{row}, {column}] = {cells[n, w[0], w[1], c, o[0], o[1]]:g}"

    return windows.contributions(x_shape, kernel_size, stride, padding, (r, s), value)


def _im2col_case(x: Shape, kernel_size: Pair, stride: int, padding: int) -> Case:
    arguments = {"x": windows.distinct(x, 1), "kernel_size": kernel_size, "stride": stride, "padding": padding}
    return Case(arguments)


def _col2im_case(x: Shape, kernel_size: Pair, stride: int, padding: int) -> Case:
    shape = im2col(np.zeros(x), kernel_size, stride, padding).shape
    rest = {"x_shape": x, "kernel_size": kernel_size, "stride": stride, "padding": padding}
    return Case({"columns": windows.integers(shape, 2), **rest})


def _unfold(x: Array, kernel_size: Pair, stride: int, padding: int) -> Array:
    import torch

    columns = torch.nn.functional.unfold(torch.from_numpy(x), kernel_size, stride=stride, padding=padding)
    return columns.transpose(1, 2).reshape(-1, columns.shape[1]).numpy()


def _fold(columns: Array, x_shape: Shape, kernel_size: Pair, stride: int, padding: int) -> Array:
    import torch

    rows = torch.from_numpy(columns).reshape(x_shape[0], -1, columns.shape[1]).transpose(1, 2)
    return torch.nn.functional.fold(rows, x_shape[2:], kernel_size, stride=stride, padding=padding).numpy()


CHECKS = {
    "im2col": [
        Check(
            "im2col", ("columns",), [_im2col_case(*g) for g in GEOMETRIES], im2col, IM2COL_MISTAKES,
            origin=_im2col_origin, torch=_unfold,
            raises={IndexError: windows.OUTSIDE, ValueError: windows.PAD_ALL},
        )
    ],
    "col2im": [
        Check(
            "col2im", ("x",), [_col2im_case(*g) for g in (DENSE, *GEOMETRIES)], col2im, COL2IM_MISTAKES,
            origin=_col2im_origin, torch=_fold, raises={IndexError: windows.OUTSIDE},
        )
    ],
}  # fmt: skip
