"""im2col and col2im: windows of an image to rows of a matrix, and back. So a convolution becomes one matrix product.

Symbols: N images, C channels, H x W pixels, windows of kH x kW, oH x oW of them; K = kH*kW*C values in a window.
Images are channels last, (N, H, W, C): then a window's values are kH runs of kW*C contiguous ones.
`patches` are (N*oH*oW, ldk): one row per window, its K values side by side; a device may want rows of ldk > K values,
for alignment, with zeros behind the K.
"""

from __future__ import annotations

from math import prod

from npalexnet.backend import HALF, Array, accumulation_dtype, device_of, primitive
from npalexnet.windows import Windows


def channels_last(x: Array) -> Array:
    """(N, C, H, W) -> (N, H, W, C), contiguous: a view if it is stored in that order already, else a copy."""
    return device_of(x).contiguous(x.transpose(0, 2, 3, 1))


def covered_pixels(x: Array, windows: Windows, value: float) -> Array:
    """(N, H, W, C) -> (N, Hp, Wp, C): the part of `x` that the windows touch, with `value` where they reach outside.

    It is a view of `x` if no window reaches outside, else it is in scratch memory.
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
def im2col(x: Array, windows: Windows, patches: Array) -> Array:
    """(N, H, W, C) -> `patches`, (N*oH*oW, ldk), which is filled; pixels outside the image are 0."""
    elements = window_elements(covered_pixels(x, windows, 0), windows)  # (N, oH, oW, kH, kW, C)
    K = prod(elements.shape[3:])
    patches[:, :K].reshape(elements.shape)[...] = elements
    if patches.shape[1] > K:
        patches[:, K:] = 0
    return patches


@primitive
def col2im(patches: Array, x: Array, windows: Windows, *, add: bool = True) -> Array:
    """(N*oH*oW, ldk) -> `x`, (N, H, W, C): add each value to the pixel that im2col took it from.

    It is the transpose of `im2col` as a linear map: a pixel receives the sum over all windows that it is part of.
    Without `add`, the sums overwrite `x`.

    ``+=`` through a view whose elements overlap would lose additions. So it is done for one kernel row and as many
    neighbouring kernel columns as the stride at a time: these of one window never overlap those of the next.
    """
    if not add:
        x[...] = 0
    ((top, bottom), (left, right)), inside = windows.covered(*x.shape[1:3])
    sums = pixels = x[inside]  # (N, h, w, C), a view
    N, h, w, C = pixels.shape
    needs_scratch = any((top, bottom, left, right)) or x.dtype.name in HALF
    if needs_scratch:
        shape = (N, top + h + bottom, left + w + right, C)
        sums = device_of(x).scratch("padded", shape, accumulation_dtype(x.dtype))
        sums[...] = 0
    (oH, oW), (kH, kW), (dH, dW) = windows.output_size, windows.kernel_size, windows.dilation
    elements = patches[:, : kH * kW * C].reshape(N, oH, oW, kH, kW, C)
    block = windows.stride[1] if dW == 1 else 1  # kernel columns
    for i in range(kH):
        for j in range(0, kW, block):
            part = elements[:, :, :, i, j : j + block]  # (N, oH, oW, block, C)
            blocks = Windows((1, part.shape[3]), windows.stride, windows.dilation, (0, 0), (oH, oW))
            window_elements(sums[:, i * dH :, j * dW :], blocks)[:, :, :, 0] += part
    if needs_scratch:
        pixels += sums[:, top : top + h, left : left + w]
    return x


def window_elements(x: Array, windows: Windows) -> Array:
    """(N, Hp, Wp, C) -> (N, oH, oW, kH, kW, C), a view in which overlapping windows share their memory.

    Element (n, p, q, i, j, c) is ``x[n, p*sH + i*dH, q*sW + j*dW, c]``: window (0, 0) starts at pixel (0, 0).
    """
    N, _, _, C = x.shape
    (sH, sW), (dH, dW) = windows.stride, windows.dilation
    image, row, pixel, channel = x.strides
    return device_of(x).xp.lib.stride_tricks.as_strided(
        x,
        (N, *windows.output_size, *windows.kernel_size, C),
        (image, row * sH, pixel * sW, row * dH, pixel * dW, channel),
    )
