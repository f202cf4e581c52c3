import numpy as np


def im2col(x, kernel_size, stride, padding):
    padded = np.pad(x, ((0, 0), (0, 0), (padding, padding), (padding, padding)))
    windows = np.lib.stride_tricks.sliding_window_view(padded, kernel_size, axis=(2, 3))[:, :, ::stride, ::stride]
    N, C, oH, oW, kH, kW = windows.shape
    return windows.transpose(0, 2, 3, 1, 4, 5).reshape(N * oH * oW, C * kH * kW)
