"""Local response normalisation."""

from __future__ import annotations

from math import isfinite
from typing import Any

from npalexnet.backend import Array, accumulation_dtype, array_module
from npalexnet.checks import integer, number
from npalexnet.layers.layer import Layer
from npalexnet.layers.parameter import Gradients, Shape


class LocalResponseNorm(Layer):
    """Divides each number by what its neighbouring channels have at the same pixel, as ``torch.nn.LocalResponseNorm``.

    ``y[c] = x[c] / d[c]**beta`` with ``d[c] = k + alpha/size * sum of x[i]**2`` over the `size` channels
    ``c - size//2 <= i <= c + (size-1)//2`` as far as they exist. (In the paper alpha is not divided by `size`.)

    Parameters
    ----------
    size : int
        Number of channels that are summed over.
    alpha, beta, k : float
        As in the formula.

    References
    ----------
    A. Krizhevsky, I. Sutskever and G. Hinton, "ImageNet Classification with Deep Convolutional Neural Networks", 2012,
    section 3.3.
    """

    per_image = True

    def __init__(self, size: int, alpha: float = 1e-4, beta: float = 0.75, k: float = 1.0) -> None:
        self.size = integer("size", size, 1)
        self.alpha, self.beta, self.k = number("alpha", alpha), number("beta", beta), number("k", k)
        for name in ("alpha", "beta", "k"):
            if not isfinite(getattr(self, name)):
                raise ValueError(f"{name} must be finite, got {getattr(self, name)}")

    def compute(self, x: Array, noise: Any = None) -> tuple[Array, tuple[Array, Array]]:
        """(N, C, ...) -> (N, C, ...); backward needs x and d. Inputs of 16 bits are computed with in float32."""
        dtype, x = x.dtype, x.astype(accumulation_dtype(x.dtype), copy=False)
        d = self.k + self.alpha / self.size * self._sum_over_channels(x * x, self.size // 2)  # (N, C, ...)
        return (x * d**-self.beta).astype(dtype, copy=False), (x, d)

    def gradients(self, grad_y: Array, saved: tuple[Array, Array]) -> tuple[Array, Gradients]:
        """Differentiate ``y[c] = x[c] * d[c]**-beta`` by x[i].

        ``grad_x[i] = grad_y[i] * d[i]**-beta - 2*alpha*beta/size * x[i] * sum of grad_y[c]*x[c]*d[c]**(-beta-1)``,
        over all c in whose sum ``d[c]`` the channel i takes part.
        """
        x, d = saved
        dtype, grad_y = grad_y.dtype, grad_y.astype(x.dtype, copy=False)
        power = d**-self.beta
        # In this order, because grad_y * x may be infinite where the gradient is not.
        through_d = self._sum_over_channels(grad_y * (x * power) / d, (self.size - 1) // 2)  # (N, C, ...)
        grad_x = grad_y * power - x * (2 * self.alpha * self.beta / self.size * through_d)
        return grad_x.astype(dtype, copy=False), []

    def output_shape(self, input_shape: Shape) -> Shape:
        """The input's shape."""
        if len(input_shape) < 3:
            raise ValueError(f"{type(self).__name__} expects an input of shape (N, C, ...), got {input_shape}")
        return input_shape

    def _sum_over_channels(self, x: Array, before: int) -> Array:
        """Sum over the `size` channels from c - before on, as far as they exist."""
        total = array_module(x).zeros_like(x)
        channels = x.shape[1]
        for shift in range(-before, self.size - before):
            low, high = max(0, -shift), min(channels, channels - shift)
            if low < high:
                total[:, low:high] += x[:, low + shift : high + shift]
        return total

    def __repr__(self) -> str:
        return f"LocalResponseNorm({self.size}, alpha={self.alpha}, beta={self.beta}, k={self.k})"
