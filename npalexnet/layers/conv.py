"""Two-dimensional convolution: the layer. Its mathematics is in `im2col_gemm.py` and `winograd.py`.

Symbols: N images, C input channels, H x W pixels, O output channels, windows of kH x kW, oH x oW of them, G groups.

``layer(x)`` calls `compute`, ``layer.backward(grad_y)`` calls `gradients` (see `layer.py`). Arrays are (N, C, H, W) for
the caller and stored channels last, (N, H, W, C): transposing from one to the other is a view, from layer to layer.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from npalexnet.backend import Array, device_of
from npalexnet.checks import IntOrPair, integer, pair
from npalexnet.layers.algorithm_choice import choose_algorithm
from npalexnet.layers.im2col import channels_last
from npalexnet.layers.im2col_gemm import ConvolutionAlgorithm, sum_rows
from npalexnet.layers.init import Seed, weight_and_bias
from npalexnet.layers.layer import Layer
from npalexnet.layers.parameter import Gradients, Shape
from npalexnet.layers.sharding import once_per_pass
from npalexnet.windows import Geometry, Windows, padding_of_sides

# The input, the weight as (kH, kW, C/G, O), the windows, and what computes with them in this pass.
Saved = tuple[Array, Array, Windows, ConvolutionAlgorithm]


class Conv2d(Layer):
    """Convolution of images with learned kernels, as ``torch.nn.Conv2d``.

    ``y[n, o, p, q]`` is ``bias[o]`` plus the sum over c, i, j of ``weight[o, c, i, j] * x[n, first + c, r, s]`` with
    ``r = p*stride + i*dilation - padding`` and ``s = q*stride + j*dilation - padding``, where c runs over the C/G
    channels of o's group and `first` is the first of them. (It is a cross-correlation, as usual in deep learning.)
    ``x`` counts as 0 outside the image.

    Parameters
    ----------
    in_channels, out_channels : int
        C and O.
    kernel_size, stride, dilation : int or pair of int
        For both axes, or (vertical, horizontal).
    padding : int, pair of int, "valid" or "same"
        Rows and columns of zeros on each side. "valid" means none; "same" (at stride 1) as many as keep the size, with
        the extra row or column of an odd total at the bottom or right.
    groups : int
        Input and output channels are divided into this many groups, which are convolved independently.
    bias : bool
        Whether a learned bias is added to each output channel.
    ceil_mode : bool
        Whether a last window may hang over at the bottom and at the right, onto further zeros, as in cuda-convnet. It
        must start inside the image or the padding before it, as for `MaxPool2d`. Torch has this for pooling alone.
    dtype : {"float32", "float64"}
        Dtype of the parameters, the input and the output. Float32 parameters also take inputs of float16 and bfloat16:
        these are computed, and returned, in the input's dtype; sums and the parameters' gradients are float32.
    device : str
        Where the parameters are: "cpu", "cuda", "cuda:1" or "auto".
    seed : int, numpy.random.Generator or None
        Source of the initial parameters; None for a random seed.

    Attributes
    ----------
    weight : Parameter
        (O, C/G, kH, kW), stored as (kH, kW, C/G, O).
    bias : Parameter or None
        (O,).
    geometry : Geometry
        Kernel size, stride, dilation, the padding of each side, and `ceil_mode`.
    algorithm : ConvolutionAlgorithm or None
        How the convolution is computed, for one layer or for the class; None for what `set_convolution_algorithm` says.
    """

    per_image = True
    algorithm: ConvolutionAlgorithm | None = None

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
        ceil_mode: bool = False,
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
        self.groups = integer("groups", groups, 1)
        self.ceil_mode = bool(ceil_mode)
        if self.in_channels % self.groups or self.out_channels % self.groups:
            raise ValueError(
                f"groups must divide in_channels and out_channels, got {groups} for {in_channels} and {out_channels}"
            )
        C, O = self.in_channels // self.groups, self.out_channels // self.groups  # of one group
        self._groups = [(slice(g * C, (g + 1) * C), slice(g * O, (g + 1) * O)) for g in range(self.groups)]
        sides = padding_of_sides(self.padding, self.kernel_size, self.stride, self.dilation)
        self.geometry = Geometry(self.kernel_size, self.stride, self.dilation, sides, self.ceil_mode)
        shape = (self.out_channels, C, *self.kernel_size)
        self.weight, self.bias = weight_and_bias(shape, bias=bias, dtype=dtype, device=device, seed=seed)

    def compute(self, x: Array, noise: Any = None, *, relu: bool = False) -> tuple[Array, Saved]:
        """(N, C, H, W) -> (N, O, oH, oW); if `relu`, negative values are set to 0. `noise` is for other layers."""
        windows = self.geometry.windows("Conv2d", x.shape, self.in_channels)  # raises if the shape does not fit
        weight = device_of(x).xp.ascontiguousarray(self.weight.data.transpose(2, 3, 1, 0))  # (kH, kW, C/G, O), a view
        weight = weight.astype(x.dtype, copy=False)
        bias = None if self.bias is None else self.bias.data.astype(x.dtype, copy=False)
        images = channels_last(x)  # (N, H, W, C)
        chosen = choose_algorithm(self.algorithm, images, weight, windows)
        algorithm = once_per_pass((self, chosen), chosen.for_pass)
        y = algorithm.output(images, weight, bias, windows, self._groups, relu=relu)  # (N, oH, oW, O)
        return y.transpose(0, 3, 1, 2), (x, weight, windows, algorithm)

    def gradients(self, grad_y: Array, saved: Saved) -> tuple[Array, Gradients]:
        """Gradients of the input, and of weight and bias; the bias's is `grad_y` summed over images and positions."""
        x, weight, windows, algorithm = saved
        grad = channels_last(grad_y)  # (N, oH, oW, O)
        arguments = grad, channels_last(x), weight, windows, self._groups
        pairs = []
        if self.weight.requires_grad:
            grad_x, grad_weight = algorithm.gradients(*arguments)  # (N, H, W, C), (kH, kW, C/G, O)
            pairs.append((self.weight, grad_weight.transpose(3, 2, 0, 1)))  # (O, C/G, kH, kW)
        else:
            grad_x = algorithm.input_gradient(*arguments)
        if self.bias is not None and self.bias.requires_grad:
            pairs.append((self.bias, sum_rows(grad)))  # (O,)
        return grad_x.transpose(0, 3, 1, 2), pairs

    def parameter_gradients(self, grad_y: Array, saved: Saved) -> Gradients:
        """Gradients of weight and bias."""
        x, weight, windows, algorithm = saved
        grad, pairs = channels_last(grad_y), []  # (N, oH, oW, O)
        if self.weight.requires_grad:
            grad_weight = algorithm.weight_gradient(grad, channels_last(x), weight, windows, self._groups)
            pairs.append((self.weight, grad_weight.transpose(3, 2, 0, 1)))  # (O, C/G, kH, kW)
        if self.bias is not None and self.bias.requires_grad:
            pairs.append((self.bias, sum_rows(grad)))  # (O,)
        return pairs

    def output_shape(self, input_shape: Shape) -> Shape:
        """(N, C, H, W) -> (N, O, oH, oW)."""
        windows = self.geometry.windows("Conv2d", input_shape, self.in_channels)
        return (input_shape[0], self.out_channels, *windows.output_size)

    def multiply_adds(self, input_shape: Shape) -> int:
        """N * oH * oW windows, each of kH*kW*C/G values, for each of the O kernels."""
        N, _, oH, oW = self.output_shape(input_shape)
        return N * oH * oW * self.weight.size

    def __repr__(self) -> str:
        ceil_mode = ", ceil_mode=True" if self.ceil_mode else ""
        return (
            f"Conv2d({self.in_channels}, {self.out_channels}, kernel_size={self.kernel_size}, stride={self.stride}, "
            f"padding={self.padding!r}, dilation={self.dilation}, groups={self.groups}, bias={self.bias is not None}"
            f"{ceil_mode})"
        )
