"""The CUDA kernels over elements and rows: activations, dropout, loss and optimizer.

Symbols: N images, M rows of O numbers, K classes.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import ceil, log, prod

import numpy as np

from npalexnet.backend.arrays import FULL, accumulation_dtype
from npalexnet.backend.cuda.launches import UNIT, Launches, check_ndim, check_same
from npalexnet.backend.cuda.layouts import LARGEST_INT, MOST_COUNTED, contiguous
from npalexnet.backend.device import Array

MOST_SUMMED = 128  # rows that a thread adds up
MOST_PARAMETERS = 32  # in one launch
PER_THREAD = 4  # numbers of parameters
PARAMETERS = np.dtype(  # the struct of that name
    [(name, np.uintp, MOST_PARAMETERS) for name in ("data", "grad", "velocity")]
    + [("size", np.int64, MOST_PARAMETERS), ("first_block", np.int32, MOST_PARAMETERS + 1)],
    align=True,
)


class ElementKernels(Launches):
    """The kernels over elements and rows: a part of `Kernels`, which says what all have in common."""

    # --- activations and dropout -----------------------------------------------------------------------------------

    def add_bias_relu(self, y: Array, bias: Array | None, *, relu: bool = False) -> Array | None:
        """Add `bias`, (O,), to each row of `y`, (..., O); then, with `relu`, set to 0 what is below 0. NaN stays."""
        if bias is not None:
            check_same("bias's shape and dtype", (bias.shape, bias.dtype), (y.shape[-1:], y.dtype))
        if bias is None and not relu:
            return y
        M, O = prod(y.shape[:-1]), y.shape[-1]
        if not (self._does(y) and (bias is None or contiguous(bias)) and max(M, O) <= MOST_COUNTED):
            return None
        self._launch_rows("add_bias_relu", M, O, (O,), y, bias, numbers=(M, O, relu))
        return y

    def sum_rows(self, rows: Array) -> Array | None:
        """(..., O) -> (O,): the sum of all rows, float32 for numbers of 16 bits; always added in the same order.

        First each thread adds up some neighbouring rows, then some of these sums, and so on.
        """
        M, O = prod(rows.shape[:-1]), rows.shape[-1]
        if not (self._does(rows) and M and max(M, O) <= MOST_COUNTED):
            return None
        passes = max(1, ceil(log(M, MOST_SUMMED)))
        length = next(n for n in range(1, M + 1) if n**passes >= M)  # passes of nearly equal length
        while True:
            parts = -(-M // length)
            sums = self._xp.empty((parts, O), accumulation_dtype(rows.dtype))
            self._launch_rows("sum_rows", parts, O, (O,), rows, sums, numbers=(M, O, length))
            if parts == 1:
                return sums[0]
            rows, M = sums, parts

    def relu_gradient(self, grad_y: Array, y: Array, out: Array | None = None) -> Array | None:
        """`grad_y` where `y` is above 0 or NaN, else 0: any shape, any order of the axes in memory, the same for all.

        It is written into `out`, which may be `grad_y` itself, or a new array.
        """
        check_same("y's shape and dtype", (y.shape, y.dtype), (grad_y.shape, grad_y.dtype))
        if out is None and self._does_elementwise(grad_y, y):
            out = self._xp.empty_like(grad_y)
        if out is None or not self._does_elementwise(grad_y, y, out):
            return None
        by_units = self._whole_units((y.size,), grad_y, y, out)
        threads = y.size * y.itemsize // UNIT if by_units else y.size
        name = "relu_gradient_by_units" if by_units else "relu_gradient"
        self._launch(name, y.dtype, self._geometry(threads), grad_y, y, out, np.int64(y.size))
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
        """(N, K) and integers (N,) -> losses (N,) and log-probabilities (N, K). A label that is no class gives NaN.

        Those of logits of 16 bits are float32.
        """
        check_ndim(logits, "logits", 2)
        check_same("labels", labels.shape, logits.shape[:1])
        if not (self._does(logits) and max(logits.shape) <= MOST_COUNTED):
            return None
        losses = self._xp.empty(labels.shape, accumulation_dtype(logits.dtype))
        log_probabilities = self._xp.empty(logits.shape, losses.dtype)
        arrays = (logits, _int64(labels), log_probabilities, losses)
        numbers = (np.int32(logits.shape[1]), np.float64(label_smoothing))
        self._launch("cross_entropy", logits.dtype, ((len(logits),), (self._block,)), *arrays, *numbers)
        return losses, log_probabilities

    def cross_entropy_gradient(
        self,
        grad_losses: Array,
        log_probabilities: Array,
        labels: Array,
        label_smoothing: float = 0.0,
        dtype: np.dtype | None = None,
    ) -> Array | None:
        """(N,), (N, K) and integers (N,) -> the gradient of the logits, (N, K), of their `dtype` (else that given)."""
        rows, classes = log_probabilities.shape
        check_same("grad_losses", (grad_losses.shape, grad_losses.dtype), ((rows,), log_probabilities.dtype))
        check_same("labels", labels.shape, (rows,))
        if not (self._does(log_probabilities) and contiguous(grad_losses) and max(rows, classes) <= MOST_COUNTED):
            return None
        grad_logits = self._xp.empty(log_probabilities.shape, dtype or log_probabilities.dtype)
        check_same("log_probabilities' dtype", log_probabilities.dtype, accumulation_dtype(grad_logits.dtype))
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
        parameters: Sequence[tuple[Array, Array, Array | None]],
        *,
        lr: float,
        momentum: float = 0.0,
        weight_decay: float = 0.0,
        nesterov: bool = False,
    ) -> bool | None:
        """Change all of (data, grad, velocity) in place by the rule of `npalexnet.SGD`; True if that was done.

        Float32 or float64, each of any shape and any order of the axes in memory, the same for its three arrays;
        without momentum, the velocities are None.
        """
        everything = [[array for array in arrays if array is not None] for arrays in parameters]
        dtype = everything[0][0].dtype
        for arrays in everything:
            for array in arrays:
                check_same("data, grad and velocity", (array.shape, array.dtype), (arrays[0].shape, arrays[0].dtype))
        if not all(arrays[0].dtype == dtype and self._does_elementwise(*arrays) for arrays in everything):
            return None
        if dtype.name not in FULL:
            return None
        settings = (np.float64(lr), np.float64(momentum), np.float64(weight_decay), np.int32(nesterov))
        for start in range(0, len(parameters), MOST_PARAMETERS):
            table, blocks = self._table(parameters[start : start + MOST_PARAMETERS])
            self._launch("sgd", dtype, ((blocks,), (self._block,)), table, *settings)
        return True

    def _table(self, parameters: Sequence[tuple[Array, Array, Array | None]]) -> tuple[np.ndarray, int]:
        """Return the struct PARAMETERS, and how many blocks of threads they are."""
        table, blocks = np.zeros((), PARAMETERS), 0
        table["first_block"] = LARGEST_INT
        for i, arrays in enumerate(parameters):
            for name, array in zip(("data", "grad", "velocity"), arrays, strict=True):
                table[name][i] = 0 if array is None else self._launcher.address(array)
            table["size"][i], table["first_block"][i] = arrays[0].size, blocks
            blocks += -(-arrays[0].size // (PER_THREAD * self._block))
        table["first_block"][len(parameters)] = blocks
        return table, blocks


def _int64(labels: Array) -> Array:
    """Contiguous labels of 64 bits."""
    return labels if labels.dtype == np.int64 and contiguous(labels) else labels.astype(np.dtype("int64"))
