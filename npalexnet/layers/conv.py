"""Two-dimensional convolution as im2col and one matrix product.

Symbols: N images, C input channels, H x W pixels, O output channels, windows of kH x kW, oH x oW of them, G groups.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from npalexnet.backend import Array, array_module, device_of
from npalexnet.init import Seed, weight_and_bias
from npalexnet.layers.geometry import (
    IntOrPair,
    Pair,
    check_images,
    integer,
    output_size,
    pair,
    windows_output_shape,
)
from npalexnet.layers.im2col import channels_first, channels_last, col2im, im2col, pad
from npalexnet.layers.layer import Layer
from npalexnet.layers.parameter import Parameter, Shape


class Conv2d(Layer):
    """Convolution of images with learnt kernels, as ``torch.nn.Conv2d``.

    ``y[n, o, p, q]`` is ``bias[o]`` plus the sum over c, i, j of ``weight[o, c, i, j] * x[n, c, r, s]`` with
    ``r = p*stride + i*dilation - padding`` and ``s = q*stride + j*dilation - padding``: strictly a
    cross-correlation, as everywhere in this field. ``x`` counts as 0 outside the image.

    Parameters
    ----------
    in_channels, out_channels : int
        C and O.
    kernel_size, stride, dilation : int or pair of int
        For both axes, or (vertical, horizontal).
    padding : int, pair of int, "valid" or "same"
        Rows and columns of zeros on each side; "valid" means none, "same" (at stride 1) as many as keep the size; an
        odd number puts the extra one below and to the right.
    groups : int
        Input and output channels are cut into this many groups that don't see each other.
    bias : bool
        Whether a learnt number is added to each output channel.
    dtype : {"float32", "float64"}
        Of the parameters, the input and the output.
    device : str
        Where the parameters live: "cpu", "cuda", "cuda:1" or "auto".
    seed : int, numpy.random.Generator or None
        Where the initial parameters come from; None: unpredictable.

    Attributes
    ----------
    weight : Parameter
        (O, C/G, kH, kW), in memory (O, kH, kW, C/G).
    bias : Parameter or None
        (O,).

    References
    ----------
    K. Chellapilla, S. Puri and P. Simard, "High Performance Convolutional Neural Networks for Document Processing",
    2006: convolution as a matrix product.
    """

    per_image = True

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: IntOrPair,
        stride: IntOrPair = 1,
        padding: IntOrPair | str = 0,
        dilation: IntOrPair = 1,
        groups: int = 1,
        bias: bool = True,
        *,
        dtype: str | np.dtype = "float32",
        device: str = "cpu",
        seed: Seed = None,
    ) -> None:
        self.in_channels = integer("in_channels", in_channels, 1)
        self.out_channels = integer("out_channels", out_channels, 1)
        self.kernel_size = pair("kernel_size", kernel_size, 1)
        self.stride = pair("stride", stride, 1)
        self.dilation = pair("dilation", dilation, 1)
        self.padding = padding if isinstance(padding, str) else pair("padding", padding, 0)
        self._sides = self._padding_of_sides()  # ((top, bottom), (left, right))
        self.groups = integer("groups", groups, 1)
        if self.in_channels % self.groups or self.out_channels % self.groups:
            raise ValueError(
                f"groups must divide in_channels and out_channels, got {groups} for {in_channels} and {out_channels}"
            )
        shape = (self.out_channels, self.in_channels // self.groups, *self.kernel_size)
        self.weight, self.bias = weight_and_bias(shape, bias=bias, dtype=dtype, device=device, seed=seed)

    def compute(self, x: Array, noise: Any = None) -> tuple[Array, Array]:
        """(N, C, H, W) -> (N, O, oH, oW); backward needs x alone, and makes its columns again."""
        N, O, oH, oW = self.output_shape(x.shape)
        images = pad(channels_last(x), *self._sides, value=0)  # (N, Hp, Wp, C)
        y = array_module(x).empty((N * oH * oW, O), x.dtype)
        for ins, outs in self._groups():
            columns = im2col(images[..., ins], self.kernel_size, self.stride, self.dilation)  # (N*oH*oW, kH*kW*C/G)
            array_module(x).matmul(columns, self._weight_matrix()[outs].T, out=y[:, outs])  # (N*oH*oW, O/G)
        if self.bias is not None:
            y += self.bias.data
        return channels_first(y.reshape(N, oH, oW, O)), x

    def gradients(self, grad_y: Array, x: Array) -> tuple[Array, list[tuple[Parameter, Array]]]:
        """Differentiate the product ``y = columns @ W.T`` by both of its factors."""
        return self._input_gradient(grad_y, x), self.parameter_gradients(grad_y, x)

    def parameter_gradients(self, grad_y: Array, x: Array) -> list[tuple[Parameter, Array]]:
        """``grad_W = grad_y.T @ columns``; ``grad_bias`` is the sum over images and windows."""
        xp = array_module(x)
        grad_y = channels_last(grad_y).reshape(-1, self.out_channels)  # (N*oH*oW, O)
        images = pad(channels_last(x), *self._sides, value=0)  # (N, Hp, Wp, C)
        grad_matrix = xp.empty_like(self._weight_matrix())  # (O, kH*kW*C/G)
        for ins, outs in self._groups():
            columns = im2col(images[..., ins], self.kernel_size, self.stride, self.dilation)  # (N*oH*oW, kH*kW*C/G)
            xp.matmul(grad_y[:, outs].T, columns, out=grad_matrix[outs])  # (O/G, kH*kW*C/G)
        grad_weight = channels_first(grad_matrix.reshape(self.out_channels, *self.kernel_size, -1))  # (O, C/G, kH, kW)
        if self.bias is None:
            return [(self.weight, grad_weight)]
        return [(self.weight, grad_weight), (self.bias, grad_y.sum(axis=0))]

    def _input_gradient(self, grad_y: Array, x: Array) -> Array:
        """``grad_columns = grad_y @ W``, and back from columns to images."""
        xp = array_module(x)
        N, C, H, W = x.shape
        grad_y = channels_last(grad_y).reshape(-1, self.out_channels)  # (N*oH*oW, O)
        matrix = self._weight_matrix()  # (O, kH*kW*C/G)
        (top, bottom), (left, right) = self._sides
        grad_images = xp.zeros((N, H + top + bottom, W + left + right, C), x.dtype)  # (N, Hp, Wp, C)
        grad_columns = device_of(x).scratch("columns", (len(grad_y), matrix.shape[1]), x.dtype)
        for ins, outs in self._groups():
            xp.matmul(grad_y[:, outs], matrix[outs], out=grad_columns)  # (N*oH*oW, kH*kW*C/G)
            col2im(grad_columns, grad_images[..., ins], self.kernel_size, self.stride, self.dilation)
        return channels_first(grad_images[:, top : top + H, left : left + W])  # (N, C, H, W)

    def output_shape(self, input_shape: Shape) -> Shape:
        """(N, C, H, W) -> (N, O, oH, oW)."""
        check_images(self._name(), input_shape, self.in_channels)
        oH, oW = (
            output_size(*axis)
            for axis in zip(input_shape[2:], self.kernel_size, self.stride, self._sides, self.dilation, strict=True)
        )
        return windows_output_shape(self._name(), input_shape, self.out_channels, (oH, oW), self.kernel_size)

    def multiply_adds(self, input_shape: Shape) -> int:
        """N * oH * oW windows, each of kH*kW*C/G numbers, for each of the O kernels."""
        N, _, oH, oW = self.output_shape(input_shape)
        return N * oH * oW * self.weight.size

    def _weight_matrix(self) -> Array:
        """(O, C/G, kH, kW) -> (O, kH*kW*C/G), a view."""
        return self.weight.data.transpose(0, 2, 3, 1).reshape(self.out_channels, -1)

    def _groups(self) -> list[tuple[slice, slice]]:
        """The input and the output channels of each group."""
        C, O = self.in_channels // self.groups, self.out_channels // self.groups
        return [(slice(g * C, (g + 1) * C), slice(g * O, (g + 1) * O)) for g in range(self.groups)]

    def _padding_of_sides(self) -> tuple[Pair, Pair]:
        """Return `padding` as ((top, bottom), (left, right))."""
        if self.padding == "valid":
            return (0, 0), (0, 0)
        if self.padding == "same":
            if self.stride != (1, 1):
                raise ValueError(f"padding='same' needs stride 1, got stride {self.stride}")
            vertical, horizontal = (d * (k - 1) for d, k in zip(self.dilation, self.kernel_size, strict=True))
            return (vertical // 2, vertical - vertical // 2), (horizontal // 2, horizontal - horizontal // 2)
        if isinstance(self.padding, str):
            raise ValueError(f"padding must be an int, a pair of ints, 'same' or 'valid', got {self.padding!r}")
        vertical, horizontal = self.padding
        return (vertical, vertical), (horizontal, horizontal)

    def __repr__(self) -> str:
        return (
            f"Conv2d({self.in_channels}, {self.out_channels}, kernel_size={self.kernel_size}, stride={self.stride}, "
            f"padding={self.padding!r}, dilation={self.dilation}, groups={self.groups}, bias={self.bias is not None})"
        )
