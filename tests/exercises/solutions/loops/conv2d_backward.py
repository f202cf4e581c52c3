import numpy as np


def conv2d_backward(grad_y, x, weight, stride, padding):
    H, W = x.shape[2:]
    grad_x = np.zeros(x.shape)
    grad_weight = np.zeros(weight.shape)
    grad_bias = np.zeros(len(weight))
    for n, o, p, q in np.ndindex(grad_y.shape):
        g = grad_y[n, o, p, q]
        grad_bias[o] += g
        for c, i, j in np.ndindex(weight.shape[1:]):
            r, s = p * stride + i - padding, q * stride + j - padding
            if 0 <= r < H and 0 <= s < W:
                grad_x[n, c, r, s] += g * weight[o, c, i, j]
                grad_weight[o, c, i, j] += g * x[n, c, r, s]
    return grad_x, grad_weight, grad_bias
