"""Exercise 2: im2col, which makes of convolution one matrix product."""

import numpy as np


def im2col(x: np.ndarray, kernel_size: tuple[int, int], stride: int, padding: int) -> np.ndarray:
    """Copy each window of the images into a row of a matrix.

    Windows are in the order (N, oH, oW): image by image, row by row. A row holds its window in the order (C, kH, kW),
    as torch does (the notebooks of docs/study, and the package, have the channel last):

        columns[(n*oH + p)*oW + q, (c*kH + i)*kW + j] = x[n, c, r, s]

    with r = p*stride + i - padding and s = q*stride + j - padding; x is 0 outside of the image. Then all outputs of a
    convolution are ``columns @ weight.reshape(O, C*kH*kW).T``, a matrix (N*oH*oW, O).

    A loop over i and j is enough: for each, the pixels of all windows are a slice of x with steps of `stride`.

    x (N, C, H, W) -> columns (N*oH*oW, C*kH*kW). x must not be changed.
    """
    raise NotImplementedError
