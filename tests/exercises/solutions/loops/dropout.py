import numpy as np


def dropout(x, p, training, rng):
    mask = np.ones(x.shape)
    if training:
        for index in np.ndindex(x.shape):
            mask[index] = 0 if rng.random() < p else 1 / (1 - p)
    return x * mask, mask


def dropout_backward(grad_y, mask, p):
    return grad_y * mask
