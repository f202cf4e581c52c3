import numpy as np


def dropout(x, p, training, rng):
    dropped = rng.uniform(size=x.shape) < p if training else np.zeros(x.shape, bool)
    scale = 1 / (1 - p) if training else 1
    return np.where(dropped, 0, x * scale), (dropped, scale)


def dropout_backward(grad_y, saved, p):
    dropped, scale = saved
    return np.where(dropped, 0, grad_y * scale)
