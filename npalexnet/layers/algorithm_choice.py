"""The setting that says which algorithm convolutions are computed with; `Conv2d` obeys it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

ENVIRONMENT_VARIABLE = "NPALEXNET_CONVOLUTION"
NAMES = ("auto", "im2col", "winograd")

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
    if _setting is None:
        _setting = _checked(f"the environment variable {ENVIRONMENT_VARIABLE}", _from_environment())
    return _in_context.get() or _setting


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


def _from_environment() -> str:
    return os.environ.get(ENVIRONMENT_VARIABLE, "").strip() or "auto"


def _checked(who: str, name: str) -> str:
    if name not in NAMES:
        raise ValueError(f"{who} must be 'auto', 'im2col' or 'winograd', got {name!r}")
    return name
