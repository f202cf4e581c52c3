import numpy as np


def col2im(columns, x_shape, kernel_size, stride, padding):
    N, C, H, W = x_shape
    kH, kW = kernel_size
    oH = (H + 2 * padding - kH) // stride + 1
    oW = (W + 2 * padding - kW) // stride + 1
    x = np.zeros(x_shape)
    for n, p, q, c, i, j in np.ndindex(N, oH, oW, C, kH, kW):
        r, s = p * stride + i - padding, q * stride + j - padding
        if 0 <= r < H and 0 <= s < W:
            x[n, c, r, s] += columns[(n * oH + p) * oW + q, (c * kH + i) * kW + j]
    return x
