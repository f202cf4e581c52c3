"""Kinds of numbers: parameters are float32 or float64; inputs may have half as many bits as float32."""

from __future__ import annotations

from typing import Any

import numpy as np

FULL = ("float32", "float64")
HALF = ("float16", "bfloat16")


def is_half(dtype: np.dtype) -> bool:
    """Whether numbers of `dtype` have 16 bits: float16, or bfloat16 of the package ml_dtypes."""
    return dtype.name in HALF


def accumulation_dtype(dtype: np.dtype) -> np.dtype:
    """Return what numbers of `dtype` are added up in: float32 for those of 16 bits, else `dtype` itself."""
    return np.dtype(np.float32) if is_half(dtype) else dtype


def float_dtype(dtype: Any) -> np.dtype:
    """Return `dtype` as one that parameters may have: float32 or float64."""
    try:
        result = None if dtype is None else np.dtype(dtype)  # NumPy takes None for float64
    except TypeError:
        result = None
    if result is None or result.name not in FULL:
        raise ValueError(f"dtype must be 'float32' or 'float64', got {dtype!r}")
    return result


def input_dtype(name: str) -> np.dtype:
    """Return the dtype of a name: "float32", "float64", "float16" or "bfloat16".

    Raises
    ------
    ValueError
        If it is none of them, or ml_dtypes, which NumPy needs for bfloat16, is not installed.
    """
    if name not in FULL + HALF:
        raise ValueError(f"dtype must be one of {', '.join(map(repr, FULL + HALF))}, got {name!r}")
    if name == "bfloat16":
        try:
            import ml_dtypes
        except ImportError:
            raise ValueError("dtype 'bfloat16' needs the package ml_dtypes (pip install ml_dtypes)") from None
        return np.dtype(ml_dtypes.bfloat16)
    return np.dtype(name)
