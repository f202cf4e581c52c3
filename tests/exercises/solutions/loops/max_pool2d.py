import numpy as np


def max_pool2d(x, kernel_size, stride):
    N, C, H, W = x.shape
    oH = (H - kernel_size) // stride + 1
    oW = (W - kernel_size) // stride + 1
    y = np.zeros((N, C, oH, oW))
    for n, c, p, q in np.ndindex(y.shape):
        largest = -np.inf
        for i in range(kernel_size):
            for j in range(kernel_size):
                largest = max(largest, x[n, c, p * stride + i, q * stride + j])
        y[n, c, p, q] = largest
    return y


def max_pool2d_backward(grad_y, x, kernel_size, stride):
    grad_x = np.zeros(x.shape)
    for n, c, p, q in np.ndindex(grad_y.shape):
        top, left = p * stride, q * stride
        window = x[n, c, top : top + kernel_size, left : left + kernel_size]
        i, j = np.unravel_index(np.argmax(window), window.shape)
        grad_x[n, c, top + i, left + j] += grad_y[n, c, p, q]
    return grad_x
