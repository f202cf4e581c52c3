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
        candidates = self._candidates(x)  # kH*kW of (N, oH, oW, C)
        y = self._largest(candidates)  # (N, oH, oW, C)
        return channels_first(y), (x.shape, self._winner(candidates, y, x.shape))

    def infer(self, x: Array, noise: Any = None) -> Array:
        """(N, C, H, W) -> (N, C, oH, oW), without asking who won."""
        return channels_first(self._largest(self._candidates(x)))

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

    def _candidates(self, x: Array) -> list[Array]:
        """(N, C, H, W) -> for each element of a window, that of all windows: kH*kW views of (N, oH, oW, C)."""
        _, _, oH, oW = self.output_shape(x.shape)
        images = pad(channels_last(x), *self._border(x.shape[2], x.shape[3], oH, oW), value=-inf)  # (N, Hp, Wp, C)
        return [images[each_window(i, oH, self.stride[0], j, oW, self.stride[1])] for i, j in self._offsets()]

    def _largest(self, candidates: list[Array]) -> Array:
        """kH*kW of (N, oH, oW, C) -> (N, oH, oW, C): the largest of each window, NaN if one is."""
        y = candidates[0].copy()
        for candidate in candidates[1:]:
            array_module(y).maximum(y, candidate, out=y)
        return y

    def _winner(self, candidates: list[Array], y: Array, input_shape: Shape) -> Array:
        """Number of the first candidate that equals y, or, where y is NaN, of the last candidate that is.

        Writing where a mask says so is slow, so each candidate gets a rank, and the highest rank is kept: where y is a
        number, candidate 0 of 9 that equals it ranks 9, the next 8, ...; where y is NaN, candidate 0 that is ranks 1,
        the next 2, ... The winner's number follows from the rank.
        """
        xp = array_module(y)
        count = len(candidates)
        integers = np.min_scalar_type(count)  # one byte for all windows but huge ones
        rank = xp.zeros(y.shape, integers)
        for number, candidate in enumerate(candidates):
            xp.maximum(rank, (candidate == y) * integers.type(count - number), out=rank)
            xp.maximum(rank, (candidate != candidate) * integers.type(number + 1), out=rank)
        winner = xp.where(y != y, rank - 1, count - rank)
        if any(map(any, self._border(*input_shape[2:], *y.shape[1:3]))):
            # Only minus infinities: all elements equal y, those outside the image too, which must not win.
            first_inside = xp.asarray(self._first_inside(input_shape, *y.shape[1:3]))[:, :, None]  # (oH, oW, 1)
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
