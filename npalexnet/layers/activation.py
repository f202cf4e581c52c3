"""ReLU, and Flatten."""

from __future__ import annotations

from math import prod
from typing import Any

from npalexnet.backend import Array, array_module, device_of, primitive
from npalexnet.layers.im2col import channels_last
from npalexnet.layers.layer import Layer
from npalexnet.layers.parameter import Gradients, Shape


class ReLU(Layer):
    """``y = max(x, 0)``, as ``torch.nn.ReLU``.

    At 0 the gradient is 0; NaN stays NaN, and lets its gradient pass.

    References
    ----------
    V. Nair and G. Hinton, "Rectified Linear Units Improve Restricted Boltzmann Machines", 2010.
    """

    per_image = True

    def compute(self, x: Array, noise: Any = None) -> tuple[Array, Array]:
        """Any shape; backward needs y, which the next layer keeps as its input anyway."""
        xp = array_module(x)
        y = xp.maximum(x, 0, out=xp.empty_like(x))
        return y, y

    def gradients(self, grad_y: Array, y: Array) -> tuple[Array, Gradients]:
        """The gradient passes where y is above 0."""
        return relu_gradient(grad_y, y), []

    def output_shape(self, input_shape: Shape) -> Shape:
        """The input's shape, which must begin with the batch."""
        if not input_shape:
            raise ValueError(f"{type(self).__name__} expects a batch, got an input of shape ()")
        return input_shape


@primitive
def relu_gradient(grad_y: Array, y: Array) -> Array:
    """`grad_y` where `y` is above 0 or NaN, else 0."""
    return device_of(y).masked(grad_y, ~(y <= 0))


class Flatten(Layer):
    """(N, C, H, W) -> (N, C*H*W): all axes but the first become one, as ``torch.nn.Flatten()``."""

    per_image = True

    def compute(self, x: Array, noise: Any = None) -> tuple[Array, Shape]:
        """(N, ...) -> (N, features); backward needs the shape."""
        return x.reshape(self.output_shape(x.shape)), x.shape

    def gradients(self, grad_y: Array, input_shape: Shape) -> tuple[Array, Gradients]:
        """(N, features) -> (N, ...); images channels last in memory, as the layers before expect them."""
        grad_x = grad_y.reshape(input_shape)
        return (channels_last(grad_x).transpose(0, 3, 1, 2) if len(input_shape) == 4 else grad_x), []

    def output_shape(self, input_shape: Shape) -> Shape:
        """(N, ...) -> (N, features)."""
        if not input_shape:
            raise ValueError("Flatten expects a batch, got an input of shape ()")
        return input_shape[0], prod(input_shape[1:])
