"""Exercise 6: a linear layer."""

import numpy as np


def linear(x: np.ndarray, weight: np.ndarray, bias: np.ndarray) -> np.ndarray:
    """Multiply by a matrix, and add the bias.

        y[n, o] = bias[o] + sum over i of weight[o, i] * x[n, i]

    x (N, inputs), weight (outputs, inputs), bias (outputs,) -> y (N, outputs).
    """
    raise NotImplementedError


def linear_backward(grad_y: np.ndarray, x: np.ndarray, weight: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Take the gradient back to the inputs, the weight and the bias. All are sums; no mean is taken here.

    grad_y (N, outputs), x (N, inputs), weight (outputs, inputs)
    -> grad_x (N, inputs), grad_weight (outputs, inputs), grad_bias (outputs,).
    """
    raise NotImplementedError
