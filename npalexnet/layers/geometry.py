"""Sizes of windows: what the arguments of Conv2d and MaxPool2d mean, following torch to the letter."""

from __future__ import annotations

from npalexnet.checks import Pair


def window_extent(kernel_size: int, dilation: int) -> int:
    """Return how many pixels a dilated window covers from its first element to its last."""
    return dilation * (kernel_size - 1) + 1


def output_size(size: int, kernel_size: int, stride: int, padding: Pair, dilation: int, ceil_mode: bool = False) -> int:
    """Return how many windows fit along one axis of `size` pixels with `padding` (before, after); may be below 1.

    With `ceil_mode` a last window may hang over the end, if it starts inside the image or the padding before it.
    """
    room = size + sum(padding) - window_extent(kernel_size, dilation)
    if not ceil_mode:
        return room // stride + 1
    windows = -(-room // stride) + 1
    starts_inside = (windows - 1) * stride < size + padding[0]
    return windows if starts_inside else windows - 1


def check_images(who: str, shape: tuple[int, ...], channels: int | None = None) -> None:
    """Refuse a shape that is not (N, C, H, W), or has another number of channels."""
    if len(shape) != 4:
        raise ValueError(f"{who} expects an input of shape (N, C, H, W), got {shape}")
    if channels is not None and shape[1] != channels:
        raise ValueError(f"{who} expects {channels} input channels, got an input of shape {shape}")


def windows_output_shape(
    who: str, input_shape: tuple[int, ...], channels: int, sizes: Pair, kernel_size: Pair
) -> tuple[int, int, int, int]:
    """Return (N, channels, oH, oW), or raise an error if no window of `kernel_size` fits the input."""
    if min(sizes) < 1:
        raise ValueError(
            f"{who} can't fit a window of {kernel_size} into an input of shape {input_shape}: "
            f"the output would be {sizes[0]} x {sizes[1]}"
        )
    return (input_shape[0], channels, *sizes)
