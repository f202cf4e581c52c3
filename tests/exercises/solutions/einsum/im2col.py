import numpy as np


def im2col(x, kernel_size, stride, padding):
    kH, kW = kernel_size
    x = np.pad(x, ((0, 0), (0, 0), (padding, padding), (padding, padding)))
    N, C, H, W = x.shape
    oH, oW = (H - kH) // stride + 1, (W - kW) // stride + 1
    # Selection matrices, one a kernel's row: rows[p, i, r] = 1 where window p's row i is row r of the image.
    rows = (np.arange(oH)[:, None, None] * stride + np.arange(kH)[:, None] == np.arange(H)).astype("float64")
    columns = (np.arange(oW)[:, None, None] * stride + np.arange(kW)[:, None] == np.arange(W)).astype("float64")
    return np.einsum("ncrs,pir,qjs->npqcij", x, rows, columns).reshape(N * oH * oW, C * kH * kW)
