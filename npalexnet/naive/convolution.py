"""Convolution, and its gradients."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from npalexnet.naive.windows import Array, Padding, Pair, borders, count_windows


def conv2d(
    x: Array,
    weight: Array,
    bias: Array | None,
    stride: Pair,
    padding: Padding,
    dilation: Pair,
    groups: int,
    ceil_mode: bool = False,
) -> Array:
    """Convolve: ``y[n, o, p, q] = bias[o] + sum over c, i, j of weight[o, c, i, j] * x[n, first + c, r, s]``.

    There ``r = p*stride + i*dilation - top`` and ``s = q*stride + j*dilation - left``; x is 0 outside the image; and
    ``first`` is the first input channel of the group that o belongs to. In ceil mode the number of windows is rounded
    up; but no window may start beyond the image.

    x (N, C, H, W), weight (O, C/G, kH, kW), bias (O,) or None -> (N, O, oH, oW).
    """
    vertical, horizontal = borders(padding)
    oH = count_windows(x.shape[2], weight.shape[2], stride[0], vertical, dilation[0], ceil_mode)
    oW = count_windows(x.shape[3], weight.shape[3], stride[1], horizontal, dilation[1], ceil_mode)
    y = np.zeros((len(x), len(weight), oH, oW), x.dtype)
    for output, kernel, pixel in _products(x.shape, weight.shape, y.shape, stride, padding, dilation, groups):
        y[output] += weight[kernel] * x[pixel]
    for n, o, p, q in np.ndindex(y.shape):
        y[n, o, p, q] += 0 if bias is None else bias[o]
    return y


def conv2d_gradients(
    grad_y: Array, x: Array, weight: Array, stride: Pair, padding: Padding, dilation: Pair, groups: int
) -> tuple[Array, Array, Array]:
    """Differentiate `conv2d`: y is a sum of products, and each factor's gradient is the other factor times grad_y.

    grad_y (N, O, oH, oW), x (N, C, H, W), weight (O, C/G, kH, kW) -> gradients of x, of weight and of bias, (O,).
    """
    grad_x, grad_weight, grad_bias = np.zeros_like(x), np.zeros_like(weight), np.zeros(len(weight), x.dtype)
    for output, kernel, pixel in _products(x.shape, weight.shape, grad_y.shape, stride, padding, dilation, groups):
        grad_x[pixel] += grad_y[output] * weight[kernel]
        grad_weight[kernel] += grad_y[output] * x[pixel]
    for n, o, p, q in np.ndindex(grad_y.shape):
        grad_bias[o] += grad_y[n, o, p, q]
    return grad_x, grad_weight, grad_bias


def _products(
    x_shape: tuple[int, ...],
    weight_shape: tuple[int, ...],
    y_shape: tuple[int, ...],
    stride: Pair,
    padding: Padding,
    dilation: Pair,
    groups: int,
) -> Iterator[tuple[tuple[int, ...], tuple[int, ...], tuple[int, ...]]]:
    """Yield the places in y, weight and x of all products ``weight * x`` that a convolution adds up."""
    (top, _), (left, _) = borders(padding)
    for n, o, p, q in np.ndindex(y_shape):
        first = o // (weight_shape[0] // groups) * weight_shape[1]
        for c, i, j in np.ndindex(weight_shape[1:]):
            r, s = p * stride[0] + i * dilation[0] - top, q * stride[1] + j * dilation[1] - left
            if 0 <= r < x_shape[2] and 0 <= s < x_shape[3]:
                yield (n, o, p, q), (o, c, i, j), (n, first + c, r, s)
