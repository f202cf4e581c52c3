"""Matrix products on a GPU by cuBLAS itself.

CuPy's own products refuse to be captured in a CUDA graph, take their precision from a setting that is not ours, and
give half-precision factors a half-precision result.

cuBLAS takes matrices column by column: what is an (r, c) matrix to it has its columns one after the other in memory,
`leading` numbers apart. A row-major (r, c) array is, without moving a number, a column-major (c, r) matrix, its
transpose. So either an array or its transpose can be handed over, and a row-major result comes from
``out.T = b.T @ a.T``.
"""

from __future__ import annotations

import ctypes
import logging
import threading
import weakref
from itertools import product
from typing import Any

import numpy as np

from npalexnet.backend.cuda import cublas
from npalexnet.backend.cuda.layouts import LARGEST_INT
from npalexnet.backend.cuda.precision import get_float32_matmul_precision
from npalexnet.backend.device import Array

HOPPER = 90  # compute capability
WORKSPACE_BYTES, HOPPERS_WORKSPACE_BYTES = 4 << 20, 32 << 20  # as NVIDIA recommends them: before Hopper, and from it on

logger = logging.getLogger("npalexnet")


class _Lease:
    """A handle in the hands of one thread."""

    def __init__(self, handle: int) -> None:
        self.handle = handle


class MatrixProducts:
    """Matrix products on one GPU, which must be the current one.

    Each thread has a handle of its own; when it ends, the next thread gets it. Each product gets a workspace of its own
    from CuPy's allocator, so that products on several streams never share one, and a captured product's workspace
    belongs to its graph. With a given workspace and without atomics, which are off by default, the same product gives
    the same bits.

    Before a combination of dtypes is first used, small products of integers are held against the exact result. Where
    that fails, or cuBLAS is not there, the reason is logged and CuPy has to do these products from then on.

    Parameters
    ----------
    xp : module
        CuPy.
    index : int
        The number of the GPU.
    """

    def __init__(self, xp: Any, index: int) -> None:
        self._xp, self._index = xp, index
        self._thread = threading.local()
        self._free: list[int] = []  # handles of threads that have ended
        self._lock = threading.Lock()
        self._works: dict[tuple[str, str], bool] = {}  # dtypes of the factors and of the result
        self._workspace_bytes = 0

    def matmul(self, a: Array, b: Array, out: Array | None = None) -> Array | None:
        """(M, K) @ (K, N) -> (M, N).

        Parameters
        ----------
        a, b : array
            Both of float64, float32, float16 or bfloat16, of any strides. What is no plain, transposed or sliced matrix
            is copied first.
        out : array, optional
            Of the factors' dtype, or float32 for half-precision factors; of any strides, apart in memory from `a`
            and `b`.

        Returns
        -------
        array or None
            `out`, or a new array; None if this is for CuPy to do, nothing has been written then.
        """
        kinds = a.dtype.name, a.dtype.name if out is None else out.dtype.name
        halves = kinds[0] in ("float16", "bfloat16")
        if a.dtype != b.dtype or kinds[0] not in cublas.CUDA_TYPES:
            return None
        if kinds[0] != kinds[1] and not (halves and kinds[1] == "float32"):
            return None
        if not self._usable(kinds, a.dtype, a.dtype if out is None else out.dtype):
            return None
        result = self._xp.empty((a.shape[0], b.shape[1]), a.dtype) if out is None else out
        try:
            self._product(a, b, result)
        except cublas.CublasError as error:
            self._give_up(kinds, error)
            return None
        return result

    def by_cublas(self) -> dict[str, bool]:
        """For each combination of dtypes that was asked for so far, whether it is computed here."""
        return {f"{factors} into {result}": works for (factors, result), works in self._works.items()}

    def _product(self, a: Array, b: Array, out: Array) -> None:
        """Compute ``out[...] = a @ b``."""
        if not (out.size and a.shape[1]):
            out[...] = 0
            return
        if column_major(out) is None:
            if column_major(out.T) is None:
                result = self._xp.empty(out.shape, out.dtype)
                self._product(a, b, result)
                out[...] = result
                return
            a, b, out = b.T, a.T, out.T
        m, n, k = out.shape[0], out.shape[1], a.shape[1]
        (a, operation_a, leading_a), (b, operation_b, leading_b) = self._factor(a), self._factor(b)
        leading = column_major(out) or 0
        fits = max(m, n, k, leading_a, leading_b, leading) <= LARGEST_INT
        compute_type = _compute_type(a.dtype.name)
        one, zero = map(ctypes.byref, cublas.SCALARS[compute_type])
        blas, handle, size = cublas.library(), self._handle(), self._workspace_size()
        workspace = self._xp.cuda.alloc(size)  # afterwards the next product on this stream may have it
        blas.call("cublasSetStream_v2", handle, self._xp.cuda.get_current_stream().ptr)
        blas.call("cublasSetWorkspace_v2", handle, workspace.ptr, size)  # setting the stream took the last one away
        blas.call(
            *("cublasGemmEx" if fits else "cublasGemmEx_64", handle, operation_a, operation_b, m, n, k),
            *(one, *_place(a, leading_a), *_place(b, leading_b), zero, *_place(out, leading)),
            *(compute_type, cublas.CUBLAS_GEMM_DEFAULT),
        )

    def _factor(self, factor: Array) -> tuple[Array, int, int]:
        """Return a factor or a copy of it, what has to be done to it as cuBLAS sees it, and its leading dimension."""
        if (leading := column_major(factor)) is not None:
            return factor, cublas.CUBLAS_OP_N, leading
        if (leading := column_major(factor.T)) is not None:
            return factor, cublas.CUBLAS_OP_T, leading
        return self._factor(self._xp.ascontiguousarray(factor))

    def _handle(self) -> int:
        """Return this thread's handle."""
        lease = getattr(self._thread, "lease", None)
        if lease is None:
            try:
                handle = self._free.pop()
            except IndexError:
                handle = cublas.library().create()
            lease = self._thread.lease = _Lease(handle)
            # Not destroyed: that would make the whole GPU wait, at a moment that nobody chose.
            weakref.finalize(lease, self._free.append, handle).atexit = False
        return lease.handle

    def _workspace_size(self) -> int:
        if not self._workspace_bytes:
            capability = int(self._xp.cuda.Device(self._index).compute_capability)
            self._workspace_bytes = HOPPERS_WORKSPACE_BYTES if capability >= HOPPER else WORKSPACE_BYTES
        return self._workspace_bytes

    def _usable(self, kinds: tuple[str, str], dtype: np.dtype, out_dtype: np.dtype) -> bool:
        """Whether products of these dtypes come out right; tried at the first one."""
        if kinds not in self._works:
            with self._lock:
                if kinds not in self._works:
                    try:
                        self._check(dtype, out_dtype)
                        self._works[kinds] = True
                    except MemoryError:  # of this moment; it says nothing about cuBLAS
                        raise
                    except Exception as error:  # no library, an old one, a status: CuPy has to do it
                        self._give_up(kinds, error)
        return self._works[kinds]

    def _check(self, dtype: np.dtype, out_dtype: np.dtype) -> None:
        """Try all ways in which factors and result can be transposed; integers this small are exact in any dtype."""
        left, right = np.arange(3 * 7).reshape(3, 7) % 5 - 2, np.arange(7 * 4).reshape(7, 4) % 7 - 3

        def put(matrix: np.ndarray, dtype: np.dtype, transposed: bool) -> Array:
            rows = np.ascontiguousarray(matrix.T if transposed else matrix)
            return self._xp.asarray(rows.astype(dtype)).T if transposed else self._xp.asarray(rows.astype(dtype))

        for ways in product((False, True), repeat=3):
            out = put(np.full((3, 4), 99), out_dtype, ways[2])
            self._product(put(left, dtype, ways[0]), put(right, dtype, ways[1]), out)
            if not np.array_equal(self._xp.asnumpy(out).astype("float64"), left @ right):
                raise cublas.CublasError("a small product came out wrong")

    def _give_up(self, kinds: tuple[str, str], error: Exception) -> None:
        self._works[kinds] = False
        logger.warning(
            "CuPy instead of cuBLAS computes the matrix products of %s (into %s) on GPU %d from here on: %s: %s",
            *kinds,
            self._index,
            type(error).__name__,
            str(error).strip().partition("\n")[0],
        )


def column_major(array: Array) -> int | None:
    """Return the leading dimension of a matrix, not empty, or None where it does not lie in memory column by column."""
    rows, columns = array.shape
    row_step, column_step = array.strides  # bytes
    if rows > 1 and row_step != array.itemsize:
        return None
    leading, rest = divmod(column_step, array.itemsize) if columns > 1 else (rows, 0)
    return leading if leading >= rows and not rest else None


def _place(array: Array, leading: int) -> tuple[int, int, int]:
    """Return how cuBLAS is told of a matrix: address, type and leading dimension."""
    return array.data.ptr, cublas.CUDA_TYPES[array.dtype.name], leading


def _compute_type(dtype: str) -> int:
    """Return in what cuBLAS multiplies and adds numbers of `dtype`."""
    if dtype == "float64":
        return cublas.CUBLAS_COMPUTE_64F
    fast = dtype == "float32" and get_float32_matmul_precision() == "high"
    return cublas.CUBLAS_COMPUTE_32F_FAST_TF32 if fast else cublas.CUBLAS_COMPUTE_32F
