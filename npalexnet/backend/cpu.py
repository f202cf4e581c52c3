"""The CPU: NumPy, worker threads with a single-threaded BLAS, and reused scratch memory.

All parallelism is here, on the threads of `threads.py`. Work is divided into items whose number, bounds and order
depend only on the shapes; each item is computed by one thread with a single-threaded BLAS, and results are combined in
the order of the items. So one thread or many give the same bits. Parallelism does not nest: inside an item of `map`
everything is serial. A single item is computed by the calling thread, and what is inside may use all threads.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from math import prod

import numpy as np

from npalexnet.backend.arrays import HALF
from npalexnet.backend.buffers import BufferPool
from npalexnet.backend.device import Array, Device, Item, Result, Tiling
from npalexnet.backend.jobs import Job, compute_on
from npalexnet.backend.threads import get_num_threads, single_threaded_blas, workers

SHARD_IMAGES = 8  # most images of a shard, so that its arrays stay in cache
MIN_SHARDS = 4  # fewest shards of a batch, with exceptions, so that every core gets some
TILE_ROWS = 768  # most rows of patches in a tile, so that they stay in cache
MATMUL_TILE = 512  # most columns or rows of a product that a thread computes at a time
MIN_TILES = 4  # fewest tiles of one image, or of one product, if that is the only work
SKINNY = 128  # most rows for which OpenBLAS is faster at the transposed product, if b's columns are contiguous
NARROW = 8  # columns of a product that is small enough for OpenBLAS to take b as it lies, which saves half the time
SMALL_PRODUCT = 10**6  # most multiplications of such a product
POOLED_BYTES = 1 << 20  # smallest buffer that is pooled: smaller ones the C library keeps itself
SHORT = 8  # longest last axis that NumPy is slow to copy
BLOCK_ELEMENTS = 1 << 16  # elements in a block of an in-place update: 256 KiB in float32
BLOCKS_AT_A_TIME = 32  # blocks in an item of work


class CpuDevice(Device):
    """The processor and its main memory."""

    name = "cpu"
    xp = np
    few_multiplications_pay = True

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
        """Split a batch into nearly equal shards of at most `SHARD_IMAGES`, whatever the number of threads.

        There are at least `MIN_SHARDS`, or else single images, or two: shards of two images would be slow.
        """
        least = 2 if MIN_SHARDS < batch_size < 3 * MIN_SHARDS else MIN_SHARDS
        count = max(-(-batch_size // SHARD_IMAGES), min(least, batch_size), 1)
        return [slice(batch_size * i // count, batch_size * (i + 1) // count) for i in range(count)]

    def map(self, function: Callable[[Item], Result], items: Iterable[Item]) -> Iterator[Result]:
        """Compute on this thread and the workers; results come in the order of `items`, as soon as they are there."""
        work, blas = list(items), single_threaded_blas()
        job = Job(partial(_compute_item, function), work)
        try:
            try:
                blas.acquire()
                if len(work) <= 1:  # the inside may use all threads
                    yield from map(function, work)
                elif get_num_threads() == 1 or _thread.in_item:
                    yield from (_compute_item(function, item) for item in work)
                else:
                    yield from compute_on(workers(), get_num_threads() - 1, job)
            finally:  # an error or Ctrl-C: nothing that was started may outlive this call
                job.end()
                blas.release()
        finally:  # a Ctrl-C in the lines above
            job.end()
            blas.release()

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

        NumPy copies short last axes slowly.
        """
        if array.flags.c_contiguous or not 1 < array.shape[-1] <= SHORT:
            return np.ascontiguousarray(array)
        copy = np.empty(array.shape, array.dtype)
        for i in range(array.shape[-1]):
            copy[..., i] = array[..., i]
        return copy

    def masked(self, array: np.ndarray, mask: np.ndarray, out: np.ndarray | None = None) -> np.ndarray:
        """Copy with 0 wherever `mask` is False.

        The bits are multiplied by 1 or 0 as integers: exact for all values, and without np.where's branches several
        times faster for irregular masks.
        """
        integer = np.dtype(f"i{array.itemsize}")
        bits_out = None if out is None else out.view(integer)
        return np.multiply(array.view(integer), mask, out=bits_out).view(array.dtype)

    def maybe_any(self, mask: np.ndarray) -> bool:
        """Whether an element is True."""
        return bool(mask.any())

    def matmul(self, a: Array, b: Array, out: Array | None = None) -> Array:
        """Compute ``a @ b``; tiles of the result's rows or columns are distributed over the threads.

        Within an item of `map` it is a single product. NumPy has no fast product of 16-bit values: they are cast to
        float32 first, and the result is rounded once, as on a GPU.
        """
        if a.dtype.name in HALF:
            product = self.matmul(a.astype(np.float32), b.astype(np.float32))
            if out is None:
                return product.astype(a.dtype)
            out[...] = product
            return out
        if _thread.in_item:
            return self.products(a, b, out)
        rows, columns = a.shape[0], b.shape[1]
        result = np.empty((rows, columns), a.dtype) if out is None else out
        by_rows = rows > columns or rows >= MIN_TILES * MATMUL_TILE  # tiles of rows are contiguous
        narrow = not by_rows and rows * len(b) * NARROW <= SMALL_PRODUCT and b.flags.f_contiguous
        length = rows if by_rows else columns
        size = MATMUL_TILE if narrow else min(MATMUL_TILE, max(1, -(-length // MIN_TILES)))

        def tile(start: int) -> None:
            part = slice(start, start + size)
            if by_rows:
                self.products(a[part], b, result[part])
            elif narrow:
                self._narrow_products(a, b[:, part], result[:, part])
            elif rows <= SKINNY and b.flags.f_contiguous:
                result[:, part] = self.products(b.T[part], a.T).T
            else:
                self.products(a, b[:, part], result[:, part])

        for _ in self.map(tile, range(0, length, size)):
            pass
        return result

    def _narrow_products(self, a: np.ndarray, b: np.ndarray, out: np.ndarray) -> None:
        """``a @ b``, by `NARROW` of b's columns at a time, which are contiguous."""
        count = b.shape[1] // NARROW
        whole = count * NARROW
        pieces = b.T[:whole].reshape(count, NARROW, len(b)).swapaxes(1, 2)  # (count, K, NARROW), a view
        self.products(a, pieces, out[:, :whole].reshape(len(a), count, NARROW).swapaxes(0, 1))
        if whole < b.shape[1]:
            self.products(a, b[:, whole:], out[:, whole:])

    def products(self, a: np.ndarray, b: np.ndarray, out: np.ndarray | None = None) -> np.ndarray:
        """Multiply; an invalid value among the results is NaN, as anywhere, but raises no warning.

        OpenBLAS also computes with uninitialised lanes and drops them. If they happen to hold a signalling NaN, NumPy
        warns of a product whose every number is right (OpenBLAS's issue 1924, NumPy's issue 24067).
        """
        with np.errstate(invalid="ignore"):
            return np.matmul(a, b, out=out)

    def tiling(self, row_length: int, dtype: np.dtype) -> Tiling:
        """`TILE_ROWS`, of any length: fewer make the product less efficient. In an item of `map` one tile will do."""
        return Tiling(TILE_ROWS, 1 if _thread.in_item else MIN_TILES, row_length)

    def for_each_block(self, function: Callable[..., None], *arrays: Array | None) -> None:
        """Update the arrays in blocks of whole rows that fit the cache, many in an item of work for a thread.

        Arrays with the same gap-free memory layout are flattened first.
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
    """Flat views of the arrays, if they have the same gap-free memory layout; else the arrays."""
    first = next(array for array in arrays if array is not None)
    order = sorted(range(first.ndim), key=lambda axis: -first.strides[axis])
    views = [array if array is None else array.transpose(order) for array in arrays]
    if all(view is None or view.flags.c_contiguous for view in views):
        return [view if view is None else view.reshape(-1) for view in views]
    return arrays


class _ThreadState(threading.local):
    """State of a thread."""

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
