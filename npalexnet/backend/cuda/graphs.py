"""CUDA graphs: a function's kernels, recorded once and launched together from then on.

A launch costs the processor some microseconds, and a small batch has more launches than work. What is recorded are
addresses: each replay reads and writes the memory that the recorded run read and wrote. That memory must stay the
graph's own, but for what the function is meant to find changed, such as a layer's parameters.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any

from npalexnet.backend.device import Array


class CapturedFunction:
    """A function that was captured as a CUDA graph on the current GPU.

    Called with arrays like the samples, it copies them to where the graph reads, launches the graph on the current
    stream and returns a copy of the result. Calls from several threads take turns, and those on several streams wait
    for each other on the GPU.

    Parameters
    ----------
    xp : module
        CuPy.
    function : callable
        Takes arrays and returns one. It is called twice.
    samples : sequence of array
        What it is called with.

    Raises
    ------
    Exception
        Whatever `function` or CUDA raises if it can't be captured; the capture has been ended then.
    """

    def __init__(self, xp: Any, function: Callable[..., Array], samples: Sequence[Array]) -> None:
        self._lock = threading.Lock()
        self._current_stream = xp.cuda.get_current_stream
        self._done = xp.cuda.Event(disable_timing=True)  # the last replay
        # All memory comes from a pool that nobody else asks, and that lives as long as the graph.
        self._pool = xp.cuda.MemoryPool()
        # The default stream can't be captured, and one that is not "non-blocking" would wait for it meanwhile.
        stream = xp.cuda.Stream(non_blocking=True)
        stream.wait_event(self._current_stream().record())  # whoever made the samples and parameters may still be at it
        with stream, xp.cuda.using_allocator(self._pool.malloc):
            self._inputs = [_copy(xp, sample) for sample in samples]
            function(*self._inputs)  # compiles kernels, tries cuBLAS, and fills the pool: not possible during capture
            stream.synchronize()
            stream.begin_capture()
            try:
                self._output = function(*self._inputs)
            except BaseException:
                with suppress(Exception):  # it may have been broken off by CUDA already
                    stream.end_capture()
                raise
            self._graph = stream.end_capture()

    def __call__(self, *arrays: Array) -> Array:
        """Return a new array with the result for `arrays`, each of its sample's shape and dtype."""
        with self._lock:
            stream = self._current_stream()
            stream.wait_event(self._done)
            for static, array in zip(self._inputs, arrays, strict=True):
                static[...] = array
            self._graph.launch(stream)
            result = self._output.copy(order="K")
            stream.record(self._done)
            return result


def _copy(xp: Any, array: Array) -> Array:
    """Copy from the allocator of the moment; the axes keep their order in memory."""
    copy = xp.empty_like(array)
    copy[...] = array
    return copy
