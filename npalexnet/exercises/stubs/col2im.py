"""Exercise 3: col2im, the adjoint of im2col."""

import numpy as np


def col2im(
    columns: np.ndarray, x_shape: tuple[int, int, int, int], kernel_size: tuple[int, int], stride: int, padding: int
) -> np.ndarray:
    """Add each number of the rows to the pixel that im2col copied it from.

    A pixel's number is the sum over all windows that contain it; one that lies in no window gets 0; what fell on the
    padding is dropped. It is the adjoint of im2col, as the transpose is of a matrix: for all x and all columns,

        sum(im2col(x) * columns) = sum(x * col2im(columns))

    and so it takes the gradient of the columns to the gradient of the images.

    columns (N*oH*oW, C*kH*kW), in the order of im2col -> x (N, C, H, W), which is `x_shape`.
    """
    raise NotImplementedError
