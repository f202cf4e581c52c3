import numpy as np


def relu(x):
    y = np.zeros(x.shape)
    for index in np.ndindex(x.shape):
        if x[index] > 0:
            y[index] = x[index]
    return y


def relu_backward(grad_y, x):
    grad_x = np.zeros(x.shape)
    for index in np.ndindex(x.shape):
        if x[index] > 0:
            grad_x[index] = grad_y[index]
    return grad_x
