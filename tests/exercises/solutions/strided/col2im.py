import numpy as np


def col2im(columns, x_shape, kernel_size, stride, padding):
    N, C, H, W = x_shape
    kH, kW = kernel_size
    oH, oW = (H + 2 * padding - kH) // stride + 1, (W + 2 * padding - kW) // stride + 1
    cells = columns.reshape(N, oH, oW, C, kH, kW).transpose(4, 5, 0, 3, 1, 2)
    padded = np.zeros((N, C, H + 2 * padding, W + 2 * padding))
    for i in range(kH):
        for j in range(kW):
            padded[:, :, i : i + stride * (oH - 1) + 1 : stride, j : j + stride * (oW - 1) + 1 : stride] += cells[i, j]
    return padded[:, :, padding : padding + H, padding : padding + W]
