"""Windows to columns and back: how a convolution becomes one matrix product.

Symbols: N images, C channels, H x W pixels, windows of kH x kW, and oH x oW of them.
Arrays are channels last, (N, H, W, C): then a row of columns is made of kH runs of kW*C contiguous numbers.
"""

from __future__ import annotations

from math import prod

from npalexnet.backend import HALF, Array, accumulation_dtype, device_of, primitive
from npalexnet.windows import Windows


def channels_last(x: Array) -> Array:
    """(N, C, H, W) -> (N, H, W, C), contiguous: a view where the memory is in that order already, else a copy."""
    return device_of(x).contiguous(x.transpose(0, 2, 3, 1))


def pad(x: Array, windows: Windows, value: float) -> Array:
    """(N, H, W, C) -> (N, Hp, Wp, C): what the windows cover, with `value` outside the image.

    Without a border that is a view of `x`, else it lies in scratch memory.
    """
    ((top, bottom), (left, right)), inside = windows.covered(*x.shape[1:3])
    pixels = x[inside]  # (N, h, w, C), a view
    if not (top or bottom or left or right):
        return pixels
    N, h, w, C = pixels.shape
    padded = device_of(x).scratch("padded", (N, top + h + bottom, left + w + right, C), x.dtype)
    padded[...] = value
    padded[:, top : top + h, left : left + w] = pixels
    return padded


@primitive
def im2col(x: Array, windows: Windows, columns: Array) -> Array:
    """(N, H, W, C) -> `columns`, (N*oH*oW, length): a row for each window, its numbers side by side.

    What lies outside the image is 0. The length is kH*kW*C or more; what is left of a row is 0.
    """
    elements = window_elements(pad(x, windows, 0), windows)  # (N, oH, oW, kH, kW, C)
    size = prod(elements.shape[3:])
    columns[:, :size].reshape(elements.shape)[...] = elements
    if columns.shape[1] > size:
        columns[:, size:] = 0
    return columns


@primitive
def col2im(columns: Array, x: Array, windows: Windows, *, add: bool = True) -> Array:
    """(N*oH*oW, length) -> `x`, (N, H, W, C): add each number to the pixel that im2col took it from.

    It is the adjoint of `im2col`. Windows overlap, so a pixel receives the sum of all that it was part of: the windows'
    elements are added a few at a time, so few that those of different windows don't meet. Without `add` the sums take
    the place of what `x` holds.
    """
    if not add:
        x[...] = 0
    ((top, bottom), (left, right)), inside = windows.covered(*x.shape[1:3])
    sums = pixels = x[inside]  # (N, h, w, C), a view
    N, h, w, C = pixels.shape
    elsewhere = any((top, bottom, left, right)) or x.dtype.name in HALF
    if elsewhere:
        shape = (N, top + h + bottom, left + w + right, C)
        sums = device_of(x).scratch("padded", shape, accumulation_dtype(x.dtype))
        sums[...] = 0
    (oH, oW), (kH, kW), (dH, dW) = windows.output_size, windows.kernel_size, windows.dilation
    elements = columns[:, : kH * kW * C].reshape(N, oH, oW, kH, kW, C)
    run = windows.stride[1] if dW == 1 else 1  # neighbours in a window's row that lie before the next window's begin
    for i in range(kH):
        for j in range(0, kW, run):
            part = elements[:, :, :, i, j : j + run]  # (N, oH, oW, run, C)
            places = Windows((1, part.shape[3]), windows.stride, windows.dilation, (0, 0), (oH, oW))
            window_elements(sums[:, i * dH :, j * dW :], places)[:, :, :, 0] += part
    if elsewhere:
        pixels += sums[:, top : top + h, left : left + w]
    return x


def window_elements(x: Array, windows: Windows) -> Array:
    """(N, Hp, Wp, C) -> (N, oH, oW, kH, kW, C), a view in which overlapping windows share their memory.

    The first window is taken to begin at the first pixel.
    """
    N, _, _, C = x.shape
    (sH, sW), (dH, dW) = windows.stride, windows.dilation
    image, row, pixel, channel = x.strides
    return device_of(x).xp.lib.stride_tricks.as_strided(
        x,
        (N, *windows.output_size, *windows.kernel_size, C),
        (image, row * sH, pixel * sW, row * dH, pixel * dW, channel),
    )
