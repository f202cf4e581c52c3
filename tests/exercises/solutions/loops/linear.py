import numpy as np


def linear(x, weight, bias):
    y = np.zeros((len(x), len(weight)))
    for n in range(len(x)):
        for o in range(len(weight)):
            y[n, o] = bias[o]
            for i in range(x.shape[1]):
                y[n, o] += weight[o, i] * x[n, i]
    return y


def linear_backward(grad_y, x, weight):
    grad_x, grad_weight, grad_bias = np.zeros(x.shape), np.zeros(weight.shape), np.zeros(len(weight))
    for n, o in np.ndindex(grad_y.shape):
        grad_bias[o] += grad_y[n, o]
        for i in range(x.shape[1]):
            grad_x[n, i] += grad_y[n, o] * weight[o, i]
            grad_weight[o, i] += grad_y[n, o] * x[n, i]
    return grad_x, grad_weight, grad_bias
