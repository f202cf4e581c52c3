"""Windows: what several exercises share. Cases, mistakes at the border, and the text that shows a window's numbers."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from npalexnet.exercises.calls import Array
from npalexnet.naive.windows import count_windows

Index = tuple[int, ...]
Pair = tuple[int, int]

ROTATED = (
    "the kernel is rotated by 180 degrees: here weight[o, c, i, j] is multiplied by the pixel i rows below and j "
    "columns right of the window's first one"
)
SWAPPED = "stride and padding are swapped"
ASSIGNED = (
    "= where += is needed (or += through a view whose windows share their memory): where windows overlap, a pixel gets "
    "the sum over all windows that contain it"
)
SHIFTED = (
    "off by one padding: the first window begins at row -padding and column -padding, not at 0 (rows and columns "
    "outside of the image are 0)"
)
UNSTRIDED = "windows move by 1 and not by stride: window p begins at row p * stride - padding"
ONE_TOO_FEW = (
    "off by one at the border: there are (H + 2 * padding - kH) // stride + 1 rows of windows; the + 1 is missing"
)
LAST_LEFT_OUT = "off by one at the border: the last row and the last column of windows are left 0"
LAST_ROW_LEFT_OUT = "off by one at the border: the last row of windows is left 0"
LAST_COLUMN_LEFT_OUT = "off by one at the border: the last column of windows is left 0"
STRIDED_ONCE = "stride is missing in the columns: window (p, q) begins at column q * stride - padding"
WRAPPED = (
    "row -1 and column -1 are the last ones in Python: windows that reach over the border at the top or at the left "
    "must not read there (0 <= r, 0 <= s)"
)
FIRST_LEFT_OUT = "row 0 and column 0 of the image are left out: they are inside (0 <= r, not 0 < r)"
OUTSIDE = "if it is the image's index: pixels outside of the image are 0, and are neither read nor written"
PAD_ALL = (
    "if it is np.pad(x, padding): that pads the axes of images and channels, too; their widths are (0, 0), and those "
    "of rows and columns (padding, padding)"
)
EMPTY = "x[padding:-padding] is empty where padding is 0, for -0 is 0: write padding : padding + H, and likewise for W"
CUT = (
    "off by one padding: the first window begins at row -padding and column -padding of the image; of an image with "
    "its padding, cut off `padding` rows and columns at every side"
)


def integers(shape: tuple[int, ...], seed: int) -> Array:
    """Return small whole numbers, none of them 0, as float64: their sums are exact and can be followed by hand."""
    values = np.array([-4, -3, -2, -1, 1, 2, 3, 4, 5], "float64")
    return np.random.default_rng(seed).choice(values, shape)


def distinct(shape: tuple[int, ...], seed: int) -> Array:
    """Return numbers of which no two are equal, in steps of 1/4, half of them negative: no ties, no kink at 0."""
    count = int(np.prod(shape))
    return ((np.random.default_rng(seed).permutation(count) - count // 2) / 4 + 0.125).reshape(shape)


def size(length: int, kernel: int, stride: int, padding: int) -> int:
    """Return how many windows there are along an axis."""
    return count_windows(length, kernel, stride, (padding, padding), 1, False)


def places(x_shape: Index, kernel_size: Pair, stride: int, padding: int) -> Iterator[tuple[Index, Index, Pair]]:
    """Yield (window (p, q), offset (i, j), pixel (r, s)) for the pixels inside an image (..., H, W), in that order."""
    H, W = x_shape[-2:]
    for p in range(size(H, kernel_size[0], stride, padding)):
        for q in range(size(W, kernel_size[1], stride, padding)):
            for i, j in np.ndindex(kernel_size):
                r, s = p * stride + i - padding, q * stride + j - padding
                if 0 <= r < H and 0 <= s < W:
                    yield (p, q), (i, j), (r, s)


def without_first(images: Array) -> Array:
    """Return images (..., H, W) with 0 in their first rows and columns."""
    inside = np.zeros_like(images)
    inside[..., 1:, 1:] = images[..., 1:, 1:]
    return inside


def wrapped(images: Array, padding: int) -> Array:
    """Return images with their last rows and columns as padding before the first ones, and zeros as that behind."""
    none, before, behind = (0, 0), (padding, 0), (0, padding)
    return np.pad(np.pad(images, (none, none, before, before), mode="wrap"), (none, none, behind, behind))


def border_mistakes(function: Callable[..., Array]) -> dict[str, Callable[..., Array]]:
    """Return the mistakes that leave windows at the border out of ``function(...) -> (N, C, oH, oW)``."""

    def mistake(*zero: Any) -> Callable[..., Array]:
        def function_with_zeros(*arguments: Any) -> Array:
            y = function(*arguments)
            for index in zero:
                y[index] = 0
            return y

        return function_with_zeros

    row, column = (..., -1, slice(None)), (..., -1)
    return {
        LAST_ROW_LEFT_OUT: mistake(row),
        LAST_COLUMN_LEFT_OUT: mistake(column),
        LAST_LEFT_OUT: mistake(row, column),
    }


def window(x: Array, kernel_size: Pair, stride: int, padding: int, p: int, q: int) -> Array:
    """Return window (p, q) of images (..., H, W), zeros outside of them: (..., kH, kW)."""
    padded = np.pad(x, [(0, 0)] * (x.ndim - 2) + [(padding, padding)] * 2)
    return padded[..., p * stride : p * stride + kernel_size[0], q * stride : q * stride + kernel_size[1]]


def beside(*named: tuple[str, Array]) -> list[str]:
    """Return lines that show small matrices beside each other, each under its name."""
    blocks = []
    for name, matrix in named:
        cells = [[f"{value:.6g}" for value in row] for row in np.atleast_2d(matrix)]
        width = max(len(cell) for row in cells for cell in row)
        lines = [name, *("  ".join(cell.rjust(width) for cell in row) for row in cells)]
        wide = max(map(len, lines))
        blocks.append([line.ljust(wide) for line in lines])
    height = max(map(len, blocks))
    padded = [block + [" " * len(block[0])] * (height - len(block)) for block in blocks]
    return ["  " + "     ".join(row).rstrip() for row in zip(*padded, strict=True)]


def contributions(
    x_shape: Index, kernel_size: Pair, stride: int, padding: int, pixel: Pair, value: Callable[[Index, Index], Any]
) -> list[str]:
    """Return lines that list the windows which contain a pixel, each with what it adds there."""
    found = [(w, o) for w, o, at in places(x_shape, kernel_size, stride, padding) if at == pixel]
    lines = [
        f"pixel ({pixel[0]}, {pixel[1]}) lies in {len(found)} window{'s' * (len(found) > 1)}:"
        if found
        else "no window contains it"
    ]
    lines += [f"  window {w}, there at row {o[0]}, column {o[1]}: adds {value(w, o)}" for w, o in found[:6]]
    return lines + [f"  ... and {len(found) - 6} more"] * (len(found) > 6)
