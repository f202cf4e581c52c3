"""Windows to columns and back: how a convolution becomes one matrix product.

Symbols: N images, C channels, H x W pixels (Hp x Wp with the padding), windows of kH x kW, and oH x oW of them.
Arrays are channels last, (N, H, W, C): then a row of columns is made of kH runs of kW*C contiguous numbers.
"""

from __future__ import annotations

from npalexnet.backend import Array, array_module, device_of
from npalexnet.backend.layouts import Windows
from npalexnet.layers.geometry import Pair


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


def windows(x: Array, kernel_size: Pair, stride: Pair, dilation: Pair) -> Array:
    """(N, Hp, Wp, C) -> (N, oH, oW, kH, kW, C), a view in which overlapping windows share their memory."""
    N, Hp, Wp, C = x.shape
    (kH, kW), (sH, sW), (dH, dW) = kernel_size, stride, dilation
    oH = (Hp - dH * (kH - 1) - 1) // sH + 1
    oW = (Wp - dW * (kW - 1) - 1) // sW + 1
    image, row, pixel, channel = x.strides
    return array_module(x).lib.stride_tricks.as_strided(
        x, (N, oH, oW, kH, kW, C), (image, row * sH, pixel * sW, row * dH, pixel * dW, channel)
    )


def im2col(x: Array, kernel_size: Pair, stride: Pair, dilation: Pair) -> Array:
    """(N, Hp, Wp, C) -> (N*oH*oW, kH*kW*C), in scratch memory: a row for each window, its numbers side by side."""
    view = windows(x, kernel_size, stride, dilation)  # (N, oH, oW, kH, kW, C)
    device, (N, oH, oW, kH, kW, C) = device_of(x), view.shape
    columns = device.scratch("columns", (N * oH * oW, kH * kW * C), x.dtype)
    places = Windows(kernel_size, stride, dilation, before=(0, 0), count=(oH, oW))
    if device.kernels.im2col(x, places, columns) is None:
        columns.reshape(*view.shape)[...] = view
    return columns


def col2im(columns: Array, x: Array, kernel_size: Pair, stride: Pair, dilation: Pair) -> None:
    """Add (N*oH*oW, kH*kW*C) to `x`, (N, Hp, Wp, C): each number to the pixel that im2col took it from.

    It is the adjoint of `im2col`. Windows overlap, so a pixel receives the sum of all that it was part of: the windows'
    elements are added a few at a time, so few that those of different windows don't meet.
    """
    (kH, kW), (dH, dW) = kernel_size, dilation
    _, oH, oW, *_ = windows(x, kernel_size, stride, dilation).shape
    places = Windows(kernel_size, stride, dilation, before=(0, 0), count=(oH, oW))
    if device_of(x).kernels.col2im(columns, x, places) is not None:
        return
    columns = columns.reshape(len(x), oH, oW, kH, kW, x.shape[3])
    run = stride[1] if dW == 1 else 1  # neighbours within a window's row that lie before the next window's begin
    for i in range(kH):
        for j in range(0, kW, run):
            part = columns[:, :, :, i, j : j + run]  # (N, oH, oW, run, C)
            pixels = windows(x[:, i * dH :, j * dW :], (1, part.shape[3]), stride, dilation)
            pixels[:, :oH, :oW, 0] += part


def each_window(top: int, oH: int, sH: int, left: int, oW: int, sW: int) -> tuple[slice, slice, slice]:
    """Index of (N, Hp, Wp, C) that takes the pixel (top, left) of each of the oH x oW windows."""
    return (
        slice(None),
        slice(top, top + (oH - 1) * sH + 1, sH),
        slice(left, left + (oW - 1) * sW + 1, sW),
    )
