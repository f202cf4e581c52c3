"""Max-pooling.

Symbols: N images, C channels, H x W pixels (Hp x Wp with the border), windows of kH x kW, oH x oW of them.
"""

from __future__ import annotations

from math import inf
from typing import Any

import numpy as np

from npalexnet.backend import Array, array_module, device_of
from npalexnet.layers.geometry import (
    IntOrPair,
    Pair,
    check_images,
    output_size,
    pair,
    window_extent,
    windows_output_shape,
)
from npalexnet.layers.im2col import channels_first, channels_last, each_window, pad
from npalexnet.layers.layer import Layer
from npalexnet.layers.parameter import Parameter, Shape


class MaxPool2d(Layer):
    """The largest number of each window, channel by channel, as ``torch.nn.MaxPool2d``.

    The first of equal numbers wins and alone receives the gradient; NaN counts as larger than any number.

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

    def compute(self, x: Array, noise: Any = None) -> tuple[Array, tuple[Shape, Array]]:
        """(N, C, H, W) -> (N, C, oH, oW); backward needs each window's winner, as its number within the window."""
        images = self._images(x)  # (N, Hp, Wp, C)
        tallest, y = self._largest(images, x.shape)
        return channels_first(y), (x.shape, self._winner(images, tallest, y, x.shape))

    def infer(self, x: Array, noise: Any = None) -> Array:
        """(N, C, H, W) -> (N, C, oH, oW), without asking who won."""
        return channels_first(self._largest(self._images(x), x.shape)[1])

    def gradients(self, grad_y: Array, saved: tuple[Shape, Array]) -> tuple[Array, list[tuple[Parameter, Array]]]:
        """Each window's gradient goes to its winner; windows overlap, so what a pixel receives is added up."""
        (N, C, H, W), winner = saved
        _, oH, oW, _ = winner.shape
        xp = array_module(grad_y)
        grad_y = channels_last(grad_y)  # (N, oH, oW, C)
        (top, bottom), (left, right) = self._border(H, W, oH, oW)
        grad_images = xp.zeros((N, H + top + bottom, W + left + right, C), grad_y.dtype)
        for number, (i, j) in enumerate(self._offsets()):
            pixels = grad_images[each_window(i, oH, self.stride[0], j, oW, self.stride[1])]  # (N, oH, oW, C), a view
            pixels += device_of(grad_y).masked(grad_y, winner == number)
        return channels_first(grad_images[:, top : top + H, left : left + W]), []

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

    def _images(self, x: Array) -> Array:
        """(N, C, H, W) -> (N, Hp, Wp, C), with a border of minus infinity."""
        (_, _, H, W), (_, _, oH, oW) = x.shape, self.output_shape(x.shape)
        return pad(channels_last(x), *self._border(H, W, oH, oW), value=-inf)

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

    def _winner(self, images: Array, tallest: Array, y: Array, input_shape: Shape) -> Array:
        """(N, oH, oW, C): the number, i*kW + j, of each window's first element that equals y, or of its last NaN.

        Writing where a mask says so is slow, so what comes first gets the highest rank, and the highest rank is kept:
        row i of a column ranks kH - i, and element (i, j) of a window ranks kH*kW - (i*kW + j).
        """
        xp, (kH, kW) = array_module(y), self.kernel_size
        _, oH, oW, _ = y.shape
        integer = np.min_scalar_type(kH * kW).type  # one byte for all windows but huge ones
        row_rank = xp.zeros(tallest.shape, integer)
        for i, row in enumerate(self._rows(images, oH)):
            xp.maximum(row_rank, (row == tallest) * integer(kH - i), out=row_rank)
        row_rank *= integer(kW)
        rank = xp.zeros(y.shape, integer)
        for j, (column, ranks) in enumerate(zip(self._columns(tallest, oW), self._columns(row_rank, oW), strict=True)):
            xp.maximum(rank, (column == y) * (ranks - integer(j)), out=rank)
        winner = integer(kH * kW) - rank

        if device_of(y).maybe_any(y != y):
            last_nan = xp.zeros(y.shape, integer)  # its number + 1
            for number, (i, j) in enumerate(self._offsets()):
                element = images[each_window(i, oH, self.stride[0], j, oW, self.stride[1])]
                xp.maximum(last_nan, (element != element) * integer(number + 1), out=last_nan)
            winner = xp.where(y != y, last_nan - integer(1), winner)
        _, _, H, W = input_shape
        if any(map(any, self._border(H, W, oH, oW))):
            # Only minus infinities: all elements equal y, those outside the image too, which must not win.
            first_inside = xp.asarray(self._first_inside(input_shape, oH, oW))[:, :, None]  # (oH, oW, 1)
            winner = xp.where(y == -inf, first_inside, winner)
        return winner

    def _border(self, H: int, W: int, oH: int, oW: int) -> tuple[Pair, Pair]:
        """((top, bottom), (left, right)): below and to the right, as much as the last window needs."""
        sides = []
        for size, windows, k, s, p, d in zip(
            (H, W), (oH, oW), self.kernel_size, self.stride, self.padding, self.dilation, strict=True
        ):
            last_row = (windows - 1) * s + window_extent(k, d)
            sides.append((p, max(0, last_row - size - p)))
        return sides[0], sides[1]

    def _offsets(self) -> list[Pair]:
        """(row, column) of each element of a window, in reading order."""
        (kH, kW), (dH, dW) = self.kernel_size, self.dilation
        return [(i * dH, j * dW) for i in range(kH) for j in range(kW)]

    def _first_inside(self, input_shape: Shape, oH: int, oW: int) -> np.ndarray:
        """(oH, oW): the number of each window's first element inside the image.

        It wins where no number is above minus infinity. Where none is inside, a number that no element has.
        """
        first, inside = [], []
        for size, windows, s, p, d in zip(
            input_shape[2:], (oH, oW), self.stride, self.padding, self.dilation, strict=True
        ):
            start = np.arange(windows) * s - p
            element = np.maximum(0, -(start // d))  # the first i with start + i*d >= 0
            first.append(element)
            inside.append(start + element * d < size)
        (kH, kW), (rows, columns) = self.kernel_size, first
        number = np.where(inside[0][:, None] & inside[1], rows[:, None] * kW + columns, kH * kW)
        return number.astype(np.min_scalar_type(kH * kW))

    def __repr__(self) -> str:
        return (
            f"MaxPool2d(kernel_size={self.kernel_size}, stride={self.stride}, padding={self.padding}, "
            f"dilation={self.dilation}, ceil_mode={self.ceil_mode})"
        )
