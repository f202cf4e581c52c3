"""Which pixels the windows over an image have: what convolution and pooling share."""

from __future__ import annotations

from math import ceil, floor

import numpy as np

Array = np.ndarray
Pair = tuple[int, int]
Padding = Pair | tuple[Pair, Pair]  # (vertical, horizontal) or ((top, bottom), (left, right))


def borders(padding: Padding) -> tuple[Pair, Pair]:
    """Return padding as ((top, bottom), (left, right))."""
    vertical, horizontal = ((p, p) if isinstance(p, int) else p for p in padding)
    return vertical, horizontal


def count_windows(size: int, kernel_size: int, stride: int, padding: Pair, dilation: int, ceil_mode: bool) -> int:
    """Return how many windows there are along an axis.

    They are ``(size + padding - dilation*(kernel_size-1) - 1) / stride + 1``, rounded down, or up in ceil mode; but no
    window may start beyond the image.
    """
    steps = (size + sum(padding) - dilation * (kernel_size - 1) - 1) / stride
    count = (ceil(steps) if ceil_mode else floor(steps)) + 1
    return len([p for p in range(count) if p * stride - padding[0] < size or not ceil_mode])


def windows_of(
    image: tuple[int, ...], kernel_size: Pair, stride: Pair, padding: Pair, dilation: Pair, ceil_mode: bool
) -> tuple[list[list[int]], list[list[int]]]:
    """Return, for each axis, the pixels inside the image that each window has."""
    axes = []
    for size, k, s, pad, d in zip(image, kernel_size, stride, padding, dilation, strict=True):
        starts = [p * s - pad for p in range(count_windows(size, k, s, (pad, pad), d, ceil_mode))]
        windows = [[start + i * d for i in range(k)] for start in starts]
        axes.append([[r for r in window if 0 <= r < size] for window in windows])
    return axes[0], axes[1]
