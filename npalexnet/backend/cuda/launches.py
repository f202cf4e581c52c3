"""Launching kernels: what all of `kernels.cu` need, seen from Python."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np

from npalexnet.backend.arrays import FULL, HALF
from npalexnet.backend.cuda.layouts import LARGEST_INT, contiguous
from npalexnet.backend.device import Array

BLOCK = 256  # threads
UNIT = 16  # bytes that a thread can read or write at once
NO_ARRAY = np.uintp(0)  # a null pointer


class Launcher(Protocol):
    """Runs kernels."""

    def __call__(
        self, name: str, dtype: np.dtype, grid: tuple[int, ...], block: tuple[int, ...], arguments: tuple[Any, ...]
    ) -> None:
        """Run the kernel of that name, compiled for numbers of `dtype`.

        The arguments are arrays, for pointers, and NumPy scalars of the parameters' own types; a struct is a NumPy
        array with one element.
        """

    def address(self, array: Array) -> int:
        """Where the first number of an array lies."""


class Launches:
    """What the kernels for one device have in common.

    Parameters
    ----------
    xp : module
        The array module that makes new arrays.
    launcher : Launcher
        Runs the kernels.
    block : int
        Threads in a block: a power of two, at most 256.
    """

    def __init__(self, xp: Any, launcher: Launcher, block: int = BLOCK) -> None:
        if not 1 <= block <= BLOCK or block & (block - 1):
            raise ValueError(f"block must be a power of two from 1 to {BLOCK}, got {block}")
        self._xp, self._launcher, self._block = xp, launcher, block

    def _launch(
        self, name: str, dtype: np.dtype, geometry: tuple[tuple[int], tuple[int, ...]], *arguments: Any
    ) -> None:
        grid, block = geometry
        if grid[0]:
            given = tuple(NO_ARRAY if argument is None else argument for argument in arguments)
            self._launcher(name, dtype, grid, block, given)

    def _launch_rows(
        self,
        name: str,
        rows: int,
        width: int,
        counts: Sequence[int],
        *arrays: Array | None,
        numbers: Sequence[int],
    ) -> None:
        """Launch with a row of threads for each of `rows`, which go through `width` numbers of the first array's dtype.

        Where that array's channels, and all else that `counts` names, are whole units of 16 bytes, a thread takes one.
        """
        given = [array for array in arrays if array is not None]
        dtype, by_units = given[0].dtype, self._whole_units(counts, *given)
        if by_units:
            name, width = f"{name}_by_units", width * dtype.itemsize // UNIT
        self._launch(name, dtype, self._row_geometry(rows, width), *arrays, *map(np.int32, numbers))

    def _whole_units(self, counts: Sequence[int], *arrays: Array) -> bool:
        """Whether all of these counts of numbers are whole units, and the arrays begin with one."""
        per_unit = UNIT // arrays[0].dtype.itemsize
        return not any(count % per_unit for count in counts) and not any(
            self._launcher.address(array) % UNIT for array in arrays
        )

    def _geometry(self, count: int) -> tuple[tuple[int], tuple[int, ...]]:
        """Grid and block with a thread for each of `count` elements."""
        return (-(-count // self._block),), (self._block,)

    def _row_geometry(self, rows: int, width: int) -> tuple[tuple[int], tuple[int, ...]]:
        """Grid and block with a row of threads for each of `rows`; it goes through `width` numbers in equal steps."""
        steps = max(1, -(-width // self._block))
        x = max(1, -(-width // steps))
        y = max(1, self._block // x)
        return (-(-rows // y) if width else 0,), (x, y)

    def _does(self, array: Array) -> bool:
        return array.dtype.name in FULL + HALF and contiguous(array)

    def _does_elementwise(self, *arrays: Array) -> bool:
        """Whether arrays of one shape are laid out alike, and without gaps."""
        order = sorted(range(arrays[0].ndim), key=lambda axis: -arrays[0].strides[axis])
        return (
            all(array.dtype.name in FULL + HALF and contiguous(array, order) for array in arrays)
            and -(-arrays[0].size // self._block) <= LARGEST_INT
        )


def check_ndim(array: Array, name: str, ndim: int) -> None:
    """Refuse an array that has not so many axes."""
    if array.ndim != ndim:
        raise ValueError(f"{name} must have {ndim} axes, got shape {array.shape}")


def check_same(what: str, given: Any, expected: Any) -> None:
    """Refuse what is not as expected."""
    if given != expected:
        raise ValueError(f"{what} must be {expected}, got {given}")
