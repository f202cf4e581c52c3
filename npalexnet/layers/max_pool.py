"""The maximum of each window, which element it is, and the gradient.

A window's maximum is the maximum of its columns' maxima; and a column's maximum is needed once, for all windows of a
row of windows that overlap there. So both passes first work down the columns, then along the rows.

Symbols: N images, C channels, H x W pixels; windows of kH x kW, oH x oW of them, which cover Hp x Wp, pixels outside
the image included. Arrays are channels last, (N, H, W, C).
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from math import inf

import numpy as np

from npalexnet.backend import Array, accumulation_dtype, array_module, device_of, primitive
from npalexnet.layers.im2col import covered_pixels
from npalexnet.windows import Windows


@primitive
def max_pool(images: Array, windows: Windows) -> tuple[Array, Callable[[Array], Array]]:
    """(N, H, W, C) -> the maximum of each window, (N, oH, oW, C), and the backward function.

    The function maps (N, oH, oW, C) to (N, H, W, C). The maximum is NaN if any element is NaN.
    """
    padded = covered_pixels(images, windows, -inf)  # (N, Hp, Wp, C)
    column_max, y = _maxima(padded, windows)
    row_rank, column = _argmax(padded, column_max, y, windows, images.shape[1:3])
    # Not a closure, which would keep the images alive.
    return y, partial(_scatter_gradient, row_rank=row_rank, column=column, windows=windows, shape=images.shape)


@primitive
def window_maxima(images: Array, windows: Windows) -> Array:
    """(N, H, W, C) -> the maximum of each window, (N, oH, oW, C)."""
    return _maxima(covered_pixels(images, windows, -inf), windows)[1]


def _scatter_gradient(grad_y: Array, row_rank: Array, column: Array, windows: Windows, shape: tuple[int, ...]) -> Array:
    """(N, oH, oW, C) -> (N, H, W, C): to each window's largest element; where windows overlap, gradients add up.

    `row_rank` and `column` are from `_argmax`, `shape` is the images'. This is no primitive: the function that
    `max_pool` returns belongs to whichever implementation ran.
    """
    device, dtype, (kH, _) = device_of(grad_y), grad_y.dtype, windows.kernel_size
    grad_y = grad_y.astype(accumulation_dtype(dtype), copy=False)
    grad_column_max = device.scratch("pooling", row_rank.shape, grad_y.dtype)  # (N, oH, Wp, C)
    grad_column_max[...] = 0
    for j, pixels in enumerate(_column_views(grad_column_max, windows)):  # views of (N, oH, oW, C)
        _add_masked(pixels, grad_y, column == j, untouched=j * windows.dilation[1] < windows.stride[1])

    ((top, bottom), (left, right)), inside = windows.covered(*shape[1:3])
    grad_images = device.xp.zeros(shape, grad_y.dtype)
    grad_inside = grad_padded = grad_images[inside]  # (N, h, w, C), a view
    N, h, w, C = grad_inside.shape
    if top or bottom or left or right:
        grad_padded = device.xp.zeros((N, top + h + bottom, left + w + right, C), grad_y.dtype)  # (N, Hp, Wp, C)
    for i, pixels in enumerate(_row_views(grad_padded, windows)):  # views of (N, oH, Wp, C)
        _add_masked(pixels, grad_column_max, row_rank == kH - i, untouched=i * windows.dilation[0] < windows.stride[0])
    if grad_padded is not grad_inside:
        grad_inside[...] = grad_padded[:, top : top + h, left : left + w]
    return grad_images.astype(dtype, copy=False)


def _maxima(padded: Array, windows: Windows) -> tuple[Array, Array]:
    """(N, Hp, Wp, C) -> the maxima of the windows' columns, (N, oH, Wp, C), and of the windows, (N, oH, oW, C)."""
    xp = array_module(padded)
    rows = _row_views(padded, windows)
    column_max = rows[0].copy()
    for row in rows[1:]:
        xp.maximum(column_max, row, out=column_max)
    columns = _column_views(column_max, windows)
    y = columns[0].copy()
    for column in columns[1:]:
        xp.maximum(y, column, out=y)
    return column_max, y


def _row_views(padded: Array, windows: Windows) -> list[Array]:
    """(N, Hp, Wp, C) -> for each i, row i of every window: kH views of (N, oH, Wp, C)."""
    (kH, _), (sH, _), (dH, _), (oH, _) = windows.kernel_size, windows.stride, windows.dilation, windows.output_size
    return [padded[:, i * dH : i * dH + (oH - 1) * sH + 1 : sH] for i in range(kH)]


def _column_views(rows: Array, windows: Windows) -> list[Array]:
    """(N, oH, Wp, C) -> for each j, column j of every window: kW views of (N, oH, oW, C)."""
    (_, kW), (_, sW), (_, dW), (_, oW) = windows.kernel_size, windows.stride, windows.dilation, windows.output_size
    return [rows[:, :, j * dW : j * dW + (oW - 1) * sW + 1 : sW] for j in range(kW)]


def _argmax(padded: Array, column_max: Array, y: Array, windows: Windows, size: tuple[int, int]) -> tuple[Array, Array]:
    """Return which element is the largest: the first, in reading order, that equals the maximum, or the last NaN.

    Masked assignment is slow. Instead, an element that equals the maximum gets a rank, the higher the earlier it is,
    and the running maximum of the ranks is kept: ``rank = (kH - i) * 2**bits + (kW - j)``, or 0.

    Returns
    -------
    row_rank : array
        (N, oH, Wp, C): kH - i, if the largest element of a window's column is in row i of the window.
    column : array
        (N, oH, oW, C): j, if the window's largest element is in its column j.
    """
    xp, (kH, kW) = array_module(y), windows.kernel_size
    bits = kW.bit_length()
    integer = np.min_scalar_type(((kH + 1) << bits) - 1).type  # uint8, unless the window is huge
    low_bits = integer((1 << bits) - 1)
    row_rank = xp.zeros(column_max.shape, integer)
    for i, row in enumerate(_row_views(padded, windows)):
        xp.maximum(row_rank, (row == column_max) * integer(kH - i), out=row_rank)
    rank, shifted = xp.zeros(y.shape, integer), _column_views(row_rank * integer(1 << bits), windows)
    for j, (largest, ranks) in enumerate(zip(_column_views(column_max, windows), shifted, strict=True)):
        xp.maximum(rank, (largest == y) * (ranks + integer(kW - j)), out=rank)
    column = integer(kW) - (rank & low_bits)

    if device_of(y).maybe_any(y != y):  # of NaNs the last one counts: ranks rise with i and j
        last_row = xp.zeros(column_max.shape, integer)  # i + 1 for a column's last NaN
        for i, row in enumerate(_row_views(padded, windows)):
            xp.maximum(last_row, (row != row) * integer(i + 1), out=last_row)
        row_rank = xp.where(last_row > 0, integer(kH + 1) - last_row, row_rank)
        last, shifted = xp.zeros(y.shape, integer), _column_views(last_row * integer(1 << bits), windows)
        for j, (largest, rows) in enumerate(zip(_column_views(column_max, windows), shifted, strict=True)):
            xp.maximum(last, (largest != largest) * (rows + integer(j)), out=last)
        column = xp.where(y != y, last & low_bits, column)
    if any(map(any, windows.covered(*size)[0])):
        # If all elements are minus infinity, those outside the image equal the maximum too: take the first one inside.
        i, j = (xp.asarray(np.array(first, integer)) for first in windows.first_inside(*size))
        row_rank = xp.where(column_max == -inf, integer(kH) - i[:, None, None], row_rank)
        column = xp.where(y == -inf, j[:, None], column)
    return row_rank, column


def _add_masked(pixels: Array, gradient: Array, mask: Array, untouched: bool) -> None:
    """``pixels += gradient`` where `mask` is True.

    The pixels are `untouched`, still 0, if their offset in the window is below the stride: such offsets of different
    windows are different pixels. Then assigning is enough.
    """
    device = device_of(gradient)
    if untouched:
        device.masked(gradient, mask, out=pixels)
    else:
        pixels += device.masked(gradient, mask, out=device.scratch("masked", gradient.shape, gradient.dtype))
