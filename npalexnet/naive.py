"""The definitions, as plain loops straight from the formulas: for reading, and for the tests of the layers.

NumPy arrays hold the numbers, Python does the arithmetic, one number after the other. It is slow, shares no line with
the layers, and does not check its arguments.

Symbols: N images, C channels, H x W pixels, O output channels, windows of kH x kW, oH x oW of them, G groups.
Sizes, strides and dilations are pairs (vertical, horizontal).
"""

from __future__ import annotations

from collections.abc import Iterator
from math import ceil, exp, floor, inf, isnan, log
from typing import Any

import numpy as np

Array = np.ndarray
Pair = tuple[int, int]
Padding = Pair | tuple[Pair, Pair]  # (vertical, horizontal) or ((top, bottom), (left, right))


def conv2d(
    x: Array, weight: Array, bias: Array | None, stride: Pair, padding: Padding, dilation: Pair, groups: int
) -> Array:
    """Convolve: ``y[n, o, p, q] = bias[o] + sum over c, i, j of weight[o, c, i, j] * x[n, first + c, r, s]``.

    There ``r = p*stride + i*dilation - top`` and ``s = q*stride + j*dilation - left``; x is 0 outside the image; and
    ``first`` is the first input channel of the group that o belongs to.

    x (N, C, H, W), weight (O, C/G, kH, kW), bias (O,) or None -> (N, O, oH, oW).
    """
    vertical, horizontal = _borders(padding)
    oH = (x.shape[2] + sum(vertical) - dilation[0] * (weight.shape[2] - 1) - 1) // stride[0] + 1
    oW = (x.shape[3] + sum(horizontal) - dilation[1] * (weight.shape[3] - 1) - 1) // stride[1] + 1
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


def max_pool2d(
    x: Array, kernel_size: Pair, stride: Pair, padding: Pair = (0, 0), dilation: Pair = (1, 1), ceil_mode: bool = False
) -> Array:
    """Take each window's largest number; outside the image are minus infinities. (N, C, H, W) -> (N, C, oH, oW)."""
    rows, columns = _windows(x.shape[2:], kernel_size, stride, padding, dilation, ceil_mode)
    y = np.full((*x.shape[:2], len(rows), len(columns)), -inf, x.dtype)
    for n, c, p, q in np.ndindex(y.shape):
        if place := _argmax(x[n, c], rows[p], columns[q]):
            y[n, c, p, q] = x[n, c][place]
    return y


def max_pool2d_gradient(
    grad_y: Array,
    x: Array,
    kernel_size: Pair,
    stride: Pair,
    padding: Pair = (0, 0),
    dilation: Pair = (1, 1),
    ceil_mode: bool = False,
) -> Array:
    """Differentiate `max_pool2d`: each window's gradient goes to its maximum. (N, C, oH, oW) -> (N, C, H, W)."""
    rows, columns = _windows(x.shape[2:], kernel_size, stride, padding, dilation, ceil_mode)
    grad_x = np.zeros_like(x)
    for n, c, p, q in np.ndindex(grad_y.shape):
        if place := _argmax(x[n, c], rows[p], columns[q]):
            grad_x[n, c][place] += grad_y[n, c, p, q]
    return grad_x


def local_response_norm(x: Array, size: int, alpha: float = 1e-4, beta: float = 0.75, k: float = 1.0) -> Array:
    """``y[c] = x[c] / d[c]**beta`` with ``d[c] = k + alpha/size * sum of x[i]**2``. (N, C, H, W) -> the same.

    The sum is over the channels ``c - size//2 <= i <= c + (size-1)//2`` that exist.
    """
    y = np.zeros_like(x)
    for n, c, h, w in np.ndindex(x.shape):
        y[n, c, h, w] = x[n, c, h, w] / _denominator(x[n, :, h, w], c, size, alpha, k) ** beta
    return y


def local_response_norm_gradient(
    grad_y: Array, x: Array, size: int, alpha: float = 1e-4, beta: float = 0.75, k: float = 1.0
) -> Array:
    """Differentiate `local_response_norm`, by the product rule. (N, C, H, W) -> the same.

    ``dy[c]/dx[i] = [i == c] * d[c]**-beta + x[c] * (-beta) * d[c]**(-beta-1) * 2*alpha/size * x[i]``, where the second
    term is there for the channels i in the sum of d[c].
    """
    grad_x = np.zeros_like(x)
    for n, c, h, w in np.ndindex(x.shape):
        pixel, g = x[n, :, h, w], grad_y[n, c, h, w]
        d = _denominator(pixel, c, size, alpha, k)
        grad_x[n, c, h, w] += g * d**-beta
        for i in _neighbours(c, size, len(pixel)):
            grad_x[n, i, h, w] += g * pixel[c] * -beta * d ** (-beta - 1) * 2 * alpha / size * pixel[i]
    return grad_x


def linear(x: Array, weight: Array, bias: Array | None = None) -> Array:
    """``y[n, o] = bias[o] + sum over i of weight[o, i] * x[n, i]``. x (N, I), weight (O, I), bias (O,) -> (N, O)."""
    y = np.zeros((len(x), len(weight)), x.dtype)
    for n, o in np.ndindex(y.shape):
        y[n, o] = sum(weight[o, i] * x[n, i] for i in range(x.shape[1])) + (0 if bias is None else bias[o])
    return y


def linear_gradients(grad_y: Array, x: Array, weight: Array) -> tuple[Array, Array, Array]:
    """Differentiate `linear`. grad_y (N, O), x (N, I), weight (O, I) -> grad_x, grad_weight, grad_bias (O,)."""
    grad_x, grad_weight, grad_bias = np.zeros_like(x), np.zeros_like(weight), np.zeros(len(weight), x.dtype)
    for n, o in np.ndindex(grad_y.shape):
        grad_bias[o] += grad_y[n, o]
        for i in range(x.shape[1]):
            grad_x[n, i] += grad_y[n, o] * weight[o, i]
            grad_weight[o, i] += grad_y[n, o] * x[n, i]
    return grad_x, grad_weight, grad_bias


def relu(x: Array) -> Array:
    """``y = x`` where x is above 0 (or NaN), else 0. Any shape."""
    y = np.zeros_like(x)
    for i in np.ndindex(x.shape):
        y[i] = x[i] if x[i] > 0 or isnan(x[i]) else 0
    return y


def relu_gradient(grad_y: Array, x: Array) -> Array:
    """Differentiate `relu`: the gradient passes where x is above 0 (or NaN). Any shape."""
    grad_x = np.zeros_like(x)
    for i in np.ndindex(x.shape):
        grad_x[i] = grad_y[i] if x[i] > 0 or isnan(x[i]) else 0
    return grad_x


def cross_entropy(logits: Array, labels: Array, label_smoothing: float = 0.0, reduction: str = "mean") -> Array:
    """``loss[n] = -sum over k of q[n, k] * log p[n, k]`` with ``p[n, k] = exp(logits[n, k]) / sum of exp(logits[n])``.

    ``q[n, k] = (1 - e) * [k == labels[n]] + e/K`` with label smoothing e. The largest logit is subtracted from all
    first, which leaves p as it is, so that no exponential overflows.

    logits (N, K), labels (N,) -> a scalar or, for reduction "none", (N,).
    """
    N, K = logits.shape
    losses = np.zeros(N, logits.dtype)
    for n, k in np.ndindex(N, K):
        top = max(logits[n])
        log_p = logits[n, k] - top - log(sum(exp(logit - top) for logit in logits[n]))
        losses[n] -= _target(labels[n], k, K, label_smoothing) * log_p
    if reduction == "none":
        return losses
    return np.asarray(sum(losses) / (N if reduction == "mean" else 1), logits.dtype)


def cross_entropy_gradient(
    logits: Array,
    labels: Array,
    label_smoothing: float = 0.0,
    reduction: str = "mean",
    grad_losses: Array | float = 1.0,
) -> Array:
    """Differentiate `cross_entropy`: ``grad_logits[n, k] = grad_losses[n] * (p[n, k] - q[n, k])``, over N for "mean".

    logits (N, K), labels (N,), grad_losses (N,) for reduction "none", else one number -> (N, K).
    """
    N, K = logits.shape
    grad_logits = np.zeros_like(logits)
    for n, k in np.ndindex(N, K):
        top = max(logits[n])
        p = exp(logits[n, k] - top) / sum(exp(logit - top) for logit in logits[n])
        g = np.broadcast_to(grad_losses, N)[n] / (N if reduction == "mean" else 1)
        grad_logits[n, k] = g * (p - _target(labels[n], k, K, label_smoothing))
    return grad_logits


def _borders(padding: Padding) -> tuple[Pair, Pair]:
    """Return padding as ((top, bottom), (left, right))."""
    vertical, horizontal = ((p, p) if isinstance(p, int) else p for p in padding)
    return vertical, horizontal


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
    (top, _), (left, _) = _borders(padding)
    for n, o, p, q in np.ndindex(y_shape):
        first = o // (weight_shape[0] // groups) * weight_shape[1]
        for c, i, j in np.ndindex(weight_shape[1:]):
            r, s = p * stride[0] + i * dilation[0] - top, q * stride[1] + j * dilation[1] - left
            if 0 <= r < x_shape[2] and 0 <= s < x_shape[3]:
                yield (n, o, p, q), (o, c, i, j), (n, first + c, r, s)


def _windows(
    image: tuple[int, ...], kernel_size: Pair, stride: Pair, padding: Pair, dilation: Pair, ceil_mode: bool
) -> tuple[list[list[int]], list[list[int]]]:
    """Return, for each axis, the pixels inside the image that each window has.

    There are ``(size + 2*padding - dilation*(kernel_size-1) - 1) / stride + 1`` windows, rounded down, or up in ceil
    mode; but no window may start beyond the image.
    """
    axes = []
    for size, k, s, pad, d in zip(image, kernel_size, stride, padding, dilation, strict=True):
        steps = (size + 2 * pad - d * (k - 1) - 1) / s
        starts = [p * s - pad for p in range((ceil(steps) if ceil_mode else floor(steps)) + 1)]
        windows = [[start + i * d for i in range(k)] for start in starts if start < size]
        axes.append([[r for r in window if 0 <= r < size] for window in windows])
    return axes[0], axes[1]


def _argmax(image: Array, rows: list[int], columns: list[int]) -> Pair | None:
    """Return where a window's largest number is: the first of equals; the last NaN, if there is one."""
    place = None
    for pixel in ((r, s) for r in rows for s in columns):
        if place is None or image[pixel] > image[place] or isnan(image[pixel]):
            place = pixel
    return place


def _neighbours(c: int, size: int, channels: int) -> range:
    return range(max(0, c - size // 2), min(channels, c + (size - 1) // 2 + 1))


def _denominator(pixel: Array, c: int, size: int, alpha: float, k: float) -> float:
    return k + alpha / size * sum(pixel[i] ** 2 for i in _neighbours(c, size, len(pixel)))


def _target(label: Any, k: int, classes: int, label_smoothing: float) -> float:
    return (1 - label_smoothing) * (k == label) + label_smoothing / classes
