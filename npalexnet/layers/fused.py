"""Two layers in one pass over the numbers between them."""

from __future__ import annotations

from typing import Any

from npalexnet.backend import Array
from npalexnet.layers.activation import ReLU
from npalexnet.layers.conv import Conv2d
from npalexnet.layers.layer import Layer
from npalexnet.layers.linear import Linear
from npalexnet.layers.parameter import Gradients


class WithReLU(Layer):
    """A convolution or a linear layer, and the ReLU behind it: the bias is added and the ReLU taken at once.

    Parameters
    ----------
    layer : Conv2d or Linear
        The first of the two.
    """

    def __init__(self, layer: Conv2d | Linear) -> None:
        self.layer, self.relu = layer, ReLU()
        self.per_image = layer.per_image

    def compute(self, x: Array, noise: Any = None) -> tuple[Array, tuple[Array, Any]]:
        """``y = max(layer(x), 0)``; backward needs y, and what the layer needs."""
        y, kept = self.layer.compute(x, relu=True)
        return y, (y, kept)

    def gradients(self, grad_y: Array, saved: tuple[Array, Any]) -> tuple[Array, Gradients]:
        """First through the ReLU, then through the layer."""
        y, kept = saved
        return self.layer.gradients(self.relu.gradients(grad_y, y)[0], kept)

    def parameter_gradients(self, grad_y: Array, saved: tuple[Array, Any]) -> Gradients:
        """Gradients of weight and bias."""
        y, kept = saved
        return self.layer.parameter_gradients(self.relu.gradients(grad_y, y)[0], kept)
