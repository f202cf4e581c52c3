"""The definitions, as plain loops straight from the formulas: for reading, and for the tests of the layers.

NumPy arrays hold the numbers, Python does the arithmetic, one number after the other. It is slow, shares no line with
the layers, and does not check its arguments.

Symbols: N images, C channels, H x W pixels, O output channels, windows of kH x kW, oH x oW of them, G groups.
Sizes, strides and dilations are pairs (vertical, horizontal).
"""

from npalexnet.naive.convolution import conv2d, conv2d_gradients
from npalexnet.naive.linear import linear, linear_gradients, relu, relu_gradient
from npalexnet.naive.losses import cross_entropy, cross_entropy_gradient
from npalexnet.naive.normalization import (
    local_response_norm,
    local_response_norm_gradient,
    spatial_response_norm,
    spatial_response_norm_gradient,
)
from npalexnet.naive.pooling import (
    adaptive_avg_pool2d,
    adaptive_avg_pool2d_gradient,
    avg_pool2d,
    avg_pool2d_gradient,
    max_pool2d,
    max_pool2d_gradient,
)

__all__ = [
    "adaptive_avg_pool2d", "adaptive_avg_pool2d_gradient", "avg_pool2d", "avg_pool2d_gradient", "conv2d",
    "conv2d_gradients", "cross_entropy", "cross_entropy_gradient", "linear", "linear_gradients", "local_response_norm",
    "local_response_norm_gradient", "max_pool2d", "max_pool2d_gradient", "relu", "relu_gradient",
    "spatial_response_norm", "spatial_response_norm_gradient",
]  # fmt: skip
