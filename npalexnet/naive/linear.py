"""Linear layers and ReLU, and the gradients."""

from __future__ import annotations

from math import isnan

import numpy as np

from npalexnet.naive.windows import Array


def linear(x: Array, weight: Array, bias: Array | None = None) -> Array:
    """``y[n, o] = bias[o] + sum over i of weight[o, i] * x[n, i]``. x (N, I), weight (O, I), bias (O,) -> (N, O)."""
    y = np.zeros((len(x), len(weight)), x.dtype)
    for n, o in np.ndindex(y.shape):
        y[n, o] = sum(weight[o, i] * x[n, i] for i in range(x.shape[1])) + (0 if bias is None else bias[o])
    return y


def linear_gradients(grad_y: Array, x: Array, weight: Array) -> tuple[Array, Array, Array]:
    """Differentiate `linear`. grad_y (N, O), x (N, I), weight (O, I) -> grad_x, grad_weight, grad_bias (O,)."""
    grad_x, grad_weight, grad_bias = np.zeros_like(x), np.zeros_like(weight), np.zeros(len(weight), x.dtype)
    for n, o in np.ndindex(grad_y.shape):
        grad_bias[o] += grad_y[n, o]
        for i in range(x.shape[1]):
            grad_x[n, i] += grad_y[n, o] * weight[o, i]
            grad_weight[o, i] += grad_y[n, o] * x[n, i]
    return grad_x, grad_weight, grad_bias


def relu(x: Array) -> Array:
    """``y = x`` where x is above 0 (or NaN), else 0. Any shape."""
    y = np.zeros_like(x)
    for i in np.ndindex(x.shape):
        y[i] = x[i] if x[i] > 0 or isnan(x[i]) else 0
    return y


def relu_gradient(grad_y: Array, x: Array) -> Array:
    """Differentiate `relu`: the gradient passes where x is above 0 (or NaN). Any shape."""
    grad_x = np.zeros_like(x)
    for i in np.ndindex(x.shape):
        grad_x[i] = grad_y[i] if x[i] > 0 or isnan(x[i]) else 0
    return grad_x
