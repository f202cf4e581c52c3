"""The devices of arrays, their dtypes, and primitives: functions that a device's kernel may replace."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any, TypeVar

import numpy as np

from npalexnet.backend.device import Array, Device
from npalexnet.checks import unmasked

Function = TypeVar("Function", bound=Callable[..., Any])

# --- dtypes: parameters are float32 or float64; inputs may be float16 or bfloat16, too ------------------------------

FULL = ("float32", "float64")
HALF = ("float16", "bfloat16")


def accumulation_dtype(dtype: np.dtype) -> np.dtype:
    """Return the dtype in which sums of `dtype` are accumulated: float32 for 16-bit dtypes, else `dtype` itself."""
    return np.dtype(np.float32) if dtype.name in HALF else dtype


def float_dtype(dtype: Any) -> np.dtype:
    """Return a parameter's dtype, float32 or float64, or raise a ValueError."""
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


# --- devices ----------------------------------------------------------------------------------------------------------

_registered: dict[str, Device] = {}
_finders: list[Callable[[Any], Device | None]] = []


def register_device(device: Device) -> None:
    """Make a device known by its name: from then on layers compute with its arrays."""
    _registered[device.name] = device


def register_finder(finder: Callable[[Any], Device | None]) -> None:
    """Register a function that returns the device of an array that no registered device owns, or None."""
    _finders.append(finder)


def registered_device(name: str) -> Device | None:
    """Return the registered device of that name, or None."""
    return _registered.get(name)


def device_of(array: object) -> Device:
    """Return the device that `array` lives on.

    Raises
    ------
    TypeError
        If it is not an array of any device.
    """
    if isinstance(array, np.ndarray):
        return _registered["cpu"]
    for device in _registered.values():
        if device.owns(array):
            return device
    for finder in _finders:
        if found := finder(array):
            return found
    raise TypeError(f"expected a NumPy or CuPy array, got {type(array).__name__}")


def array_module(array: object) -> Any:
    """Return the module to compute with on `array`: NumPy or CuPy."""
    return device_of(array).xp


def plain_array(array: Any, who: str, dtype: np.dtype | str = "float32") -> Array:
    """Return a user's array, or that of a NumPy subclass (np.matrix, np.memmap, ...) as a plain one, without a copy.

    Subclasses have rules of their own: ``*`` of matrices is another product, and reductions keep both axes.

    Parameters
    ----------
    array : array
        The user's argument, of any device.
    who : str
        How messages call it: ``"Conv2d's input"``.
    dtype : dtype
        What to advise for a list.

    Raises
    ------
    TypeError
        If it is not an array, or a masked one.
    """
    unmasked(who, array)
    try:
        device_of(array)
    except TypeError as error:
        convertible = isinstance(array, list | tuple) or hasattr(array, "__array__")
        advice = f": convert it by numpy.asarray(..., '{np.dtype(dtype)}')" if convertible else ""
        raise TypeError(f"{who}: {error}{advice}") from None
    return np.asarray(array) if isinstance(array, np.ndarray) else array


def check_array(
    array: Any, who: str, *, dtype: np.dtype | None = None, device: Device | None = None, half: bool = False,
    because: str = "",
) -> Array:  # fmt: skip
    """Return a user's array, as a plain one; raise unless layers can compute on it.

    Parameters
    ----------
    array : array
        The user's argument.
    who : str
        How the message calls it: ``"Conv2d's input"``.
    dtype, device : optional
        What is expected. Without `dtype`: float32, float64, float16 or bfloat16.
    half : bool
        Whether float16 and bfloat16 will do, too, where float32 is expected.
    because : str
        The end of a message: why that is expected.

    Raises
    ------
    TypeError
        If it is not an array, or a masked one, or its dtype is wrong.
    ValueError
        If it is on another device.
    """
    array = plain_array(array, who, dtype or "float32")
    home = device_of(array)
    if device is not None and home is not device:
        raise ValueError(f"{who} is on {home.name!r}, expected it on {device.name!r}{because}")
    if dtype is None:
        if array.dtype.name not in FULL + HALF:
            advice = _cast_advice(array.dtype, "float32")
            raise TypeError(f"{who} is of dtype {array.dtype}, expected float32, float64, float16 or bfloat16{advice}")
    elif array.dtype != dtype and not (half and dtype == np.float32 and array.dtype.name in HALF):
        advice = _cast_advice(array.dtype, dtype)
        raise TypeError(f"{who} is of dtype {array.dtype}, expected {dtype}{because}{advice}")
    return array


def _cast_advice(given: np.dtype, wanted: np.dtype | str) -> str:
    """Return how to get the wanted dtype, where a cast gives what is meant: not of text, say, or complex numbers."""
    return f": cast it by .astype('{wanted}')" if given.kind in "fiub" or given.name in HALF else ""


# --- primitives -------------------------------------------------------------------------------------------------------

PRIMITIVES: dict[str, Callable[..., Any]] = {}  # the undecorated functions, by name


def primitive(plain: Function) -> Function:
    """Decorate a function that a kernel may replace: a method of `Device.kernels` with its name and signature.

    The first argument is an array, or (for SGD) a list of tuples that begin with one. If its device has kernels, that
    method is called; if it returns None (it does not do these arrays), or there are no kernels, the function is.
    """
    name = plain.__name__
    PRIMITIVES[name] = plain

    @wraps(plain)
    def kernel_or_fallback(first: Any, *arguments: Any, **keywords: Any) -> Any:
        kernels = device_of(first[0][0] if isinstance(first, list) else first).kernels
        result = None if kernels is None else getattr(kernels, name)(first, *arguments, **keywords)
        return plain(first, *arguments, **keywords) if result is None else result

    return kernel_or_fallback  # type: ignore[return-value]
