"""Checks of arguments: each returns the value, or raises an error that names the argument and what was given."""

from __future__ import annotations

from typing import Any

import numpy as np

Pair = tuple[int, int]
IntOrPair = int | tuple[int, int]


def integer(name: str, value: Any, minimum: int) -> int:
    """Return an integer of at least `minimum` as an int.

    Raises
    ------
    TypeError
        If it is no integer; a bool is none.
    ValueError
        If it is too small.
    """
    if isinstance(value, bool) or not isinstance(value, int | np.integer):
        raise TypeError(f"{name} must be an int, got {value!r}")
    if value < minimum:
        raise ValueError(f"{name} must be at least {minimum}, got {value}")
    return int(value)


def number(name: str, value: Any) -> float:
    """Return a number as a float, or raise a TypeError; a bool is none. One beyond all floats is a ValueError."""
    if isinstance(value, bool) or not isinstance(value, int | float | np.integer | np.floating):
        raise TypeError(f"{name} must be a number, got {value!r}")
    try:
        return float(value)
    except OverflowError:
        raise ValueError(f"{name} must be a number that a float can hold, got one beyond all of them") from None


def has(name: str, value: Any, attribute: str, what: str) -> None:
    """Raise a TypeError unless a value has an attribute, by which one is known that is `what`."""
    if not hasattr(value, attribute):
        raise TypeError(f"{name} must be {what}, got {value!r:.80}")


def unmasked(name: str, array: Any) -> None:
    """Raise a TypeError if an array is a NumPy masked array, or a list holds one."""
    if isinstance(array, np.ma.MaskedArray):
        raise TypeError(f"{name} is a masked array, whose mask would be ignored: fill it by .filled(value)")
    if isinstance(array, list | tuple) and any(isinstance(item, np.ma.MaskedArray) for item in array):
        raise TypeError(f"{name} holds a masked array, whose mask would be ignored: fill it by .filled(value)")


def pair(name: str, value: Any, minimum: int) -> Pair:
    """Return an int, or a pair of ints, as a pair (vertical, horizontal), or raise as `integer` does."""
    if isinstance(value, tuple | list):
        if len(value) != 2:
            raise ValueError(f"{name} must be an int or a pair of ints, got {value!r}")
        return integer(name, value[0], minimum), integer(name, value[1], minimum)
    if isinstance(value, bool) or not isinstance(value, int | np.integer):
        raise TypeError(f"{name} must be an int or a pair of ints, got {value!r}")
    value = integer(name, value, minimum)
    return value, value
