"""Reading the pickle files of data sets. Unpickling runs whatever a file says; this reads plain data and arrays alone.

Of the pickle format only those instructions are accepted that make numbers, texts, bytes, lists, tuples, dicts, and
NumPy arrays of bytes; every other file is refused, before any of it is carried out. Nothing of it is called by its
name: what a file calls NumPy's constructors are two classes of this module, which check what they are given.
"""

from __future__ import annotations

import io
import pickle
import pickletools
from math import prod
from typing import Any

import numpy as np

_INSTRUCTIONS = {
    "PROTO", "FRAME", "STOP", "MARK", "NONE", "NEWTRUE", "NEWFALSE", "INT", "BININT", "BININT1", "BININT2", "LONG",
    "LONG1", "STRING", "BINSTRING", "SHORT_BINSTRING", "UNICODE", "BINUNICODE", "SHORT_BINUNICODE", "BINBYTES",
    "SHORT_BINBYTES", "EMPTY_LIST", "APPEND", "APPENDS", "LIST", "EMPTY_TUPLE", "TUPLE", "TUPLE1", "TUPLE2", "TUPLE3",
    "EMPTY_DICT", "DICT", "SETITEM", "SETITEMS", "GET", "BINGET", "LONG_BINGET", "PUT", "BINPUT", "LONG_BINPUT",
    "MEMOIZE", "GLOBAL", "STACK_GLOBAL", "REDUCE", "BUILD",
}  # fmt: skip


def read_pickle(content: bytes, path: str) -> dict[str, Any]:
    """Return the dict in a pickle file: its keys are texts, arrays are uint8.

    Parameters
    ----------
    content : bytes
        The file's.
    path : str
        Its name, for the message of an error.

    Raises
    ------
    ValueError
        If the file is damaged, is no dict, or holds anything but plain data and arrays of bytes.
    """
    try:
        names = {operation.name for operation, _, _ in pickletools.genops(content)}
        if strange := sorted(names - _INSTRUCTIONS):
            raise ValueError(f"it has the instruction {strange[0]}")
        found = _Reader(io.BytesIO(content), encoding="bytes").load()
        if not isinstance(found, dict):
            raise ValueError(f"it holds a {type(found).__name__}, not a dict")
        return {_text(key): value.array() if isinstance(value, _Array) else value for key, value in found.items()}
    except MemoryError:
        raise
    except Exception as error:  # on a damaged file the reader can stumble over anything
        raise ValueError(
            f"{path} is not a pickle file of plain data and arrays of bytes, or is damaged: {error}"
        ) from None


def _text(value: Any) -> str:
    if isinstance(value, bytes):  # a text of Python 2
        return value.decode("utf-8", "replace")
    if not isinstance(value, str):
        raise ValueError(f"it has the key {value!r}, which is no text")
    return value


class _Type:
    """Stands for numpy.dtype."""

    def __init__(self, name: Any, *_: Any) -> None:
        self.name = name.decode("ascii") if isinstance(name, bytes) else name

    def __setstate__(self, state: Any) -> None:
        """Accept the byte order and the like, which bytes don't have."""


class _Array:
    """Stands for numpy.ndarray and for what makes one, which is told shape and content only later."""

    def __init__(self, *_: Any) -> None:
        self.state: Any = None

    def __setstate__(self, state: Any) -> None:
        self.state = state

    def array(self) -> np.ndarray:
        """Return the array."""
        _, shape, kind, by_columns, content = self.state
        if not isinstance(kind, _Type) or kind.name not in ("u1", "uint8") or not isinstance(content, bytes):
            raise ValueError("it holds an array that is not of bytes")
        if not all(type(size) is int and size >= 0 for size in shape) or prod(shape) != len(content):
            raise ValueError(f"it holds an array of {len(content)} bytes with the shape {shape!r}"[:200])
        return np.frombuffer(content, np.uint8).reshape(shape, order="F" if by_columns else "C")


class _Latin1:
    """Stands for _codecs.encode, by which Python 3 writes bytes in files for Python 2."""

    def __new__(cls, text: str, encoding: str) -> Any:
        if encoding != "latin1":
            raise ValueError(f"it has bytes in the encoding {encoding!r}"[:200])
        return text.encode("latin1")

    def __setstate__(self, state: Any) -> None:
        """Never called: it makes nothing but bytes."""


class _Reader(pickle._Unpickler):  # the one in Python: that in C allocates what the file's numbers claim
    def find_class(self, module: str, name: str) -> Any:
        module = module.replace("numpy._core", "numpy.core")
        known = {
            ("numpy.core.multiarray", "_reconstruct"): _Array,
            ("numpy", "ndarray"): _Array,
            ("numpy", "dtype"): _Type,
            ("_codecs", "encode"): _Latin1,
        }
        if (module, name) not in known:
            raise ValueError(f"it asks for {module}.{name}, which is not loaded"[:200])
        return known[module, name]
