"""A convolution or linear layer fused with the ReLU after it."""

from __future__ import annotations

from typing import Any

from npalexnet.backend import Array
from npalexnet.layers.activation import relu_gradient
from npalexnet.layers.conv import Conv2d
from npalexnet.layers.layer import Layer
from npalexnet.layers.linear import Linear
from npalexnet.layers.parameter import Gradients


class WithReLU(Layer):
    """``y = max(layer(x), 0)``: bias and ReLU are applied together, in one pass over y.

    Parameters
    ----------
    layer : Conv2d or Linear
        The layer before the ReLU.
    """

    def __init__(self, layer: Conv2d | Linear) -> None:
        self.layer, self.per_image = layer, layer.per_image

    def compute(self, x: Array, noise: Any = None) -> tuple[Array, tuple[Array, Any]]:
        """Backward needs y, and what the layer saved."""
        y, saved = self.layer.compute(x, relu=True)
        return y, (y, saved)

    def gradients(self, grad_y: Array, saved: tuple[Array, Any]) -> tuple[Array, Gradients]:
        """First through the ReLU, then through the layer."""
        y, layers_saved = saved
        return self.layer.gradients(relu_gradient(grad_y, y), layers_saved)

    def parameter_gradients(self, grad_y: Array, saved: tuple[Array, Any]) -> Gradients:
        """Gradients of weight and bias."""
        y, layers_saved = saved
        return self.layer.parameter_gradients(relu_gradient(grad_y, y), layers_saved)
