"""Readers of the command line's options."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from math import inf
from typing import Any


def number(kind: type, minimum: float, *, above: bool = False, maximum: float | None = None) -> Callable[[str], Any]:
    """Return a reader of command-line numbers that refuses those out of range."""

    def read(text: str) -> Any:
        value = kind(text)
        too_small = value <= minimum if above else value < minimum
        if not -inf < value < inf or too_small or (maximum is not None and value > maximum):
            bounds = f"{'above' if above else 'at least'} {minimum}"
            bounds += f" and at most {maximum}" if maximum is not None else ""
            bounds += " and finite" if kind is float and maximum is None else ""
            raise argparse.ArgumentTypeError(f"must be {bounds}, got {text}")
        return value

    read.__name__ = kind.__name__  # argparse's "invalid int value"
    return read
