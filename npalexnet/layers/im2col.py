"""Windows to columns and back: how a convolution becomes one matrix product.

Symbols: N images, C channels, H x W pixels, windows of kH x kW, and oH x oW of them.
Arrays are channels last, (N, H, W, C): then a row of columns is made of kH runs of kW*C contiguous numbers.
"""

from __future__ import annotations

from math import prod

from npalexnet.backend import Array, accumulation_dtype, array_module, device_of, is_half
from npalexnet.backend.cuda.layouts import Windows
from npalexnet.checks import Pair
from npalexnet.layers.geometry import window_extent


def channels_last(x: Array) -> Array:
    """(N, C, H, W) -> (N, H, W, C), contiguous: a view where the memory is in that order already, else a copy."""
    return device_of(x).contiguous(x.transpose(0, 2, 3, 1))


def channels_first(x: Array) -> Array:
    """(N, H, W, C) -> (N, C, H, W), a view."""
    return x.transpose(0, 3, 1, 2)


def pad(x: Array, top_bottom: Pair, left_right: Pair, value: float) -> Array:
    """(N, H, W, C) -> (N, Hp, Wp, C) with a border of `value`; `x` itself without a border, else in scratch memory."""
    (top, bottom), (left, right) = top_bottom, left_right
    if not (top or bottom or left or right):
        return x
    N, H, W, C = x.shape
    padded = device_of(x).scratch("padded", (N, H + top + bottom, W + left + right, C), x.dtype)
    padded[...] = value
    padded[:, top : top + H, left : left + W] = x
    return padded


def im2col(x: Array, windows: Windows) -> Array:
    """(N, H, W, C) -> (N*oH*oW, length), in scratch memory: a row for each window, its numbers side by side.

    What lies outside the image is 0. The length is kH*kW*C or, where a device wants longer rows, more; the rest is 0.
    """
    device, size = device_of(x), prod(windows.kernel_size) * x.shape[3]
    shape = len(x) * prod(windows.count), device.row_length(size, x.dtype)
    columns = device.scratch("columns", shape, x.dtype)
    if device.kernels.im2col(x, windows, columns) is None:
        (top, bottom), (left, right), inside = covered(x, windows)
        elements = window_elements(pad(x[inside], (top, bottom), (left, right), 0), windows)
        columns[:, :size].reshape(elements.shape)[...] = elements
        if shape[1] > size:
            columns[:, size:] = 0
    return columns


def col2im(columns: Array, x: Array, windows: Windows, *, add: bool = True) -> None:
    """(N*oH*oW, length) -> (N, H, W, C): add each number to the pixel of `x` that im2col took it from.

    It is the adjoint of `im2col`. Windows overlap, so a pixel receives the sum of all that it was part of: the windows'
    elements are added a few at a time, so few that those of different windows don't meet. Without `add` the sums take
    the place of what `x` holds.
    """
    device, size = device_of(x), prod(windows.kernel_size) * x.shape[3]
    if device.kernels.col2im(columns, x, windows, add=add) is not None:
        return
    if not add:
        x[...] = 0
    (top, bottom), (left, right), inside = covered(x, windows)
    pixels = x[inside]  # (N, h, w, C), a view
    sums, elsewhere = pixels, any((top, bottom, left, right)) or is_half(x.dtype)
    if elsewhere:
        N, h, w, C = pixels.shape
        sums = device.scratch("padded", (N, top + h + bottom, left + w + right, C), accumulation_dtype(x.dtype))
        sums[...] = 0
    elements = columns[:, :size].reshape(len(x), *windows.count, *windows.kernel_size, x.shape[3])
    (oH, oW), (kH, kW), (dH, dW) = windows.count, windows.kernel_size, windows.dilation
    run = windows.stride[1] if dW == 1 else 1  # neighbours in a window's row that lie before the next window's begin
    for i in range(kH):
        for j in range(0, kW, run):
            part = elements[:, :, :, i, j : j + run]  # (N, oH, oW, run, C)
            places = Windows((1, part.shape[3]), windows.stride, windows.dilation, before=(0, 0), count=(oH, oW))
            window_elements(sums[:, i * dH :, j * dW :], places)[:, :, :, 0] += part
    if elsewhere:
        pixels += sums[:, top : top + h, left : left + w]


def window_elements(x: Array, windows: Windows) -> Array:
    """(N, Hp, Wp, C) -> (N, oH, oW, kH, kW, C), a view in which overlapping windows share their memory.

    The first window is taken to begin at the first pixel.
    """
    N, _, _, C = x.shape
    (sH, sW), (dH, dW) = windows.stride, windows.dilation
    image, row, pixel, channel = x.strides
    return array_module(x).lib.stride_tricks.as_strided(
        x,
        (N, *windows.count, *windows.kernel_size, C),
        (image, row * sH, pixel * sW, row * dH, pixel * dW, channel),
    )


def covered(x: Array, windows: Windows) -> tuple[Pair, Pair, tuple[slice, slice, slice]]:
    """Which pixels of (N, H, W, C) the windows cover.

    Returns
    -------
    top_bottom, left_right : pair of int
        By how much the windows hang over the image.
    inside : tuple of slice
        Index of the image's pixels.
    """
    borders, inside = [], [slice(None)]
    for size, kernel, stride, dilation, before, count in zip(
        x.shape[1:3],
        windows.kernel_size,
        windows.stride,
        windows.dilation,
        windows.before,
        windows.count,
        strict=True,
    ):
        length = (count - 1) * stride + window_extent(kernel, dilation)
        start = min(max(-before, 0), size)
        stop = max(min(length - before, size), start)
        border = min(max(start + before, 0), length)
        borders.append((border, length - border - (stop - start)))
        inside.append(slice(start, stop))
    return borders[0], borders[1], (inside[0], inside[1], inside[2])


def each_window(top: int, oH: int, sH: int, left: int, oW: int, sW: int) -> tuple[slice, slice, slice]:
    """Index of (N, Hp, Wp, C) that takes the pixel (top, left) of each of the oH x oW windows."""
    return (
        slice(None),
        slice(top, top + (oH - 1) * sH + 1, sH),
        slice(left, left + (oW - 1) * sW + 1, sW),
    )
