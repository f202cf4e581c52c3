"""Launching the kernels of `kernels.cu` through CuPy, and the switch that turns them off."""

from __future__ import annotations

import os
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

ENVIRONMENT_VARIABLE = "NPALEXNET_CUDA_KERNELS"
SOURCE = Path(__file__).with_name("kernels.cu")
_enabled: bool | None = None


def cuda_kernels_enabled() -> bool:
    """Return whether GPUs compute with the project's own kernels where they can.

    That is what `enable_cuda_kernels` was given; without it, whether the environment variable
    ``NPALEXNET_CUDA_KERNELS`` is 1; without that, they do.

    Raises
    ------
    ValueError
        If the environment variable holds something else than 0 or 1.
    """
    if _enabled is not None:
        return _enabled
    text = os.environ.get(ENVIRONMENT_VARIABLE, "").strip() or "1"
    if text not in ("0", "1"):
        raise ValueError(f"the environment variable {ENVIRONMENT_VARIABLE} must be 0 or 1, got {text!r}")
    return text == "1"


def enable_cuda_kernels(enabled: bool | None) -> None:
    """Choose between the project's own kernels and the array module's lines; None leaves it to the environment."""
    if enabled is not None and not isinstance(enabled, bool):
        raise TypeError(f"enabled must be True, False or None, got {enabled!r}")
    global _enabled
    _enabled = enabled


def compiler_options(dtype: str) -> tuple[str, ...]:
    """Return NVRTC's options for numbers of the dtype of that name.

    Without fused multiply-add, kernels round as the array module's lines do; memory is what they wait for anyway. CuPy
    adds ``-ftz=true``, to its own kernels too: on its GPUs float32 numbers below 1.2e-38 are 0 in arithmetic.
    """
    real = {"float32": "float", "float64": "double"}.get(dtype, dtype)
    return (f"-DREAL={real}", f"-DWIDE={'double' if real == 'double' else 'float'}", "-std=c++17", "--fmad=false")


class CupyLauncher:
    """Launches kernels on the current GPU and stream; CuPy compiles them at first use and keeps them on disk."""

    def __call__(
        self, name: str, dtype: np.dtype, grid: tuple[int, ...], block: tuple[int, ...], arguments: tuple[Any, ...]
    ) -> None:
        """Launch; the array arguments are CuPy's. (A NumPy array with one element, a struct, is passed by value.)"""
        _function(name, np.dtype(dtype))(grid, block, arguments)

    def address(self, array: Any) -> int:
        """Where the first number of a CuPy array lies."""
        return array.data.ptr


@cache
def _module(dtype: np.dtype) -> Any:
    import cupy

    return cupy.RawModule(code=SOURCE.read_text(encoding="utf-8"), options=compiler_options(dtype.name))


@cache
def _function(name: str, dtype: np.dtype) -> Any:
    return _module(dtype).get_function(name)  # CuPy loads it once for each GPU
