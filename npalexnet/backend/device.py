"""The interface of a device. The defaults suit one that computes a whole batch at once."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, nullcontext
from typing import Any, NamedTuple, TypeVar

import numpy as np

PATCHES_BYTES = 1 << 30  # the patches of a convolution take no more at a time

Array = Any  # numpy.ndarray, cupy.ndarray: whatever the device's array module makes
Item = TypeVar("Item")
Result = TypeVar("Result")
Batch = tuple[np.ndarray, ...]


def checked_batch(batch: Any) -> Batch:
    """Return `batch` if it is a tuple of NumPy arrays, else raise a TypeError."""
    if not isinstance(batch, tuple):
        raise TypeError(f"prefetch expects batches that are tuples of NumPy arrays, got {type(batch).__name__}")
    for array in batch:
        if not isinstance(array, np.ndarray):
            raise TypeError(f"prefetch expects batches of NumPy arrays, got {type(array).__name__} in one")
    return batch


def check_product(a: Array, b: Array, out: Array | None) -> None:
    """Raise a ValueError unless the product of `a` and `b` exists, and fits `out`."""
    if a.ndim != 2 or b.ndim != 2 or a.shape[1] != b.shape[0]:
        raise ValueError(f"a and b must be of shapes (M, K) and (K, N), got {a.shape} and {b.shape}")
    if out is not None and out.shape != (a.shape[0], b.shape[1]):
        raise ValueError(f"out must be of shape {(a.shape[0], b.shape[1])}, got {out.shape}")


class Tiling(NamedTuple):
    """How to divide ``patches @ w``, so that the patches, which are made only for that, stay small.

    Attributes
    ----------
    tile_rows : int
        The most rows of patches in a tile.
    min_tiles : int
        The fewest tiles that keep the whole device busy.
    aligned_row_length : int
        Length of a row: as asked for, or rounded up for alignment, to be filled up with zeros.
    """

    tile_rows: int
    min_tiles: int
    aligned_row_length: int


class Device:
    """A place where arrays are stored and computed on.

    Attributes
    ----------
    name : str
        ``"cpu"``, ``"cuda:0"``, ...
    xp : module
        The array module: NumPy, or one that follows NumPy's names.
    kernels : object or None
        Has a method for each `primitive` that has a kernel on this device.
    few_multiplications_pay : bool
        Whether fewer multiplications at the price of more memory traffic were measured to be faster.
    active : callable
        ``with device.active():`` makes this device the current one, on which new arrays are made.
    """

    name: str
    xp: Any
    kernels: Any = None
    few_multiplications_pay: bool = False
    active: Callable[[], AbstractContextManager[Any]] = nullcontext

    def owns(self, array: object) -> bool:
        """Whether `array` lives on this device."""
        raise NotImplementedError

    def from_host(self, array: np.ndarray) -> Array:
        """Return `array`, a NumPy array, as an array of this device."""
        raise NotImplementedError

    def to_host(self, array: Array) -> np.ndarray:
        """Return `array`, an array of this device, as a NumPy array."""
        raise NotImplementedError

    def prefetch(self, batches: Iterable[Batch]) -> Iterator[tuple[Array, ...]]:
        """Yield each batch as arrays of this device, in the order of `batches`.

        A device that copies them may be at work on the next batch already; it takes one batch more from `batches` then
        than was asked for. The axes keep their order in memory.

        Parameters
        ----------
        batches : iterable of tuples of NumPy arrays
            Of any shapes and dtypes, which may differ from batch to batch.

        Raises
        ------
        TypeError
            If a batch is no tuple of NumPy arrays. This, and what `batches` itself raises, comes when that batch is
            asked for, after all those before it.
        """
        return map(self._moved, batches)

    def _moved(self, batch: Batch) -> tuple[Array, ...]:
        return tuple(map(self.from_host, checked_batch(batch)))

    def read(self, *scalars: Array, dtype: Any) -> list[Any]:
        """Copy scalars of this device to Python numbers, by way of `dtype`; waits once for all of them."""
        with self.active():
            together = self.xp.empty(len(scalars), np.dtype(dtype))
            for i, scalar in enumerate(scalars):
                together[i] = scalar
            return self.to_host(together).tolist()

    def synchronize(self) -> None:
        """Wait for pending work of this thread."""

    def shards(self, batch_size: int) -> list[slice]:
        """Return slices of a batch; each is computed on its own."""
        return [slice(0, batch_size)]

    def map(self, function: Callable[[Item], Result], items: Iterable[Item]) -> Iterator[Result]:
        """Yield ``function(item)`` for each item, in the order of `items`."""
        return map(function, items)

    def scratch(self, name: str, shape: tuple[int, ...], dtype: np.dtype) -> Array:
        """Return an uninitialised array, valid until the same thread asks for the same name again."""
        return self.xp.empty(shape, dtype)

    def pooled_buffer(self, shape: tuple[int, ...], dtype: np.dtype) -> Array:
        """Return an uninitialised array for a large result that is needed again and again, such as a gradient."""
        return self.xp.empty(shape, dtype)

    def contiguous(self, array: Array) -> Array:
        """Return `array` itself if it is C-contiguous, else such a copy."""
        return self.xp.ascontiguousarray(array)

    def masked(self, array: Array, mask: Array, out: Array | None = None) -> Array:
        """Return a copy of `array`, in its memory layout or in `out`, with 0 wherever `mask` is False."""
        copy = self.xp.empty_like(array) if out is None else out
        copy[...] = self.xp.where(mask, array, 0)  # not a product: 0 times infinity would be NaN
        return copy

    def maybe_any(self, mask: Array) -> bool:
        """Whether an element may be True: a GPU, which would have to wait for the answer, says yes."""
        return True

    def matmul(self, a: Array, b: Array, out: Array | None = None) -> Array:
        """Product of two large matrices, on all threads.

        Parameters
        ----------
        a, b : array
            (M, K) and (K, N), of one dtype.
        out : array, optional
            (M, N), which is filled. If its dtype is not the factors', the product is computed in the wider of the two.

        Returns
        -------
        array
            (M, N): `out`, or a new array of the factors' dtype.

        Raises
        ------
        ValueError
            If the shapes don't fit.
        """
        check_product(a, b, out)
        if out is None or out.dtype == a.dtype:
            return self.xp.matmul(a, b, out=out)
        wide = np.result_type(a.dtype, out.dtype)  # as what half-precision factors are added up in
        out[...] = self.xp.matmul(a.astype(wide, copy=False), b.astype(wide, copy=False))
        return out

    def products(self, a: Array, b: Array, out: Array | None = None) -> Array:
        """``xp.matmul(a, b)`` for stacks of matrices, on this thread.

        Parameters
        ----------
        a, b : array
            (..., M, K) and (..., K, N), of one dtype; matrices that the other has more of are repeated.
        out : array, optional
            (..., M, N), which is filled.
        """
        return self.xp.matmul(a, b, out=out)

    def graphed(self, function: Callable[..., Array], *arrays: Array) -> Callable[..., Array]:
        """Return what computes ``function(*arrays)`` for other arrays like `arrays`, with less work if the device can.

        Parameters
        ----------
        function : callable
            Computes on this device alone: copies nothing from or to the host, waits for nothing, and always does the
            same. What it reads besides its arguments stays where it lies.
        *arrays : array
            Arguments to try it with.

        Returns
        -------
        callable
            Takes arrays of the same shapes, dtypes and device, and returns a new array each time.
        """
        return function

    def is_captured(self, function: Callable[..., Array]) -> bool:
        """Whether what `graphed` returned is launched as a whole."""
        return False

    def tiling(self, row_length: int, dtype: np.dtype) -> Tiling:
        """Return how to divide a product of patches with rows of `row_length` values of `dtype`."""
        return Tiling(max(1, PATCHES_BYTES // max(1, row_length * dtype.itemsize)), 1, row_length)

    def for_each_block(self, function: Callable[..., None], *arrays: Array | None) -> None:
        """Call ``function(*blocks)`` on matching blocks of equally shaped arrays, to update them in place.

        An array that is None stays None in every call.
        """
        function(*arrays)
