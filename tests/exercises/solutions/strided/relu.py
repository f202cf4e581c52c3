import numpy as np


def relu(x):
    return np.maximum(x, 0)


def relu_backward(grad_y, x):
    return np.where(x > 0, grad_y, 0)
