import numpy as np


def im2col(x, kernel_size, stride, padding):
    N, C, H, W = x.shape
    kH, kW = kernel_size
    oH = (H + 2 * padding - kH) // stride + 1
    oW = (W + 2 * padding - kW) // stride + 1
    columns = np.zeros((N * oH * oW, C * kH * kW))
    for n, p, q, c, i, j in np.ndindex(N, oH, oW, C, kH, kW):
        r, s = p * stride + i - padding, q * stride + j - padding
        if 0 <= r < H and 0 <= s < W:
            columns[(n * oH + p) * oW + q, (c * kH + i) * kW + j] = x[n, c, r, s]
    return columns
