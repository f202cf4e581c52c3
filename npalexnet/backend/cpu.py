"""The CPU: NumPy, worker threads with a single-threaded BLAS, and reused scratch memory.

All parallelism is here, on the threads of `threads.py`. Work is cut into pieces whose number, bounds and order depend
on the shapes alone, each piece is computed by one thread with a single-threaded BLAS, and results are combined in the
order of the pieces. So one thread or many give the same bits.
"""

from __future__ import annotations

import os
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import wait
from contextvars import copy_context
from math import prod

import numpy as np

from npalexnet.backend.arrays import HALF
from npalexnet.backend.buffers import BufferPool
from npalexnet.backend.device import Array, Device, Item, Result, Tiling
from npalexnet.backend.threads import get_num_threads, single_threaded_blas, workers

SHARD_IMAGES = 4  # at most this many images go through the layers together, so that what they need stays in cache
MIN_SHARDS = 4  # smaller batches are cut into this many shards (or single images), so that every core gets some
TILE_ROWS = 768  # at most this many rows are made at a time only to be multiplied: they should stay in cache
MATMUL_TILE = 512  # at most this many columns or rows of a large product are computed by one thread at a time
MIN_TILES = 4  # at least this many tiles are made of one image, or one product, that is all there is to do
SKINNY = 128  # rows: up to here OpenBLAS is faster at the transposed product, if it can read a matrix along its memory
POOLED_BYTES = 1 << 20  # memory from this size on is pooled; what is smaller, the C library keeps at hand itself
SHORT = 8  # numbers: runs up to this length are slow to copy one by one
BLOCK_ELEMENTS = 1 << 16  # elements of an in-place update that are worked on at a time: 256 KiB in float32
BLOCKS_AT_A_TIME = 32  # that a thread goes through before it takes the next ones


class CpuDevice(Device):
    """The processor and its main memory."""

    name = "cpu"
    xp = np

    def owns(self, array: object) -> bool:
        """Whether `array` is a NumPy array or a NumPy scalar."""
        return isinstance(array, np.ndarray | np.generic)

    def from_host(self, array: np.ndarray) -> np.ndarray:
        """Return `array` itself."""
        return array

    def to_host(self, array: np.ndarray) -> np.ndarray:
        """Return `array` itself."""
        return array

    def shards(self, batch_size: int) -> list[slice]:
        """Cut a batch into shards of at most `SHARD_IMAGES`; the number of threads has no say in it."""
        size = min(SHARD_IMAGES, max(1, batch_size // MIN_SHARDS))
        return [slice(i, min(i + size, batch_size)) for i in range(0, max(batch_size, 1), size)]

    def map(self, function: Callable[[Item], Result], items: Iterable[Item]) -> Iterator[Result]:
        """Compute on the worker threads; results come in the order of `items`, as soon as they are there."""
        work = list(items)
        with single_threaded_blas():
            if len(work) <= 1:  # what is inside may use all threads
                yield from map(function, work)
                return
            if get_num_threads() == 1 or _thread.in_item:
                yield from (_compute_item(function, item) for item in work)
                return
            pool = workers()
            # Each in a copy of the caller's context: np.errstate is part of it.
            futures = deque(pool.submit(copy_context().run, _compute_item, function, item) for item in work)
            try:
                while futures:
                    futures[0].result()
                    yield futures.popleft().result()  # dropped here, so that its arrays don't live until the last one
            finally:  # an error or Ctrl-C: nothing that was started may outlive this call
                for future in futures:
                    future.cancel()
                wait(futures)

    def scratch(self, name: str, shape: tuple[int, ...], dtype: np.dtype) -> np.ndarray:
        """Return a piece of this thread's memory of that name; it grows to the largest that was asked for."""
        size = prod(shape) * dtype.itemsize
        buffer = _thread.buffers.get(name)
        if buffer is None or buffer.nbytes < size:
            buffer = _thread.buffers[name] = np.empty(size, np.uint8)
        return buffer[:size].view(dtype).reshape(shape)

    def pooled_buffer(self, shape: tuple[int, ...], dtype: np.dtype) -> np.ndarray:
        """Return an array in the memory of an earlier one that is gone, if there is one of that size."""
        if prod(shape) * dtype.itemsize < POOLED_BYTES:
            return np.empty(shape, dtype)
        return _buffer_pool.empty(shape, dtype)

    def contiguous(self, array: np.ndarray) -> np.ndarray:
        """Return `array` or a C-ordered copy; a short last axis, such as the three colours, is copied slice by slice.

        NumPy would copy one run of the last axis after the other.
        """
        if array.flags.c_contiguous or not 1 < array.shape[-1] <= SHORT:
            return np.ascontiguousarray(array)
        copy = np.empty(array.shape, array.dtype)
        for i in range(array.shape[-1]):
            copy[..., i] = array[..., i]
        return copy

    def masked(self, array: np.ndarray, mask: np.ndarray, out: np.ndarray | None = None) -> np.ndarray:
        """Copy with 0 wherever `mask` is False.

        Its bits are multiplied by 1 or 0 as integers: exact for all numbers, and without a branch for each, which
        np.where has, several times faster where the mask is irregular.
        """
        integer = np.dtype(f"i{array.itemsize}")
        bits_out = None if out is None else out.view(integer)
        return np.multiply(array.view(integer), mask, out=bits_out).view(array.dtype)

    def maybe_any(self, mask: np.ndarray) -> bool:
        """Whether an element is True."""
        return bool(mask.any())

    def matmul(self, a: Array, b: Array, out: Array | None = None) -> Array:
        """Compute ``a @ b``; tiles of the result's rows or columns are shared out over the threads.

        Within an item of `map`, when there is other work for the other threads, it is one product. NumPy has no fast
        product for numbers of 16 bits: they are made float32 first, and the result is rounded once, as on a GPU.
        """
        if a.dtype.name in HALF:
            product = self.matmul(a.astype(np.float32), b.astype(np.float32))
            if out is None:
                return product.astype(a.dtype)
            out[...] = product
            return out
        if _thread.in_item:
            return np.matmul(a, b, out=out)
        rows, columns = a.shape[0], b.shape[1]
        result = np.empty((rows, columns), a.dtype) if out is None else out
        by_rows = rows > columns or rows >= MIN_TILES * MATMUL_TILE  # in memory, a tile of rows is one piece
        length = rows if by_rows else columns
        size = min(MATMUL_TILE, max(1, -(-length // MIN_TILES)))

        def tile(start: int) -> None:
            part = slice(start, start + size)
            if by_rows:
                np.matmul(a[part], b, out=result[part])
            elif rows <= SKINNY and b.flags.f_contiguous:
                result[:, part] = np.matmul(b.T[part], a.T).T
            else:
                np.matmul(a, b[:, part], out=result[:, part])

        for _ in self.map(tile, range(0, length, size)):
            pass
        return result

    def tiling(self, row_length: int, dtype: np.dtype) -> Tiling:
        """`TILE_ROWS`, however long: fewer would make the matrix product less efficient.

        Within an item of `map`, when there is other work for the other threads, one tile is enough.
        """
        return Tiling(TILE_ROWS, 1 if _thread.in_item else MIN_TILES, row_length)

    def for_each_block(self, function: Callable[..., None], *arrays: Array | None) -> None:
        """Go through the arrays in blocks of whole rows that fit the cache, many at a time shared out over the threads.

        Arrays without gaps whose axes lie in the same order in memory are gone through as vectors.
        """
        parts = _as_vectors(arrays)
        shape = next(part for part in parts if part is not None).shape
        rows = max(1, BLOCK_ELEMENTS // max(1, prod(shape[1:])))

        def blocks(first: int) -> None:
            for start in range(first, min(first + rows * BLOCKS_AT_A_TIME, shape[0]), rows):
                function(*(None if part is None else part[start : start + rows] for part in parts))

        for _ in self.map(blocks, range(0, shape[0], rows * BLOCKS_AT_A_TIME)):
            pass


def _as_vectors(arrays: Sequence[np.ndarray | None]) -> Sequence[np.ndarray | None]:
    """Views of the arrays along their memory, if they all lie in it alike and without gaps; else the arrays."""
    first = next(array for array in arrays if array is not None)
    order = sorted(range(first.ndim), key=lambda axis: -first.strides[axis])
    views = [array if array is None else array.transpose(order) for array in arrays]
    if all(view is None or view.flags.c_contiguous for view in views):
        return [view if view is None else view.reshape(-1) for view in views]
    return arrays


class _ThreadState(threading.local):
    """What each thread has for itself."""

    def __init__(self) -> None:
        self.in_item = False  # whether the thread is computing one of several items of a `map`
        self.buffers: dict[str, np.ndarray] = {}


_thread = _ThreadState()
_buffer_pool = BufferPool()


def _compute_item(function: Callable[[Item], Result], item: Item) -> Result:
    before, _thread.in_item = _thread.in_item, True
    try:
        return function(item)
    finally:
        _thread.in_item = before


def _after_fork() -> None:
    """In a forked child: its only thread is not computing an item, and the pool's lock may be held for ever."""
    global _buffer_pool
    _buffer_pool, _thread.in_item = BufferPool(), False


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
