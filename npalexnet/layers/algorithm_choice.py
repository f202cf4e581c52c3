"""Which algorithm a convolution is computed with: the user's setting, and the rule behind "auto"."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

from npalexnet.backend import Array, device_of
from npalexnet.layers.im2col_gemm import ConvolutionAlgorithm, Im2colGemm
from npalexnet.layers.sharding import images_of_smallest_shard
from npalexnet.layers.winograd import Winograd
from npalexnet.windows import Windows

ENVIRONMENT_VARIABLE = "NPALEXNET_CONVOLUTION"
NAMES = ("auto", "im2col", "winograd")

# What "auto" asks for, as measured by ``python -m benchmarks algorithms``.
LEAST_KERNEL = 3
LEAST_CHANNELS = 64  # input and output channels of a group
LEAST_WINDOWS = 300  # of the images of a shard: with fewer, transforming the weights takes too long
LEAST_SIZE, MOST_SIZE = 8, 64  # output rows and columns: few leave tiles half empty, many make the bands wide

IM2COL, WINOGRAD = Im2colGemm(), Winograd()
_setting: str | None = None
_in_context: ContextVar[str | None] = ContextVar("convolution algorithm", default=None)


def get_convolution_algorithm() -> str:
    """Return "auto", "im2col" or "winograd".

    That is what the innermost `convolution_algorithm` says; without one, what `set_convolution_algorithm` was given;
    without that, the environment variable ``NPALEXNET_CONVOLUTION``; without that, "auto".

    Raises
    ------
    ValueError
        If the environment variable holds something else.
    """
    global _setting
    if (name := _in_context.get()) is not None:
        return name
    if _setting is None:
        _setting = _checked(f"the environment variable {ENVIRONMENT_VARIABLE}", _from_environment())
    return _setting


def set_convolution_algorithm(name: str) -> None:
    """Set how convolutions are computed, from the next forward pass on.

    Parameters
    ----------
    name : {"auto", "im2col", "winograd"}
        "im2col" is im2col and a matrix product. "winograd" is Winograd's convolution for square kernels of 2 to 5 with
        stride 1 and dilation 1 in float32 and float64, and im2col for all else. "auto" is Winograd's convolution where
        it was measured to be faster: on the CPU in float32, for enough channels and images.

    Raises
    ------
    ValueError
        If it is none of these; nothing is changed.
    """
    global _setting
    _setting = _checked("name", name)


@contextmanager
def convolution_algorithm(name: str) -> Iterator[None]:
    """``with convolution_algorithm("im2col"):`` is `set_convolution_algorithm` for this block, in this thread."""
    token = _in_context.set(_checked("name", name))
    try:
        yield
    finally:
        _in_context.reset(token)


def choose_algorithm(
    preferred: ConvolutionAlgorithm | None, x: Array, weight: Array, windows: Windows
) -> ConvolutionAlgorithm:
    """Return `preferred`, or without one what the setting says; im2col where that does not support the windows.

    For images (N, H, W, C) and a weight (kH, kW, C/G, O).

    Raises
    ------
    TypeError
        If `preferred` is not an instance of an algorithm.
    """
    if preferred is None:
        name = get_convolution_algorithm()
        if name == "im2col" or (name == "auto" and not _is_faster(x, weight, windows)):
            return IM2COL
        preferred = WINOGRAD
    if not isinstance(preferred, ConvolutionAlgorithm):
        raise TypeError(
            f"Conv2d.algorithm must be a ConvolutionAlgorithm such as Winograd(), or None, got {preferred!r}; "
            "set_convolution_algorithm takes names"
        )
    return preferred if preferred.supports(windows, x.dtype) else IM2COL


def _is_faster(x: Array, weight: Array, windows: Windows) -> bool:
    """Whether Winograd's convolution, if it supports the windows, was measured to be faster than im2col."""
    (oH, oW), (C, O) = windows.output_size, weight.shape[2:]  # C of a group
    groups = x.shape[-1] // C
    return (
        device_of(x).few_multiplications_pay
        and x.dtype.name == "float32"
        and windows.kernel_size[0] >= LEAST_KERNEL
        and min(C, O // groups) >= LEAST_CHANNELS
        and images_of_smallest_shard(len(x)) * oH * oW >= LEAST_WINDOWS  # one algorithm for the whole batch
        and LEAST_SIZE <= min(oH, oW) <= max(oH, oW) <= MOST_SIZE
    )


def _from_environment() -> str:
    return os.environ.get(ENVIRONMENT_VARIABLE, "").strip() or "auto"


def _checked(who: str, name: str) -> str:
    if not isinstance(name, str) or name not in NAMES:
        raise ValueError(f"{who} must be 'auto', 'im2col' or 'winograd', got {name!r}")
    return name
