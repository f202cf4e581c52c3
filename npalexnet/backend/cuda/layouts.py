"""Where the numbers of an array lie in memory, and what can be counted in 32 bits.

Symbols: N images, C channels, H x W pixels, windows of kH x kW, oH x oW of them.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import prod

import numpy as np

from npalexnet.backend.device import Array
from npalexnet.windows import Windows

LARGEST_INT = 2**31 - 1
MOST_COUNTED = LARGEST_INT - 1024  # pixels, windows, rows: the last block's threads without work are counted too


def kernel_arguments(shape: tuple[int, ...], windows: Windows) -> tuple[int, ...]:
    """What the macro WINDOWS of `kernels.cu` names, in its order."""
    return (
        *shape[1:],
        *windows.kernel_size,
        *windows.stride,
        *windows.dilation,
        *windows.padding,
        *windows.output_size,
    )


def countable(shape: tuple[int, ...], windows: Windows) -> bool:
    """Whether pixels and windows, and the numbers of one row of pixels, can be counted in 32 bits."""
    N, H, W, C = shape
    reach = max(
        size + abs(padding) + (count + 1) * stride + kernel * dilation
        for size, padding, count, stride, kernel, dilation in zip(
            (H, W),
            windows.padding,
            windows.output_size,
            windows.stride,
            windows.kernel_size,
            windows.dilation,
            strict=True,
        )
    )
    return max(N * H * W, N * prod(windows.output_size), reach * max(C, 1)) <= MOST_COUNTED


def aligned_length(length: int, dtype: np.dtype) -> int:
    """Return `length` rounded up to whole 16 bytes: tensor cores want rows that long, and it helps other products."""
    per_unit = 16 // np.dtype(dtype).itemsize
    return -(-length // per_unit) * per_unit


def contiguous(array: Array, order: Sequence[int] | None = None) -> bool:
    """Whether the axes, in their own or the given order, lie in memory without gaps."""
    expected = array.itemsize
    for axis in reversed(range(array.ndim) if order is None else order):
        if array.shape[axis] != 1 and array.strides[axis] != expected:
            return array.size == 0
        expected *= array.shape[axis]
    return True


def memory_order(array: Array) -> list[int]:
    """Return the axes, the one with the longest stride first."""
    return sorted(range(array.ndim), key=lambda axis: -abs(array.strides[axis]))


def pixel_distance(images: Array) -> int | None:
    """Return how many numbers apart the pixels lie, if `images` is some channels of a contiguous (N, H, W, C) array."""
    N, H, W, C = images.shape
    if 0 in images.shape:
        return C
    steps = [(W, images.strides[2], 1), (H, images.strides[1], W), (N, images.strides[0], H * W)]
    apart = next((stride // pixels for size, stride, pixels in steps if size > 1), C * images.itemsize)
    regular = all(size == 1 or stride == apart * pixels for size, stride, pixels in steps)
    packed = C == 1 or images.strides[3] == images.itemsize
    fits = C * images.itemsize <= apart <= LARGEST_INT and apart % images.itemsize == 0
    return apart // images.itemsize if regular and packed and fits else None
