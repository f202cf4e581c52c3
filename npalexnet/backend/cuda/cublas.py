"""The functions of cuBLAS that matrix products need, through ctypes, and the numbers behind its header's names."""

from __future__ import annotations

import ctypes
import importlib
from functools import cache
from typing import Any

# The numbers behind the names of cublas_api.h and library_types.h.
CUDA_TYPES = {"float32": 0, "float64": 1, "float16": 2, "bfloat16": 14}
CUBLAS_COMPUTE_32F, CUBLAS_COMPUTE_64F, CUBLAS_COMPUTE_32F_FAST_TF32 = 68, 70, 77
CUBLAS_OP_N, CUBLAS_OP_T = 0, 1
CUBLAS_GEMM_DEFAULT = -1
# Flags beside CUBLAS_DEFAULT_MATH, which is 0: halves' partial sums are added up in float32, not in the result's dtype.
CUBLAS_MATH_DISALLOW_REDUCED_PRECISION_REDUCTION = 16

SCALARS: dict[int, tuple[Any, Any]] = {  # alpha and beta, in the dtype of the sums
    CUBLAS_COMPUTE_64F: (ctypes.c_double(1), ctypes.c_double(0)),
    CUBLAS_COMPUTE_32F: (ctypes.c_float(1), ctypes.c_float(0)),
    CUBLAS_COMPUTE_32F_FAST_TF32: (ctypes.c_float(1), ctypes.c_float(0)),
}


class CublasError(RuntimeError):
    """A function of cuBLAS did not return success."""


class Cublas:
    """The few functions of the library that matrix products need; a status other than success is a `CublasError`."""

    def __init__(self, path: str) -> None:
        self._library = ctypes.CDLL(path)
        pointer, integer = ctypes.c_void_p, ctypes.c_int
        signatures: dict[str, list[Any]] = {
            "cublasCreate_v2": [pointer],
            "cublasDestroy_v2": [pointer],
            "cublasSetStream_v2": [pointer, pointer],
            "cublasSetWorkspace_v2": [pointer, pointer, ctypes.c_size_t],
            "cublasSetMathMode": [pointer, integer],
            "cublasGetStatusName": [integer],
        }
        for name, size in (("cublasGemmEx", integer), ("cublasGemmEx_64", ctypes.c_int64)):
            factor = [pointer, integer, size]  # address, type, leading dimension
            sizes = [size, size, size]
            signatures[name] = [pointer, integer, integer, *sizes, pointer, *factor, *factor, pointer, *factor]
            signatures[name] += [integer, integer]
        for name, types in signatures.items():
            function = getattr(self._library, name)
            function.argtypes, function.restype = types, integer
        self._library.cublasGetStatusName.restype = ctypes.c_char_p

    def call(self, name: str, *arguments: Any) -> None:
        """Call the function of that name."""
        if status := getattr(self._library, name)(*arguments):
            raise CublasError(f"{name} returned {self._library.cublasGetStatusName(status).decode()} ({status})")

    def create(self) -> int:
        """Return a new handle for the current GPU."""
        handle = ctypes.c_void_p()
        self.call("cublasCreate_v2", ctypes.byref(handle))
        try:
            self.call("cublasSetMathMode", handle, CUBLAS_MATH_DISALLOW_REDUCED_PRECISION_REDUCTION)
        except CublasError:
            self.call("cublasDestroy_v2", handle)
            raise
        return handle.value or 0


@cache
def library() -> Cublas:
    """Load the cuBLAS that CuPy uses."""
    pathfinder: Any = importlib.import_module("cuda.pathfinder")  # comes with CuPy
    path = pathfinder.load_nvidia_dynamic_lib("cublas").abs_path
    if path is None:
        raise ImportError("libcublas was found, but not where it lies")
    return Cublas(path)
