"""Arrays as text in a page: base64 of their float32 numbers, which the page's ``data.js`` reads."""

from __future__ import annotations

import base64
from typing import Any

import numpy as np


def encoded(array: np.ndarray) -> Any:
    """Return an array of float32 as text, ready for JSON; none of its bits is lost.

    It is base64 of the numbers, little-endian, row by row. Where there are at most 256 different ones, as in each
    colour of most pictures, it is ``{"levels": the different numbers, "places": base64 of a byte for each number}``.
    """
    numbers = np.ascontiguousarray(array, "<f4")
    levels, places = np.unique(numbers, return_inverse=True)
    if len(levels) <= 256 and numbers.size > 1024:
        return {"levels": base64_of(levels), "places": base64_of(places.astype(np.uint8))}
    return base64_of(numbers)


def base64_of(array: np.ndarray) -> str:
    """Return an array's bytes as base64."""
    return base64.b64encode(np.ascontiguousarray(array).tobytes()).decode("ascii")
