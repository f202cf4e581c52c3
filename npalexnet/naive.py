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
    vertical, horizontal = _borders(padding)
    oH = _count(x.shape[2], weight.shape[2], stride[0], vertical, dilation[0], ceil_mode)
    oW = _count(x.shape[3], weight.shape[3], stride[1], horizontal, dilation[1], ceil_mode)
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


def avg_pool2d(
    x: Array,
    kernel_size: Pair,
    stride: Pair,
    padding: Pair = (0, 0),
    ceil_mode: bool = False,
    count_include_pad: bool = True,
) -> Array:
    """Take each window's average: the sum of its numbers over how many count. (N, C, H, W) -> (N, C, oH, oW).

    Those inside the image count and, if `count_include_pad`, the zeros of the padding; nothing beyond it does.
    """
    rows, columns = _windows(x.shape[2:], kernel_size, stride, padding, (1, 1), ceil_mode)
    y = np.zeros((*x.shape[:2], len(rows), len(columns)), x.dtype)
    for n, c, p, q in np.ndindex(y.shape):
        count = _counted((p, q), x.shape[2:], kernel_size, stride, padding, count_include_pad)
        y[n, c, p, q] = sum(x[n, c, r, s] for r in rows[p] for s in columns[q]) / count
    return y


def avg_pool2d_gradient(
    grad_y: Array,
    x: Array,
    kernel_size: Pair,
    stride: Pair,
    padding: Pair = (0, 0),
    ceil_mode: bool = False,
    count_include_pad: bool = True,
) -> Array:
    """Differentiate `avg_pool2d`: all pixels of a window get the same. (N, C, oH, oW) -> (N, C, H, W)."""
    rows, columns = _windows(x.shape[2:], kernel_size, stride, padding, (1, 1), ceil_mode)
    grad_x = np.zeros_like(x)
    for n, c, p, q in np.ndindex(grad_y.shape):
        count = _counted((p, q), x.shape[2:], kernel_size, stride, padding, count_include_pad)
        for r, s in ((r, s) for r in rows[p] for s in columns[q]):
            grad_x[n, c, r, s] += grad_y[n, c, p, q] / count
    return grad_x


def adaptive_avg_pool2d(x: Array, output_size: Pair) -> Array:
    """Average over parts: part p of oH is the rows r with ``floor(p*H/oH) <= r < ceil((p+1)*H/oH)``, likewise columns.

    (N, C, H, W) -> (N, C, oH, oW).
    """
    y = np.zeros((*x.shape[:2], *output_size), x.dtype)
    for n, c, p, q in np.ndindex(y.shape):
        rows, columns = _part(p, x.shape[2], output_size[0]), _part(q, x.shape[3], output_size[1])
        y[n, c, p, q] = sum(x[n, c, r, s] for r in rows for s in columns) / (len(rows) * len(columns))
    return y


def adaptive_avg_pool2d_gradient(grad_y: Array, x: Array) -> Array:
    """Differentiate `adaptive_avg_pool2d`. (N, C, oH, oW) -> (N, C, H, W)."""
    grad_x = np.zeros_like(x)
    for n, c, p, q in np.ndindex(grad_y.shape):
        rows, columns = _part(p, x.shape[2], grad_y.shape[2]), _part(q, x.shape[3], grad_y.shape[3])
        for r, s in ((r, s) for r in rows for s in columns):
            grad_x[n, c, r, s] += grad_y[n, c, p, q] / (len(rows) * len(columns))
    return grad_x


def local_response_norm(
    x: Array,
    size: int,
    alpha: float = 1e-4,
    beta: float = 0.75,
    k: float = 1.0,
    divide_alpha: bool = True,
    groups: int = 1,
) -> Array:
    """``y[c] = x[c] / d[c]**beta`` with ``d[c] = k + alpha/size * sum of x[i]**2``. (N, C, H, W) -> the same.

    The sum is over the channels ``c - size//2 <= i <= c + (size-1)//2`` that exist in c's group. Without `divide_alpha`
    alpha is not divided.
    """
    y = np.zeros_like(x)
    for n, c, h, w in np.ndindex(x.shape):
        around = _in_group(c, size, x.shape[1], groups)
        d = k + (alpha / size if divide_alpha else alpha) * sum(x[n, i, h, w] ** 2 for i in around)
        y[n, c, h, w] = x[n, c, h, w] / d**beta
    return y


def local_response_norm_gradient(
    grad_y: Array,
    x: Array,
    size: int,
    alpha: float = 1e-4,
    beta: float = 0.75,
    k: float = 1.0,
    divide_alpha: bool = True,
    groups: int = 1,
) -> Array:
    """Differentiate `local_response_norm`, by the product rule. (N, C, H, W) -> the same.

    ``dy[c]/dx[i] = [i == c] * d[c]**-beta + x[c] * (-beta) * d[c]**(-beta-1) * 2*alpha/size * x[i]``, where the second
    term is there for the channels i in the sum of d[c].
    """
    grad_x, alpha = np.zeros_like(x), alpha / size if divide_alpha else alpha
    for n, c, h, w in np.ndindex(x.shape):
        pixel, g = x[n, :, h, w], grad_y[n, c, h, w]
        around = _in_group(c, size, len(pixel), groups)
        d = k + alpha * sum(pixel[i] ** 2 for i in around)
        grad_x[n, c, h, w] += g * d**-beta
        for i in around:
            grad_x[n, i, h, w] += g * pixel[c] * -beta * d ** (-beta - 1) * 2 * alpha * pixel[i]
    return grad_x


def spatial_response_norm(x: Array, size: int, alpha: float = 1e-4, beta: float = 0.75, k: float = 1.0) -> Array:
    """``y[h, w] = x[h, w] / d[h, w]**beta`` with ``d[h, w] = k + alpha/size**2 * sum of x[r, s]**2``.

    The sum is over the pixels ``h - size//2 <= r <= h + (size-1)//2`` that exist, and s likewise, of the same channel.
    (N, C, H, W) -> the same.
    """
    y = np.zeros_like(x)
    for n, c, h, w in np.ndindex(x.shape):
        around = _around(h, w, size, x.shape)
        d = k + alpha / size**2 * sum(x[n, c, r, s] ** 2 for r, s in around)
        y[n, c, h, w] = x[n, c, h, w] / d**beta
    return y


def spatial_response_norm_gradient(
    grad_y: Array, x: Array, size: int, alpha: float = 1e-4, beta: float = 0.75, k: float = 1.0
) -> Array:
    """Differentiate `spatial_response_norm` as `local_response_norm_gradient` does that. (N, C, H, W) -> the same."""
    grad_x = np.zeros_like(x)
    for n, c, h, w in np.ndindex(x.shape):
        image, g, around = x[n, c], grad_y[n, c, h, w], _around(h, w, size, x.shape)
        d = k + alpha / size**2 * sum(image[pixel] ** 2 for pixel in around)
        grad_x[n, c, h, w] += g * d**-beta
        for pixel in around:
            slope = image[h, w] * -beta * d ** (-beta - 1) * 2 * alpha / size**2 * image[pixel]
            grad_x[n, c][pixel] += g * slope
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
    """Return, for each axis, the pixels inside the image that each window has."""
    axes = []
    for size, k, s, pad, d in zip(image, kernel_size, stride, padding, dilation, strict=True):
        starts = [p * s - pad for p in range(_count(size, k, s, (pad, pad), d, ceil_mode))]
        windows = [[start + i * d for i in range(k)] for start in starts]
        axes.append([[r for r in window if 0 <= r < size] for window in windows])
    return axes[0], axes[1]


def _count(size: int, kernel_size: int, stride: int, padding: Pair, dilation: int, ceil_mode: bool) -> int:
    """Return how many windows there are along an axis.

    They are ``(size + padding - dilation*(kernel_size-1) - 1) / stride + 1``, rounded down, or up in ceil mode; but no
    window may start beyond the image.
    """
    steps = (size + sum(padding) - dilation * (kernel_size - 1) - 1) / stride
    count = (ceil(steps) if ceil_mode else floor(steps)) + 1
    return len([p for p in range(count) if p * stride - padding[0] < size or not ceil_mode])


def _argmax(image: Array, rows: list[int], columns: list[int]) -> Pair | None:
    """Return where a window's largest number is: the first of equals; the last NaN, if there is one."""
    place = None
    for pixel in ((r, s) for r in rows for s in columns):
        if place is None or image[pixel] > image[place] or isnan(image[pixel]):
            place = pixel
    return place


def _neighbours(c: int, size: int, channels: int) -> range:
    return range(max(0, c - size // 2), min(channels, c + (size - 1) // 2 + 1))


def _in_group(c: int, size: int, channels: int, groups: int) -> list[int]:
    width = channels // groups
    return [i for i in _neighbours(c, size, channels) if i // width == c // width]


def _around(h: int, w: int, size: int, shape: tuple[int, ...]) -> list[Pair]:
    return [(r, s) for r in _neighbours(h, size, shape[2]) for s in _neighbours(w, size, shape[3])]


def _counted(window: Pair, image: tuple[int, ...], kernel_size: Pair, stride: Pair, padding: Pair, pad: bool) -> int:
    """Return how many numbers of an average's window count: those inside the image and, if `pad`, its padding."""
    total = 1
    for p, size, k, s, margin in zip(window, image, kernel_size, stride, padding, strict=True):
        width = margin if pad else 0
        total *= len([r for r in range(p * s - margin, p * s - margin + k) if -width <= r < size + width])
    return total


def _part(p: int, size: int, parts: int) -> range:
    return range(floor(p * size / parts), ceil((p + 1) * size / parts))


def _target(label: Any, k: int, classes: int, label_smoothing: float) -> float:
    return (1 - label_smoothing) * (k == label) + label_smoothing / classes
