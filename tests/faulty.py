"""Layers with gradients that are right, or wrong in a way that a test plants."""

import numpy as np

from npalexnet.layers.layer import Layer
from npalexnet.layers.parameter import Parameter
from tests.support import normal


class Elementwise(Layer):
    """y = function(x) with whatever is claimed to be its derivative."""

    def __init__(self, function, derivative):
        self.function, self.derivative = function, derivative

    def compute(self, x, noise=None):
        return self.function(x), x

    def gradients(self, grad_y, x):
        return grad_y * self.derivative(x), []


class Affine(Layer):
    """y = x**2 @ weight.T + bias, its gradients spoilt by a function of the right ones."""

    def __init__(self, spoil=lambda grad_x, grad_weight, grad_bias: (grad_x, grad_weight, grad_bias)):
        self.weight, self.bias = Parameter(normal((3, 4), seed=1)), Parameter(normal(3, seed=2))
        self.spoil = spoil

    def compute(self, x, noise=None):
        return x**2 @ self.weight.data.T + self.bias.data, x

    def gradients(self, grad_y, x):
        right = 2 * x * (grad_y @ self.weight.data), grad_y.T @ x**2, grad_y.sum(axis=0)
        grad_x, grad_weight, grad_bias = self.spoil(*right)
        return grad_x, [(self.weight, grad_weight), (self.bias, grad_bias)]


class BatchNorm(Layer):
    """Images mix, and what is added to all of them drops out: its gradient is nothing but rounding."""

    def __init__(self, offset, factor=1.0):
        self.offset, self.factor = Parameter(np.full(4, offset)), factor

    def compute(self, x, noise=None):
        x = x + self.offset.data
        deviation = np.sqrt(x.var(axis=0) + 1e-5)
        y = (x - x.mean(axis=0)) / deviation
        return y, (y, deviation)

    def gradients(self, grad_y, saved):
        y, deviation = saved
        grad_x = self.factor * (grad_y - grad_y.mean(axis=0) - y * (grad_y * y).mean(axis=0)) / deviation
        return grad_x, [(self.offset, grad_x.sum(axis=0))]


def one_wrong(array, index, factor):
    spoilt = array.copy()
    spoilt[index] *= factor
    return spoilt


def findings(report):
    return {row.name: row.verdict for row in report.rows}


def relu(wrong=lambda x: np.zeros_like(x)):
    return Elementwise(lambda x: np.maximum(x, 0), lambda x: (x > 0) + wrong(x))
