"""Max-pooling: the layer. The computation is in `max_pool.py`.

Symbols: N images, C channels, H x W pixels, oH x oW windows.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from npalexnet.backend import Array
from npalexnet.checks import IntOrPair, pair
from npalexnet.layers.im2col import channels_last
from npalexnet.layers.layer import Layer
from npalexnet.layers.max_pool import max_pool, window_maxima
from npalexnet.layers.parameter import Gradients, Shape
from npalexnet.windows import Geometry, Windows, padding_of_sides


class MaxPool2d(Layer):
    """Maximum over each window, channel by channel, as ``torch.nn.MaxPool2d``.

    Of equal elements the first one wins, and only that one receives the gradient. NaN counts as larger than any number,
    and of several NaNs the last one wins.

    Parameters
    ----------
    kernel_size : int or pair of int
        Size of the windows.
    stride : int, pair of int or None
        Step between windows; None for `kernel_size`, so that they don't overlap. (AlexNet's do: 3 and 2.)
    padding : int or pair of int
        Rows and columns of minus infinity on each side: at most half of `kernel_size`.
    dilation : int or pair of int
        Spacing between a window's elements.
    ceil_mode : bool
        Whether a last window may extend past the end, if it starts inside the image or the padding before it.

    Attributes
    ----------
    geometry : Geometry
        The arguments above.
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
        sides = padding_of_sides(self.padding, self.kernel_size)
        self.geometry = Geometry(self.kernel_size, self.stride, self.dilation, sides, self.ceil_mode)

    def compute(self, x: Array, noise: Any = None) -> tuple[Array, Callable[[Array], Array]]:
        """(N, C, H, W) -> (N, C, oH, oW); backward needs the function that `max_pool` returns."""
        y, gradient = max_pool(channels_last(x), self._windows(x.shape))  # (N, oH, oW, C)
        return y.transpose(0, 3, 1, 2), gradient

    def infer(self, x: Array, noise: Any = None) -> Array:
        """(N, C, H, W) -> (N, C, oH, oW), without asking which element is the largest."""
        return window_maxima(channels_last(x), self._windows(x.shape)).transpose(0, 3, 1, 2)

    def gradients(self, grad_y: Array, gradient: Callable[[Array], Array]) -> tuple[Array, Gradients]:
        """(N, C, oH, oW) -> (N, C, H, W): each window's gradient goes to its largest element."""
        return gradient(channels_last(grad_y)).transpose(0, 3, 1, 2), []

    def output_shape(self, input_shape: Shape) -> Shape:
        """(N, C, H, W) -> (N, C, oH, oW)."""
        windows = self._windows(input_shape)
        return (*input_shape[:2], *windows.output_size)

    def _windows(self, input_shape: Shape) -> Windows:
        return self.geometry.windows(type(self).__name__, input_shape)

    def __repr__(self) -> str:
        return (
            f"MaxPool2d(kernel_size={self.kernel_size}, stride={self.stride}, padding={self.padding}, "
            f"dilation={self.dilation}, ceil_mode={self.ceil_mode})"
        )
