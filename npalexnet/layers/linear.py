"""The fully connected layer."""

from __future__ import annotations

from typing import Any

import numpy as np

from npalexnet.backend import Array, device_of
from npalexnet.checks import integer
from npalexnet.layers.im2col_gemm import add_bias_relu, sum_rows
from npalexnet.layers.init import Seed, weight_and_bias
from npalexnet.layers.layer import Layer
from npalexnet.layers.parameter import Gradients, Shape


class Linear(Layer):
    """``y = x @ weight.T + bias``, as ``torch.nn.Linear``.

    The whole batch is computed at once, because the weights dominate: each is read once for all images.

    Parameters
    ----------
    in_features, out_features : int
        Length of the vectors that go in and come out.
    bias : bool
        Whether a learned bias is added to each output.
    dtype, device, seed : optional
        As for `Conv2d`.

    Attributes
    ----------
    weight : Parameter
        (out_features, in_features).
    bias : Parameter or None
        (out_features,).
    """

    def __init__(
        self,
        in_features: int,
        out_features: int,
        bias: bool = True,
        *,
        dtype: str | np.dtype = "float32",
        device: str = "cpu",
        seed: Seed = None,
    ) -> None:
        self.in_features = integer("in_features", in_features, 1)
        self.out_features = integer("out_features", out_features, 1)
        shape = (self.out_features, self.in_features)
        self.weight, self.bias = weight_and_bias(shape, bias=bias, dtype=dtype, device=device, seed=seed)

    def compute(self, x: Array, noise: Any = None, *, relu: bool = False) -> tuple[Array, tuple[Array, Array]]:
        """(..., in) -> (..., out), if `relu`, negative values are set to 0; backward needs x and the weight."""
        weight = self.weight.data.astype(x.dtype, copy=False)  # (out, in)
        y = device_of(x).matmul(x.reshape(-1, self.in_features), weight.T)  # (N, out)
        add_bias_relu(y, None if self.bias is None else self.bias.data.astype(x.dtype, copy=False), relu=relu)
        return y.reshape(*x.shape[:-1], self.out_features), (x, weight)

    def gradients(self, grad_y: Array, saved: tuple[Array, Array]) -> tuple[Array, Gradients]:
        """``grad_x = grad_y @ weight``, ``grad_weight = grad_y.T @ x``, ``grad_bias`` = the sum over the batch."""
        x, weight = saved
        grad_x = device_of(x).matmul(grad_y.reshape(-1, self.out_features), weight)  # (N, in)
        return grad_x.reshape(x.shape), self.parameter_gradients(grad_y, saved)

    def parameter_gradients(self, grad_y: Array, saved: tuple[Array, Array]) -> Gradients:
        """Gradients of weight and bias."""
        x, _ = saved
        grad_rows = grad_y.reshape(-1, self.out_features)  # (N, out)
        pairs = []
        if self.weight.requires_grad:
            grad_weight = device_of(x).pooled_buffer(self.weight.shape, self.weight.dtype)  # (out, in)
            device_of(x).matmul(grad_rows.T, x.reshape(-1, self.in_features), out=grad_weight)
            pairs.append((self.weight, grad_weight))
        if self.bias is not None and self.bias.requires_grad:
            pairs.append((self.bias, sum_rows(grad_rows)))
        return pairs

    def output_shape(self, input_shape: Shape) -> Shape:
        """(..., in_features) -> (..., out_features)."""
        if not input_shape or input_shape[-1] != self.in_features:
            raise ValueError(
                f"{type(self).__name__} expects an input of shape (..., {self.in_features}), got {input_shape}"
            )
        return (*input_shape[:-1], self.out_features)

    def multiply_adds(self, input_shape: Shape) -> int:
        """One for each weight and image."""
        rows = 1
        for size in self.output_shape(input_shape)[:-1]:
            rows *= size
        return rows * self.weight.size

    def __repr__(self) -> str:
        return f"Linear({self.in_features}, {self.out_features}, bias={self.bias is not None})"
