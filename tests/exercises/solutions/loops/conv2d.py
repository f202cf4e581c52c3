import numpy as np


def conv2d(x, weight, bias, stride, padding):
    N, C, H, W = x.shape
    O, _, kH, kW = weight.shape
    oH = (H + 2 * padding - kH) // stride + 1
    oW = (W + 2 * padding - kW) // stride + 1
    y = np.zeros((N, O, oH, oW))
    for n in range(N):
        for o in range(O):
            for p in range(oH):
                for q in range(oW):
                    y[n, o, p, q] = bias[o]
                    for c in range(C):
                        for i in range(kH):
                            for j in range(kW):
                                r = p * stride + i - padding
                                s = q * stride + j - padding
                                if 0 <= r < H and 0 <= s < W:
                                    y[n, o, p, q] += weight[o, c, i, j] * x[n, c, r, s]
    return y
