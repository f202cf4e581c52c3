"""The hot primitives as CUDA kernels: what `kernels.cu` computes, seen from Python.

Symbols: N images, C channels, H x W pixels, windows of kH x kW, oH x oW of them, M rows of O numbers, K classes.

A method returns None where the kernels don't do what is asked (an unusual memory layout, too many pixels): nothing has
been changed then, and the array module's own lines have to do it.
"""

from __future__ import annotations

from collections.abc import Callable
from math import ceil, prod
from typing import Any

import numpy as np

from npalexnet.backend.device import Array
from npalexnet.backend.layouts import (
    LARGEST_INT,
    MOST_COUNTED,
    Pair,
    Windows,
    contiguous,
    countable,
    kernel_arguments,
    pixel_distance,
)

Launch = Callable[[str, np.dtype, tuple[int, ...], tuple[int, ...], tuple[Any, ...]], None]

BLOCK = 256  # threads
MOST_ELEMENTS = 255  # of a pooling window: a winner is one byte
NO_ARRAY = np.uintp(0)  # a null pointer


class Kernels:
    """The kernels for one device.

    All arrays are float32 or float64 on that device and of the same dtype, if nothing else is said. A ValueError is
    raised for shapes or dtypes that don't fit each other.

    Parameters
    ----------
    xp : module
        The array module that makes new arrays.
    launch : callable
        ``launch(name, dtype, grid, block, arguments)`` runs the kernel of that name, compiled for numbers of `dtype`.
        The arguments are arrays, for pointers, and NumPy scalars of the parameters' own types.
    block : int
        Threads in a block: a power of two, at most 256.
    """

    def __init__(self, xp: Any, launch: Launch, block: int = BLOCK) -> None:
        if not 1 <= block <= BLOCK or block & (block - 1):
            raise ValueError(f"block must be a power of two from 1 to {BLOCK}, got {block}")
        self._xp, self._launch_kernel, self._block = xp, launch, block

    # --- convolution -----------------------------------------------------------------------------------------------

    def im2col(self, images: Array, windows: Windows, columns: Array) -> Array | None:
        """Lay the numbers of each window side by side; outside the image are zeros.

        Parameters
        ----------
        images : array
            (N, H, W, C), contiguous, or some channels of such an array.
        windows : Windows
            Which ones.
        columns : array
            (N*oH*oW, ldk) with ``ldk >= kH*kW*C``, contiguous: is filled; what is left of a row becomes 0.

        Returns
        -------
        array or None
            `columns`.
        """
        apart, runs = self._check_columns(images, windows, columns), len(columns) * windows.kernel_size[0]
        if apart is None or runs > MOST_COUNTED:
            return None
        numbers = (runs, apart, columns.shape[1], *kernel_arguments(images.shape, windows))
        width = windows.kernel_size[1] * images.shape[3]
        self._launch("im2col", columns.dtype, self._row_geometry(runs, width), images, columns, *map(np.int32, numbers))
        return columns

    def col2im(self, columns: Array, images: Array, windows: Windows, *, add: bool = True) -> Array | None:
        """Sum up, for each pixel, all that `im2col` makes of it: the adjoint of `im2col`.

        Parameters
        ----------
        columns : array
            (N*oH*oW, ldk), contiguous.
        images : array
            (N, H, W, C), contiguous, or some channels of such an array: is changed.
        windows : Windows
            Which ones.
        add : bool
            Whether the sums are added to what `images` holds; else they replace it.

        Returns
        -------
        array or None
            `images`.
        """
        apart = self._check_columns(images, windows, columns)
        if apart is None:
            return None
        pixels, channels = prod(images.shape[:3]), images.shape[3]
        numbers = (pixels, apart, columns.shape[1], add, *kernel_arguments(images.shape, windows))
        geometry = self._row_geometry(pixels, channels)
        self._launch("col2im", columns.dtype, geometry, columns, images, *map(np.int32, numbers))
        return images

    # --- max-pooling -----------------------------------------------------------------------------------------------

    def max_pool(self, x: Array, windows: Windows, *, winners: bool = True) -> tuple[Array, Array | None] | None:
        """Take the largest number of each window: (N, H, W, C) -> (N, oH, oW, C).

        Returns
        -------
        y : array
            (N, oH, oW, C); minus infinity where a window has no pixel.
        winners : array or None
            (N, oH, oW, C) of uint8: ``i*kW + j`` of the first largest element or of the last NaN, or ``kH*kW`` where a
            window has no pixel. None without `winners`.
        """
        _check(x, "x", 4)
        shape = (len(x), *windows.count, x.shape[3])
        if not (self._does(x) and prod(windows.kernel_size) <= MOST_ELEMENTS and countable(x.shape, windows)):
            return None
        y = self._xp.empty(shape, x.dtype)
        winner = self._xp.empty(shape, np.dtype("uint8")) if winners else None
        numbers = (prod(shape[:3]), *kernel_arguments(x.shape, windows))
        geometry = self._row_geometry(prod(shape[:3]), shape[3])
        self._launch("max_pool", x.dtype, geometry, x, y, winner, *map(np.int32, numbers))
        return y, winner

    def max_pool_gradient(self, grad_y: Array, winners: Array, windows: Windows, size: Pair) -> Array | None:
        """Give each window's gradient to its winner: two of (N, oH, oW, C) -> (N, H, W, C) for `size` (H, W)."""
        _check(grad_y, "grad_y", 4)
        _check_same("winners", winners.shape, grad_y.shape)
        _check_same("winners' dtype", winners.dtype, np.dtype("uint8"))
        _check_same("windows.count", windows.count, grad_y.shape[1:3])
        shape = (len(grad_y), *size, grad_y.shape[3])
        if not (self._does(grad_y) and contiguous(winners) and countable(shape, windows)):
            return None
        grad_x = self._xp.empty(shape, grad_y.dtype)
        numbers = (prod(shape[:3]), *kernel_arguments(shape, windows))
        geometry = self._row_geometry(prod(shape[:3]), shape[3])
        self._launch("max_pool_gradient", grad_y.dtype, geometry, grad_y, winners, grad_x, *map(np.int32, numbers))
        return grad_x

    # --- activations and dropout -----------------------------------------------------------------------------------

    def add_bias_relu(self, y: Array, bias: Array | None = None, *, relu: bool = True) -> Array | None:
        """Add `bias`, (O,), to the rows of `y`, (M, O), and set to 0 what is not above 0 then; in place. NaN stays."""
        _check(y, "y", 2)
        if bias is not None:
            _check_same("bias's shape and dtype", (bias.shape, bias.dtype), (y.shape[1:], y.dtype))
        if not (self._does(y) and (bias is None or contiguous(bias)) and max(y.shape) <= MOST_COUNTED):
            return None
        numbers = map(np.int32, (*y.shape, relu))
        self._launch("add_bias_relu", y.dtype, self._row_geometry(*y.shape), y, bias, *numbers)
        return y

    def relu_gradient(self, grad_y: Array, y: Array, out: Array | None = None) -> Array | None:
        """`grad_y` where `y` is above 0 or NaN, else 0: any shape, any order of the axes in memory, the same for all.

        It is written into `out`, which may be `grad_y` itself, or a new array.
        """
        _check_same("y's shape and dtype", (y.shape, y.dtype), (grad_y.shape, grad_y.dtype))
        if out is None and self._does_elementwise(grad_y, y):
            out = self._xp.empty_like(grad_y)
        if out is None or not self._does_elementwise(grad_y, y, out):
            return None
        self._launch("relu_gradient", y.dtype, self._geometry(y.size), grad_y, y, out, np.int64(y.size))
        return out

    def dropout(self, x: Array, p: float, seed: int, first_image: int = 0) -> Array | None:
        """Set each number to 0 with probability `p`, and divide the others by ``1 - p``; backward does the same again.

        Parameters
        ----------
        x : array
            (N, ...); the result is contiguous.
        p : float
            From 0 to 1.
        seed : int
            From 0 to 2^64 - 1. Number e of the batch stays if the e-th 32-bit word of NumPy's Philox generator with
            this key is at least ``p * 2^32``.
        first_image : int
            Where in the batch x begins.
        """
        if not contiguous(x):
            x = self._xp.ascontiguousarray(x)
        if not self._does(x):
            return None
        start = first_image * prod(x.shape[1:])
        y = self._xp.empty(x.shape, x.dtype)
        scale = 0.0 if p == 1 else 1 / (1 - p)
        blocks_of_words = -(-(start % 8 + x.size) // 8)
        numbers = (np.int64(x.size), np.uint64(seed), np.int64(start), np.int64(ceil(p * 2.0**32)), np.float64(scale))
        self._launch("dropout", x.dtype, self._geometry(blocks_of_words), x, y, *numbers)
        return y

    # --- loss and optimizer ----------------------------------------------------------------------------------------

    def cross_entropy(self, logits: Array, labels: Array, label_smoothing: float = 0.0) -> tuple[Array, Array] | None:
        """(N, K) and integers (N,) -> losses (N,) and log-probabilities (N, K). A label that is no class gives NaN."""
        _check(logits, "logits", 2)
        _check_same("labels", labels.shape, logits.shape[:1])
        if not (self._does(logits) and max(logits.shape) <= MOST_COUNTED):
            return None
        losses, log_probabilities = (
            self._xp.empty(labels.shape, logits.dtype),
            self._xp.empty(logits.shape, logits.dtype),
        )
        arrays = (logits, _int64(labels), log_probabilities, losses)
        numbers = (np.int32(logits.shape[1]), np.float64(label_smoothing))
        self._launch("cross_entropy", logits.dtype, ((len(logits),), (self._block,)), *arrays, *numbers)
        return losses, log_probabilities

    def cross_entropy_gradient(
        self, grad_losses: Array, log_probabilities: Array, labels: Array, label_smoothing: float = 0.0
    ) -> Array | None:
        """(N,), (N, K) and integers (N,) -> the gradient of the logits, (N, K)."""
        rows, classes = log_probabilities.shape
        _check_same("grad_losses", (grad_losses.shape, grad_losses.dtype), ((rows,), log_probabilities.dtype))
        _check_same("labels", labels.shape, (rows,))
        if not (self._does(log_probabilities) and contiguous(grad_losses) and max(rows, classes) <= MOST_COUNTED):
            return None
        grad_logits = self._xp.empty(log_probabilities.shape, log_probabilities.dtype)
        arrays = (grad_losses, log_probabilities, _int64(labels), grad_logits)
        numbers = (
            np.int32(rows),
            np.int32(classes),
            np.float64(label_smoothing),
            np.float64(label_smoothing / classes),
        )
        geometry = self._row_geometry(rows, classes)
        self._launch("cross_entropy_gradient", grad_logits.dtype, geometry, *arrays, *numbers)
        return grad_logits

    def sgd(
        self,
        data: Array,
        grad: Array,
        velocity: Array | None,
        *,
        lr: float,
        momentum: float = 0.0,
        weight_decay: float = 0.0,
        nesterov: bool = False,
    ) -> Array | None:
        """Change `data` and `velocity` in place by the rule of `npalexnet.SGD`; without momentum, `velocity` is None.

        Any shape, any order of the axes in memory, the same for all.
        """
        arrays = [array for array in (data, grad, velocity) if array is not None]
        for array in arrays:
            _check_same("data, grad and velocity", (array.shape, array.dtype), (data.shape, data.dtype))
        if not self._does_elementwise(*arrays):
            return None
        settings = (np.float64(lr), np.float64(momentum), np.float64(weight_decay), np.int32(nesterov))
        geometry = self._geometry(data.size)
        self._launch("sgd", data.dtype, geometry, data, grad, velocity, np.int64(data.size), *settings)
        return data

    # --- geometry of launches, and what is possible ----------------------------------------------------------------

    def _launch(
        self, name: str, dtype: np.dtype, geometry: tuple[tuple[int], tuple[int, ...]], *arguments: Any
    ) -> None:
        grid, block = geometry
        if grid[0]:
            given = tuple(NO_ARRAY if argument is None else argument for argument in arguments)
            self._launch_kernel(name, dtype, grid, block, given)

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
        return array.dtype in (np.float32, np.float64) and contiguous(array)

    def _does_elementwise(self, *arrays: Array) -> bool:
        """Whether arrays of one shape are laid out alike, and without gaps."""
        order = sorted(range(arrays[0].ndim), key=lambda axis: -arrays[0].strides[axis])
        return (
            all(array.dtype in (np.float32, np.float64) and contiguous(array, order) for array in arrays)
            and -(-arrays[0].size // self._block) <= LARGEST_INT
        )

    def _check_columns(self, images: Array, windows: Windows, columns: Array) -> int | None:
        """Return how many numbers apart the pixels of `images` lie, or None if the kernels can't do it."""
        _check(images, "images", 4)
        _check(columns, "columns", 2)
        N, _, _, C = images.shape
        length = prod(windows.kernel_size) * C
        _check_same("columns' dtype", columns.dtype, images.dtype)
        if len(columns) != N * prod(windows.count) or columns.shape[1] < length:
            raise ValueError(
                f"columns must be of shape ({N * prod(windows.count)}, at least {length}), got {columns.shape}"
            )
        apart = pixel_distance(images)
        fits = self._does(columns) and countable(images.shape, windows) and columns.shape[1] <= MOST_COUNTED
        return apart if fits else None


def _int64(labels: Array) -> Array:
    """Contiguous labels of 64 bits."""
    return labels if labels.dtype == np.int64 and contiguous(labels) else labels.astype(np.dtype("int64"))


def _check(array: Array, name: str, ndim: int) -> None:
    if array.ndim != ndim:
        raise ValueError(f"{name} must have {ndim} axes, got shape {array.shape}")


def _check_same(what: str, given: Any, expected: Any) -> None:
    if given != expected:
        raise ValueError(f"{what} must be {expected}, got {given}")
