"""Response normalisation over channels and over pixels, and the gradients."""

from __future__ import annotations

import numpy as np

from npalexnet.naive.windows import Array, Pair


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


def _neighbours(c: int, size: int, channels: int) -> range:
    return range(max(0, c - size // 2), min(channels, c + (size - 1) // 2 + 1))


def _in_group(c: int, size: int, channels: int, groups: int) -> list[int]:
    width = channels // groups
    return [i for i in _neighbours(c, size, channels) if i // width == c // width]


def _around(h: int, w: int, size: int, shape: tuple[int, ...]) -> list[Pair]:
    return [(r, s) for r in _neighbours(h, size, shape[2]) for s in _neighbours(w, size, shape[3])]
