"""Pooling by maxima and by averages, and the gradients."""

from __future__ import annotations

from math import ceil, floor, inf, isnan

import numpy as np

from npalexnet.naive.windows import Array, Pair, windows_of


def max_pool2d(
    x: Array, kernel_size: Pair, stride: Pair, padding: Pair = (0, 0), dilation: Pair = (1, 1), ceil_mode: bool = False
) -> Array:
    """Take each window's largest number; outside the image are minus infinities. (N, C, H, W) -> (N, C, oH, oW)."""
    rows, columns = windows_of(x.shape[2:], kernel_size, stride, padding, dilation, ceil_mode)
    y = np.full((*x.shape[:2], len(rows), len(columns)), -inf, x.dtype)
    for n, c, p, q in np.ndindex(y.shape):
        if place := _argmax(x[n, c], rows[p], columns[q]):
            y[n, c, p, q] = x[n, c][place]
    return y


def max_pool2d_gradient(
    grad_y: Array,
    x: Array,
    kernel_size: Pair,
    stride: Pair,
    padding: Pair = (0, 0),
    dilation: Pair = (1, 1),
    ceil_mode: bool = False,
) -> Array:
    """Differentiate `max_pool2d`: each window's gradient goes to its maximum. (N, C, oH, oW) -> (N, C, H, W)."""
    rows, columns = windows_of(x.shape[2:], kernel_size, stride, padding, dilation, ceil_mode)
    grad_x = np.zeros_like(x)
    for n, c, p, q in np.ndindex(grad_y.shape):
        if place := _argmax(x[n, c], rows[p], columns[q]):
            grad_x[n, c][place] += grad_y[n, c, p, q]
    return grad_x


def avg_pool2d(
    x: Array,
    kernel_size: Pair,
    stride: Pair,
    padding: Pair = (0, 0),
    ceil_mode: bool = False,
    count_include_pad: bool = True,
) -> Array:
    """Take each window's average: the sum of its numbers over how many count. (N, C, H, W) -> (N, C, oH, oW).

    Those inside the image count and, if `count_include_pad`, the zeros of the padding; nothing beyond it does.
    """
    rows, columns = windows_of(x.shape[2:], kernel_size, stride, padding, (1, 1), ceil_mode)
    y = np.zeros((*x.shape[:2], len(rows), len(columns)), x.dtype)
    for n, c, p, q in np.ndindex(y.shape):
        count = _counted((p, q), x.shape[2:], kernel_size, stride, padding, count_include_pad)
        y[n, c, p, q] = sum(x[n, c, r, s] for r in rows[p] for s in columns[q]) / count
    return y


def avg_pool2d_gradient(
    grad_y: Array,
    x: Array,
    kernel_size: Pair,
    stride: Pair,
    padding: Pair = (0, 0),
    ceil_mode: bool = False,
    count_include_pad: bool = True,
) -> Array:
    """Differentiate `avg_pool2d`: all pixels of a window get the same. (N, C, oH, oW) -> (N, C, H, W)."""
    rows, columns = windows_of(x.shape[2:], kernel_size, stride, padding, (1, 1), ceil_mode)
    grad_x = np.zeros_like(x)
    for n, c, p, q in np.ndindex(grad_y.shape):
        count = _counted((p, q), x.shape[2:], kernel_size, stride, padding, count_include_pad)
        for r, s in ((r, s) for r in rows[p] for s in columns[q]):
            grad_x[n, c, r, s] += grad_y[n, c, p, q] / count
    return grad_x


def adaptive_avg_pool2d(x: Array, output_size: Pair) -> Array:
    """Average over parts: part p of oH is the rows r with ``floor(p*H/oH) <= r < ceil((p+1)*H/oH)``, likewise columns.

    (N, C, H, W) -> (N, C, oH, oW).
    """
    y = np.zeros((*x.shape[:2], *output_size), x.dtype)
    for n, c, p, q in np.ndindex(y.shape):
        rows, columns = _part(p, x.shape[2], output_size[0]), _part(q, x.shape[3], output_size[1])
        y[n, c, p, q] = sum(x[n, c, r, s] for r in rows for s in columns) / (len(rows) * len(columns))
    return y


def adaptive_avg_pool2d_gradient(grad_y: Array, x: Array) -> Array:
    """Differentiate `adaptive_avg_pool2d`. (N, C, oH, oW) -> (N, C, H, W)."""
    grad_x = np.zeros_like(x)
    for n, c, p, q in np.ndindex(grad_y.shape):
        rows, columns = _part(p, x.shape[2], grad_y.shape[2]), _part(q, x.shape[3], grad_y.shape[3])
        for r, s in ((r, s) for r in rows for s in columns):
            grad_x[n, c, r, s] += grad_y[n, c, p, q] / (len(rows) * len(columns))
    return grad_x


def _argmax(image: Array, rows: list[int], columns: list[int]) -> Pair | None:
    """Return where a window's largest number is: the first of equals; the last NaN, if there is one."""
    place = None
    for pixel in ((r, s) for r in rows for s in columns):
        if place is None or image[pixel] > image[place] or isnan(image[pixel]):
            place = pixel
    return place


def _counted(window: Pair, image: tuple[int, ...], kernel_size: Pair, stride: Pair, padding: Pair, pad: bool) -> int:
    """Return how many numbers of an average's window count: those inside the image and, if `pad`, its padding."""
    total = 1
    for p, size, k, s, margin in zip(window, image, kernel_size, stride, padding, strict=True):
        width = margin if pad else 0
        total *= len([r for r in range(p * s - margin, p * s - margin + k) if -width <= r < size + width])
    return total


def _part(p: int, size: int, parts: int) -> range:
    return range(floor(p * size / parts), ceil((p + 1) * size / parts))
