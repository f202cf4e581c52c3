"""Memory that is used again: a large array that is gone leaves its memory to the next one of its size.

Fresh memory is slow: the system maps and clears each page when it is first written to. A training step makes the same
large gradients every time.
"""

from __future__ import annotations

import threading
import weakref
from collections import defaultdict
from math import prod

import numpy as np


class _Loan:
    """Owner of a piece of memory in NumPy's eyes: an array made from it, and every view of that, keeps it alive."""

    def __init__(self, memory: np.ndarray) -> None:
        self.__array_interface__ = memory.__array_interface__


class BufferPool:
    """Makes arrays, and takes their memory back when neither they nor views of them are left.

    It keeps what is free for the next array of exactly that size. When there is none of a size, all that is free is
    given back to the system: what is kept is what the work of the moment uses again and again.
    """

    def __init__(self) -> None:
        self._free: dict[int, list[np.ndarray]] = defaultdict(list)
        self._lock = threading.Lock()

    def empty(self, shape: tuple[int, ...], dtype: np.dtype) -> np.ndarray:
        """Return an uninitialised array."""
        size = prod(shape) * dtype.itemsize
        with self._lock:
            free = self._free[size]
            if not free:
                for other in self._free.values():  # not the lists themselves: arrays in use will come back to them
                    other.clear()
            memory = free.pop() if free else None
        if memory is None:
            memory = np.empty(size, np.uint8)
        loan = _Loan(memory)
        weakref.finalize(loan, free.append, memory).atexit = False
        return np.asarray(loan).view(dtype).reshape(shape)
