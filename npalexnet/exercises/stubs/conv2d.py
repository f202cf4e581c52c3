"""Exercise 1: convolution by loops.

Symbols, here and in all exercises: N images, C channels, H x W pixels, O output channels, kernels of kH x kW, and
oH x oW windows, where

    oH = (H + 2*padding - kH) // stride + 1        oW = (W + 2*padding - kW) // stride + 1
"""

import numpy as np


def conv2d(x: np.ndarray, weight: np.ndarray, bias: np.ndarray, stride: int, padding: int) -> np.ndarray:
    """Convolve images with kernels.

        y[n, o, p, q] = bias[o] + sum over c, i, j of weight[o, c, i, j] * x[n, c, r, s]

    with r = p*stride + i - padding and s = q*stride + j - padding; x is 0 outside of the image. (Mathematics turns
    the kernel by 180 degrees first; neural networks don't.) Plain loops will do.

    x (N, C, H, W), weight (O, C, kH, kW), bias (O,) -> y (N, O, oH, oW). The arguments must not be changed.

    For example, x = [[1, 2, 3], [4, 5, 6], [7, 8, 9]] and weight = [[1, 0], [0, 10]], stride 1, padding 0, bias 0:
    y = [[51, 62], [84, 95]], for y[0, 0] = 1*1 + 10*5.
    """
    raise NotImplementedError
