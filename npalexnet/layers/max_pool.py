"""The largest number of each window, and where it was: first along the columns of the windows, then along their rows.

Symbols: N images, C channels, H x W pixels (Hp x Wp with the border), windows of kH x kW, oH x oW of them.
Arrays are channels last, (N, H, W, C).
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from math import inf

import numpy as np

from npalexnet.backend import Array, accumulation_dtype, array_module, device_of, primitive
from npalexnet.layers.im2col import pad
from npalexnet.windows import Windows


@primitive
def max_pool(images: Array, windows: Windows) -> tuple[Array, Callable[[Array], Array]]:
    """(N, H, W, C) -> the largest number of each window, (N, oH, oW, C), and the gradient's function.

    The function takes (N, oH, oW, C) to (N, H, W, C). A window with a NaN has NaN.
    """
    padded = pad(images, windows, -inf)  # (N, Hp, Wp, C)
    column_max, y = _maxima(padded, windows)
    row_rank, column = _argmax(padded, column_max, y, windows, images.shape[1:3])
    return y, partial(
        max_pool_gradient, row_rank=row_rank, column=column, windows=windows, shape=images.shape
    )  # not a closure, which would keep the images alive


@primitive
def window_maxima(images: Array, windows: Windows) -> Array:
    """(N, H, W, C) -> the largest number of each window, (N, oH, oW, C)."""
    return _maxima(pad(images, windows, -inf), windows)[1]


def max_pool_gradient(grad_y: Array, row_rank: Array, column: Array, windows: Windows, shape: tuple[int, ...]) -> Array:
    """(N, oH, oW, C) -> (N, H, W, C): windows overlap, so what a pixel receives is added up.

    `row_rank` and `column` are what `_argmax` returned, `shape` is the images'.
    """
    device, dtype, (kH, _) = device_of(grad_y), grad_y.dtype, windows.kernel_size
    grad_y = grad_y.astype(accumulation_dtype(dtype), copy=False)
    grad_column_max = device.scratch("pooling", row_rank.shape, grad_y.dtype)  # (N, oH, Wp, C)
    grad_column_max[...] = 0
    for j, pixels in enumerate(_columns(grad_column_max, windows)):  # views of (N, oH, oW, C)
        _add_masked(pixels, grad_y, column == j, first=j * windows.dilation[1] < windows.stride[1])

    ((top, bottom), (left, right)), inside = windows.covered(*shape[1:3])
    grad_images = device.xp.zeros(shape, grad_y.dtype)
    grad_inside = grad_padded = grad_images[inside]  # (N, h, w, C), a view
    N, h, w, C = grad_inside.shape
    if top or bottom or left or right:
        grad_padded = device.xp.zeros((N, top + h + bottom, left + w + right, C), grad_y.dtype)  # (N, Hp, Wp, C)
    for i, pixels in enumerate(_rows(grad_padded, windows)):  # views of (N, oH, Wp, C)
        _add_masked(pixels, grad_column_max, row_rank == kH - i, first=i * windows.dilation[0] < windows.stride[0])
    if grad_padded is not grad_inside:
        grad_inside[...] = grad_padded[:, top : top + h, left : left + w]
    return grad_images.astype(dtype, copy=False)


def _maxima(padded: Array, windows: Windows) -> tuple[Array, Array]:
    """(N, Hp, Wp, C) -> the largest of each window's columns, (N, oH, Wp, C), and of each window, (N, oH, oW, C)."""
    xp = array_module(padded)
    rows = _rows(padded, windows)
    column_max = rows[0].copy()
    for row in rows[1:]:
        xp.maximum(column_max, row, out=column_max)
    columns = _columns(column_max, windows)
    y = columns[0].copy()
    for column in columns[1:]:
        xp.maximum(y, column, out=y)
    return column_max, y


def _rows(padded: Array, windows: Windows) -> list[Array]:
    """(N, Hp, Wp, C) -> for each row of a window, that row of all windows: kH views of (N, oH, Wp, C)."""
    (kH, _), (sH, _), (dH, _), (oH, _) = windows.kernel_size, windows.stride, windows.dilation, windows.output_size
    return [padded[:, i * dH : i * dH + (oH - 1) * sH + 1 : sH] for i in range(kH)]


def _columns(rows: Array, windows: Windows) -> list[Array]:
    """(N, oH, Wp, C) -> for each column of a window, that column of all windows: kW views of (N, oH, oW, C)."""
    (_, kW), (_, sW), (_, dW), (_, oW) = windows.kernel_size, windows.stride, windows.dilation, windows.output_size
    return [rows[:, :, j * dW : j * dW + (oW - 1) * sW + 1 : sW] for j in range(kW)]


def _argmax(padded: Array, column_max: Array, y: Array, windows: Windows, size: tuple[int, int]) -> tuple[Array, Array]:
    """Which element is the largest: the first, in reading order, that equals the maximum, or the last NaN.

    Writing where a mask says so is slow, so what comes first gets the highest rank, and the highest rank is kept.

    Returns
    -------
    row_rank : array
        (N, oH, Wp, C): kH - i for the largest element of a window's column, which is in row i of the window.
    column : array
        (N, oH, oW, C): j, if the window's largest element is in its column j.
    """
    xp, (kH, kW) = array_module(y), windows.kernel_size
    bits = kW.bit_length()  # the lower ones of a rank: of equal elements the first row wins, then the first column
    integer = np.min_scalar_type(((kH + 1) << bits) - 1).type  # one byte for all windows but huge ones
    low_bits = integer((1 << bits) - 1)
    row_rank = xp.zeros(column_max.shape, integer)
    for i, row in enumerate(_rows(padded, windows)):
        xp.maximum(row_rank, (row == column_max) * integer(kH - i), out=row_rank)
    rank, shifted = xp.zeros(y.shape, integer), _columns(row_rank * integer(1 << bits), windows)
    for j, (largest, ranks) in enumerate(zip(_columns(column_max, windows), shifted, strict=True)):
        xp.maximum(rank, (largest == y) * (ranks + integer(kW - j)), out=rank)
    column = integer(kW) - (rank & low_bits)

    if device_of(y).maybe_any(y != y):
        last_row = xp.zeros(column_max.shape, integer)  # i + 1 for a column's last NaN
        for i, row in enumerate(_rows(padded, windows)):
            xp.maximum(last_row, (row != row) * integer(i + 1), out=last_row)
        row_rank = xp.where(last_row > 0, integer(kH + 1) - last_row, row_rank)
        last, shifted = xp.zeros(y.shape, integer), _columns(last_row * integer(1 << bits), windows)
        for j, (largest, rows) in enumerate(zip(_columns(column_max, windows), shifted, strict=True)):
            xp.maximum(last, (largest != largest) * (rows + integer(j)), out=last)
        column = xp.where(y != y, last & low_bits, column)
    if any(map(any, windows.covered(*size)[0])):
        # Only minus infinities: all elements equal y, those outside the image too, which must not win.
        i, j = (xp.asarray(np.array(first, integer)) for first in windows.first_inside(*size))
        row_rank = xp.where(column_max == -inf, integer(kH) - i[:, None, None], row_rank)
        column = xp.where(y == -inf, j[:, None], column)
    return row_rank, column


def _add_masked(pixels: Array, gradient: Array, mask: Array, first: bool) -> None:
    """``pixels += gradient`` where `mask` is True; with `first` they are known to be 0 still."""
    device = device_of(gradient)
    if first:
        device.masked(gradient, mask, out=pixels)
    else:
        pixels += device.masked(gradient, mask, out=device.scratch("masked", gradient.shape, gradient.dtype))
