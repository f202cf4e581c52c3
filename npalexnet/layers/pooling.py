"""Max-pooling.

Symbols: N images, C channels, H x W pixels (Hp x Wp with the border), windows of kH x kW, oH x oW of them.
"""

from __future__ import annotations

from math import inf
from typing import Any

import numpy as np

from npalexnet.backend import Array, accumulation_dtype, array_module, device_of
from npalexnet.backend.cuda.kernels import Kernels
from npalexnet.backend.cuda.layouts import Windows
from npalexnet.checks import IntOrPair, Pair, pair
from npalexnet.layers.geometry import check_images, output_size, window_extent, windows_output_shape
from npalexnet.layers.im2col import channels_first, channels_last, each_window, pad
from npalexnet.layers.layer import Layer
from npalexnet.layers.parameter import Parameter, Shape


class MaxPool2d(Layer):
    """The largest number of each window, channel by channel, as ``torch.nn.MaxPool2d``.

    The first of equal numbers wins and alone receives the gradient; NaN counts as larger than any number, and of
    several the last one wins.

    Parameters
    ----------
    kernel_size : int or pair of int
        Size of the windows.
    stride : int, pair of int or None
        Distance of the windows; None: `kernel_size`, so that they don't overlap. (AlexNet's do: 3 and 2.)
    padding : int or pair of int
        Rows and columns of minus infinity on each side, at most half of `kernel_size`.
    dilation : int or pair of int
        Distance of a window's elements.
    ceil_mode : bool
        Whether a last window may hang over the end, if it starts inside the image or the padding before it.
    """

    per_image = True

    def __init__(
        self,
        kernel_size: IntOrPair,
        stride: IntOrPair | None = None,
        padding: IntOrPair = 0,
        dilation: IntOrPair = 1,
        *,
        ceil_mode: bool = False,
    ) -> None:
        self.kernel_size = pair("kernel_size", kernel_size, 1)
        self.stride = self.kernel_size if stride is None else pair("stride", stride, 1)
        self.padding = pair("padding", padding, 0)
        self.dilation = pair("dilation", dilation, 1)
        self.ceil_mode = bool(ceil_mode)
        if any(2 * p > k for p, k in zip(self.padding, self.kernel_size, strict=True)):
            raise ValueError(f"padding must be at most half of kernel_size {self.kernel_size}, got {self.padding}")

    def compute(self, x: Array, noise: Any = None) -> tuple[Array, Any]:
        """(N, C, H, W) -> (N, C, oH, oW); backward needs the winners: a kernel's, or see `_winners`."""
        kernels, images = device_of(x).kernels, channels_last(x)
        if (found := kernels.max_pool(images, self._windows(x.shape))) is not None:
            y, winners = found
            return channels_first(y), (x.shape, kernels, winners)
        images = self._bordered(images, x.shape)  # (N, Hp, Wp, C)
        tallest, y = self._largest(images, x.shape)
        return channels_first(y), (x.shape, *self._winners(images, tallest, y, x.shape))

    def infer(self, x: Array, noise: Any = None) -> Array:
        """(N, C, H, W) -> (N, C, oH, oW), without asking who won."""
        images = channels_last(x)
        found = device_of(x).kernels.max_pool(images, self._windows(x.shape), winners=False)
        return channels_first(self._largest(self._bordered(images, x.shape), x.shape)[1] if found is None else found[0])

    def gradients(self, grad_y: Array, saved: Any) -> tuple[Array, list[tuple[Parameter, Array]]]:
        """Each window's gradient goes to its winner; windows overlap, so what a pixel receives is added up."""
        if isinstance(saved[1], Kernels):
            input_shape, kernels, winners = saved
            windows = self._windows(input_shape)
            return channels_first(
                kernels.max_pool_gradient(channels_last(grad_y), winners, windows, input_shape[2:])
            ), []
        (N, C, H, W), row_rank, column = saved
        _, oH, oW, _ = column.shape
        device, (kH, _) = device_of(grad_y), self.kernel_size
        dtype = grad_y.dtype
        grad_y = channels_last(grad_y).astype(accumulation_dtype(dtype), copy=False)  # (N, oH, oW, C)
        (top, bottom), (left, right) = self._border(H, W, oH, oW)
        grad_tallest = device.scratch("pooling", row_rank.shape, grad_y.dtype)  # (N, oH, Wp, C)
        grad_tallest[...] = 0
        for j, pixels in enumerate(self._columns(grad_tallest, oW)):  # views of (N, oH, oW, C)
            _add_masked(pixels, grad_y, column == j, first=j * self.dilation[1] < self.stride[1])
        grad_images = device.xp.zeros((N, H + top + bottom, W + left + right, C), grad_y.dtype)
        for i, pixels in enumerate(self._rows(grad_images, oH)):  # views of (N, oH, Wp, C)
            _add_masked(pixels, grad_tallest, row_rank == kH - i, first=i * self.dilation[0] < self.stride[0])
        grad_images = grad_images[:, top : top + H, left : left + W]
        return channels_first(grad_images.astype(dtype, copy=False)), []

    def output_shape(self, input_shape: Shape) -> Shape:
        """(N, C, H, W) -> (N, C, oH, oW)."""
        check_images(self._name(), input_shape)
        oH, oW = (
            output_size(size, k, s, (p, p), d, self.ceil_mode)
            for size, k, s, p, d in zip(
                input_shape[2:], self.kernel_size, self.stride, self.padding, self.dilation, strict=True
            )
        )
        return windows_output_shape(self._name(), input_shape, input_shape[1], (oH, oW), self.kernel_size)

    def _windows(self, input_shape: Shape) -> Windows:
        _, _, oH, oW = self.output_shape(input_shape)
        return Windows(self.kernel_size, self.stride, self.dilation, before=self.padding, count=(oH, oW))

    def _bordered(self, images: Array, input_shape: Shape) -> Array:
        """(N, H, W, C) -> (N, Hp, Wp, C), with a border of minus infinity."""
        (_, _, H, W), (_, _, oH, oW) = input_shape, self.output_shape(input_shape)
        return pad(images, *self._border(H, W, oH, oW), value=-inf)

    def _largest(self, images: Array, input_shape: Shape) -> tuple[Array, Array]:
        """(N, Hp, Wp, C) -> the largest of each window's columns, (N, oH, Wp, C), and of each window, (N, oH, oW, C).

        A window with a NaN has NaN.
        """
        _, _, oH, oW = self.output_shape(input_shape)
        xp = array_module(images)
        rows = self._rows(images, oH)
        tallest = rows[0].copy()
        for row in rows[1:]:
            xp.maximum(tallest, row, out=tallest)
        columns = self._columns(tallest, oW)
        y = columns[0].copy()
        for column in columns[1:]:
            xp.maximum(y, column, out=y)
        return tallest, y

    def _rows(self, images: Array, oH: int) -> list[Array]:
        """(N, Hp, Wp, C) -> for each row of a window, that of all windows: kH views of (N, oH, Wp, C)."""
        tops = range(0, self.kernel_size[0] * self.dilation[0], self.dilation[0])
        return [images[each_window(top, oH, self.stride[0], 0, images.shape[2], 1)] for top in tops]

    def _columns(self, rows: Array, oW: int) -> list[Array]:
        """(N, oH, Wp, C) -> for each column of a window, that of all windows: kW views of (N, oH, oW, C)."""
        lefts = range(0, self.kernel_size[1] * self.dilation[1], self.dilation[1])
        return [rows[each_window(0, rows.shape[1], 1, left, oW, self.stride[1])] for left in lefts]

    def _winners(self, images: Array, tallest: Array, y: Array, input_shape: Shape) -> tuple[Array, Array]:
        """Which element wins: the first, in reading order, that equals the largest, or the last NaN.

        Writing where a mask says so is slow, so what comes first gets the highest rank, and the highest rank is kept.

        Returns
        -------
        row_rank : array
            (N, oH, Wp, C): kH - i for the winner of a window's column, which is in row i of the window.
        column : array
            (N, oH, oW, C): j, if the window's winner is in its column j.
        """
        xp, (kH, kW) = array_module(y), self.kernel_size
        _, oH, oW, _ = y.shape
        bits = kW.bit_length()  # the lower ones of a rank: of equal elements the first row wins, then the first column
        integer = np.min_scalar_type(((kH + 1) << bits) - 1).type  # one byte for all windows but huge ones
        row_rank = xp.zeros(tallest.shape, integer)
        for i, row in enumerate(self._rows(images, oH)):
            xp.maximum(row_rank, (row == tallest) * integer(kH - i), out=row_rank)
        rank, shifted = xp.zeros(y.shape, integer), self._columns(row_rank * integer(1 << bits), oW)
        for j, (largest, ranks) in enumerate(zip(self._columns(tallest, oW), shifted, strict=True)):
            xp.maximum(rank, (largest == y) * (ranks + integer(kW - j)), out=rank)
        column = integer(kW) - (rank & integer((1 << bits) - 1))

        if device_of(y).maybe_any(y != y):
            last_row = xp.zeros(tallest.shape, integer)  # i + 1 for a column's last NaN
            for i, row in enumerate(self._rows(images, oH)):
                xp.maximum(last_row, (row != row) * integer(i + 1), out=last_row)
            row_rank = xp.where(last_row > 0, integer(kH + 1) - last_row, row_rank)
            last, shifted = xp.zeros(y.shape, integer), self._columns(last_row * integer(1 << bits), oW)
            for j, (largest, rows) in enumerate(zip(self._columns(tallest, oW), shifted, strict=True)):
                xp.maximum(last, (largest != largest) * (rows + integer(j)), out=last)
            column = xp.where(y != y, last & integer((1 << bits) - 1), column)
        _, _, H, W = input_shape
        if any(map(any, self._border(H, W, oH, oW))):
            # Only minus infinities: all elements equal y, those outside the image too, which must not win.
            i, j = (xp.asarray(first.astype(integer)) for first in self._first_inside(input_shape, (oH, oW)))
            row_rank = xp.where(tallest == -inf, integer(kH) - i[:, None, None], row_rank)
            column = xp.where(y == -inf, j[:, None], column)
        return row_rank, column

    def _border(self, H: int, W: int, oH: int, oW: int) -> tuple[Pair, Pair]:
        """((top, bottom), (left, right)): below and to the right, as much as the last window needs."""
        sides = []
        for size, windows, k, s, p, d in zip(
            (H, W), (oH, oW), self.kernel_size, self.stride, self.padding, self.dilation, strict=True
        ):
            last_row = (windows - 1) * s + window_extent(k, d)
            sides.append((p, max(0, last_row - size - p)))
        return sides[0], sides[1]

    def _first_inside(self, input_shape: Shape, windows: Pair) -> list[np.ndarray]:
        """(oH,) and (oW,): the first row and the first column of each window inside the image.

        Its element wins where no number is above minus infinity. Where none is inside: one more than the last.
        """
        firsts = []
        for size, count, k, s, p, d in zip(
            input_shape[2:], windows, self.kernel_size, self.stride, self.padding, self.dilation, strict=True
        ):
            start = np.arange(count) * s - p
            first = np.maximum(0, -(start // d))  # the first i with start + i*d >= 0
            firsts.append(np.where(start + first * d < size, first, k))
        return firsts

    def __repr__(self) -> str:
        return (
            f"MaxPool2d(kernel_size={self.kernel_size}, stride={self.stride}, padding={self.padding}, "
            f"dilation={self.dilation}, ceil_mode={self.ceil_mode})"
        )


def _add_masked(pixels: Array, gradient: Array, mask: Array, first: bool) -> None:
    """``pixels += gradient`` where `mask` is True; with `first` they are known to be 0 still."""
    device = device_of(gradient)
    if first:
        device.masked(gradient, mask, out=pixels)
    else:
        pixels += device.masked(gradient, mask, out=device.scratch("masked", gradient.shape, gradient.dtype))
