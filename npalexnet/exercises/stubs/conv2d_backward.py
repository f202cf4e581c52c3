"""Exercise 4: the backward pass of a convolution."""

import numpy as np


def conv2d_backward(
    grad_y: np.ndarray, x: np.ndarray, weight: np.ndarray, stride: int, padding: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Take the gradient of the outputs back to the images, the weights and the bias.

    y is a sum of products weight * x, see conv2d. Each product adds to the gradient of either factor: the other factor
    times grad_y. The bias is added everywhere, so its gradient is the sum of grad_y over images and windows. All are
    sums, also over the images; no mean is taken here.

    Loops will do. With matrices it is two products, of G = grad_y as (N*oH*oW, O), which is
    ``grad_y.transpose(0, 2, 3, 1).reshape(-1, O)``, and the columns that im2col makes of x: the weights' gradient is
    ``G.T @ columns``, (O, C*kH*kW), that of the columns ``G @ weight.reshape(O, -1)``, and col2im takes this one to the
    images. Import your own:

        from col2im import col2im
        from im2col import im2col

    grad_y (N, O, oH, oW), x (N, C, H, W), weight (O, C, kH, kW)
    -> grad_x (N, C, H, W), grad_weight (O, C, kH, kW), grad_bias (O,).
    """
    raise NotImplementedError
