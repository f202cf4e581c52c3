import numpy as np


def relu(x):
    return np.einsum("...,...->...", x, (x > 0).astype(x.dtype))


def relu_backward(grad_y, x):
    return np.einsum("...,...->...", grad_y, (x > 0).astype(x.dtype))
