import numpy as np


def conv2d_backward(grad_y, x, weight, stride, padding):
    padded = np.pad(x, ((0, 0), (0, 0), (padding, padding), (padding, padding)))
    grad_padded, grad_weight = np.zeros_like(padded), np.zeros_like(weight)
    oH, oW = grad_y.shape[2:]
    for i, j in np.ndindex(weight.shape[2:]):
        met = (..., slice(i, i + (oH - 1) * stride + 1, stride), slice(j, j + (oW - 1) * stride + 1, stride))
        grad_padded[met] += np.einsum("nopq,oc->ncpq", grad_y, weight[:, :, i, j])
        grad_weight[:, :, i, j] = np.einsum("nopq,ncpq->oc", grad_y, padded[met])
    H, W = x.shape[2:]
    return (
        grad_padded[:, :, padding : padding + H, padding : padding + W],
        grad_weight,
        np.einsum("nopq->o", grad_y),
    )
