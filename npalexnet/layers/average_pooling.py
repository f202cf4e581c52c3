"""Average pooling: over windows, or over as many parts of the image as are asked for.

An average over a rectangle is one over its rows, then one over its columns. So both layers are two passes, along one
axis of the image after the other, each of which makes one output of each `Interval` of pixels.

Symbols: N images, C channels, H x W pixels, oH x oW outputs.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from npalexnet.backend import Array, accumulation_dtype, array_module
from npalexnet.checks import IntOrPair, Pair, pair
from npalexnet.layers.im2col import channels_last
from npalexnet.layers.layer import Layer
from npalexnet.layers.parameter import Gradients, Shape
from npalexnet.windows import Geometry, layout_advice, padding_of_sides


class Interval(NamedTuple):
    """The pixels of one output along one axis: from `start` to ``stop - 1``; their sum is divided by `divisor`."""

    start: int
    stop: int
    divisor: int


class AvgPool2d(Layer):
    """Average over each window, channel by channel, as ``torch.nn.AvgPool2d``.

    Parameters
    ----------
    kernel_size : int or pair of int
        Size of the windows.
    stride : int, pair of int or None
        Step between windows; None for `kernel_size`, so that they don't overlap.
    padding : int or pair of int
        Rows and columns of zeros on each side: at most half of `kernel_size`.
    ceil_mode : bool
        Whether a last window may extend past the end, if it starts inside the image or the padding before it. What is
        beyond the padding is not counted.
    count_include_pad : bool
        Whether the zeros of the padding count: else the sum is divided by the number of pixels inside the image.

    Attributes
    ----------
    geometry : Geometry
        The arguments above but the last.
    """

    per_image = True

    def __init__(
        self,
        kernel_size: IntOrPair,
        stride: IntOrPair | None = None,
        padding: IntOrPair = 0,
        *,
        ceil_mode: bool = False,
        count_include_pad: bool = True,
    ) -> None:
        self.kernel_size = pair("kernel_size", kernel_size, 1)
        self.stride = self.kernel_size if stride is None else pair("stride", stride, 1)
        self.padding = pair("padding", padding, 0)
        self.ceil_mode, self.count_include_pad = bool(ceil_mode), bool(count_include_pad)
        if any(2 * p > k for p, k in zip(self.padding, self.kernel_size, strict=True)):
            raise ValueError(f"padding must be at most half of kernel_size {self.kernel_size}, got {self.padding}")
        sides = padding_of_sides(self.padding, self.kernel_size)
        self.geometry = Geometry(self.kernel_size, self.stride, (1, 1), sides, self.ceil_mode)

    def compute(self, x: Array, noise: Any = None) -> tuple[Array, Shape]:
        """(N, C, H, W) -> (N, C, oH, oW); backward needs the shape."""
        return _averages(x, *self._intervals(x.shape)), x.shape

    def gradients(self, grad_y: Array, input_shape: Shape) -> tuple[Array, Gradients]:
        """(N, C, oH, oW) -> (N, C, H, W): every pixel of a window gets an equal part of its gradient."""
        return _averages_gradient(grad_y, input_shape, *self._intervals(input_shape)), []

    def output_shape(self, input_shape: Shape) -> Shape:
        """(N, C, H, W) -> (N, C, oH, oW)."""
        windows = self.geometry.windows(type(self).__name__, input_shape)
        return (*input_shape[:2], *windows.output_size)

    def _intervals(self, input_shape: Shape) -> tuple[list[Interval], list[Interval]]:
        axes = []
        windows = self.geometry.windows(type(self).__name__, input_shape)
        for size, kernel, stride, padding, count in zip(
            input_shape[2:], self.kernel_size, self.stride, self.padding, windows.output_size, strict=True
        ):
            intervals = []
            for start in range(-padding, count * stride - padding, stride):
                inside = max(start, 0), min(start + kernel, size)
                counted = min(start + kernel, size + padding) - start  # what ceil mode adds beyond is not
                intervals.append(Interval(*inside, counted if self.count_include_pad else inside[1] - inside[0]))
            axes.append(intervals)
        return axes[0], axes[1]

    def __repr__(self) -> str:
        return (
            f"AvgPool2d(kernel_size={self.kernel_size}, stride={self.stride}, padding={self.padding}, "
            f"ceil_mode={self.ceil_mode}, count_include_pad={self.count_include_pad})"
        )


class AdaptiveAvgPool2d(Layer):
    """Average over oH x oW parts of an image of any size, as ``torch.nn.AdaptiveAvgPool2d``.

    Part p of the rows is from row ``floor(p * H / oH)`` to below row ``ceil((p + 1) * H / oH)``, and likewise for
    columns: where oH does not divide H, neighbouring parts share a row. If there are oH x oW pixels, nothing changes.

    Parameters
    ----------
    output_size : int or pair of int
        oH and oW, for both axes or (vertical, horizontal).
    """

    per_image = True

    def __init__(self, output_size: IntOrPair) -> None:
        self.output_size: Pair = pair("output_size", output_size, 1)

    def compute(self, x: Array, noise: Any = None) -> tuple[Array, Shape]:
        """(N, C, H, W) -> (N, C, oH, oW); backward needs the shape."""
        return _averages(x, *self._intervals(x.shape)), x.shape

    def gradients(self, grad_y: Array, input_shape: Shape) -> tuple[Array, Gradients]:
        """(N, C, oH, oW) -> (N, C, H, W): every pixel of a part gets an equal share of its gradient."""
        return _averages_gradient(grad_y, input_shape, *self._intervals(input_shape)), []

    def output_shape(self, input_shape: Shape) -> Shape:
        """(N, C, H, W) -> (N, C, oH, oW)."""
        if len(input_shape) != 4 or 0 in input_shape[2:]:
            advice = layout_advice(input_shape, lambda shape: 0 not in shape[2:])
            raise ValueError(f"AdaptiveAvgPool2d expects an input of shape (N, C, H, W), got {input_shape}{advice}")
        return (*input_shape[:2], *self.output_size)

    def _intervals(self, input_shape: Shape) -> tuple[list[Interval], list[Interval]]:
        axes = []
        for size, parts in zip(input_shape[2:], self.output_size, strict=True):
            edges = [(p * size // parts, -(-(p + 1) * size // parts)) for p in range(parts)]
            axes.append([Interval(start, stop, stop - start) for start, stop in edges])
        return axes[0], axes[1]

    def __repr__(self) -> str:
        return f"AdaptiveAvgPool2d(output_size={self.output_size})"


def _averages(x: Array, rows: Sequence[Interval], columns: Sequence[Interval]) -> Array:
    """(N, C, H, W) -> (N, C, oH, oW); numbers of 16 bits are added in float32."""
    images = channels_last(x)  # (N, H, W, C)
    N, _, W, C = images.shape
    xp, dtype = array_module(x), accumulation_dtype(x.dtype)
    of_rows = xp.empty((N, len(rows), W, C), dtype)
    for p, (start, stop, divisor) in enumerate(rows):
        of_rows[:, p] = images[:, start:stop].sum(axis=1, dtype=dtype) / divisor
    y = xp.empty((N, len(rows), len(columns), C), x.dtype)
    for q, (start, stop, divisor) in enumerate(columns):
        y[:, :, q] = of_rows[:, :, start:stop].sum(axis=2) / divisor
    return y.transpose(0, 3, 1, 2)


def _averages_gradient(
    grad_y: Array, input_shape: Shape, rows: Sequence[Interval], columns: Sequence[Interval]
) -> Array:
    """(N, C, oH, oW) -> (N, C, H, W): what `_averages` does, transposed, from its last step to its first."""
    N, C, H, W = input_shape
    xp, dtype = array_module(grad_y), accumulation_dtype(grad_y.dtype)
    grad = channels_last(grad_y).astype(dtype, copy=False)  # (N, oH, oW, C)
    of_rows = xp.zeros((N, len(rows), W, C), dtype)
    for q, (start, stop, divisor) in enumerate(columns):
        of_rows[:, :, start:stop] += grad[:, :, q : q + 1] / divisor
    grad_x = xp.zeros((N, H, W, C), dtype)
    for p, (start, stop, divisor) in enumerate(rows):
        grad_x[:, start:stop] += of_rows[:, p : p + 1] / divisor
    return grad_x.astype(grad_y.dtype, copy=False).transpose(0, 3, 1, 2)
