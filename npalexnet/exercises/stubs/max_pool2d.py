"""Exercise 5: max-pooling. There is no padding; AlexNet's windows of 3 x 3 overlap, for the stride is 2."""

import numpy as np


def max_pool2d(x: np.ndarray, kernel_size: int, stride: int) -> np.ndarray:
    """Take the largest number of each window.

        y[n, c, p, q] = the largest x[n, c, p*stride + i, q*stride + j] for 0 <= i, j < kernel_size

    with oH = (H - kernel_size) // stride + 1 and likewise oW: a window that would hang over the border is left out.

    x (N, C, H, W) -> y (N, C, oH, oW).
    """
    raise NotImplementedError


def max_pool2d_backward(grad_y: np.ndarray, x: np.ndarray, kernel_size: int, stride: int) -> np.ndarray:
    """Take the gradient back to the images: each window's gradient is added to its largest number.

    Of several equal ones, the first gets it all, row by row. (After a ReLU many windows are all 0.) A pixel that is the
    largest of several windows gets the sum.

    grad_y (N, C, oH, oW), x (N, C, H, W) -> grad_x (N, C, H, W).
    """
    raise NotImplementedError
