"""A fake libcublas: matrix products on the host's memory, by NVIDIA's description of cublasGemmEx.

It is called through C, refuses what the description does not allow, and notes each product with what its handle had
been told before. It can't show how cuBLAS rounds: NumPy adds in another order. Matrices to multiply are here, too.
"""

import ctypes
import traceback
from ctypes import c_int, c_int64, c_void_p
from types import SimpleNamespace

import ml_dtypes
import numpy as np

from tests.fakes.cupy import FakeArray

DTYPES = {
    "float64": np.dtype("f8"),
    "float32": np.dtype("f4"),
    "float16": np.dtype("f2"),
    "bfloat16": np.dtype(ml_dtypes.bfloat16),
}
PAIRS = [(name, name) for name in DTYPES] + [("float16", "float32"), ("bfloat16", "float32")]
ROUNDING = {"float64": 2.0**-53, "float32": 2.0**-24, "float16": 2.0**-11, "bfloat16": 2.0**-8}
UNTOUCHED = 99

# --- the library -----------------------------------------------------------------------------------------------------

STATUSES = {"NOT_INITIALIZED": 1, "INVALID_VALUE": 7, "INTERNAL_ERROR": 14, "NOT_SUPPORTED": 15}
NOT_INITIALIZED, INVALID_VALUE, INTERNAL_ERROR, NOT_SUPPORTED = STATUSES.values()
STATUS_NAMES = {n: ctypes.create_string_buffer(f"CUBLAS_STATUS_{name}".encode()) for name, n in STATUSES.items()}
R_32F, R_64F, R_16F, R_16BF = 0, 1, 2, 14  # cudaDataType_t
TYPES = {R_32F: DTYPES["float32"], R_64F: DTYPES["float64"], R_16F: DTYPES["float16"], R_16BF: DTYPES["bfloat16"]}
COMPUTE_32F, COMPUTE_64F, COMPUTE_32F_FAST_TF32 = 68, 70, 77
ALLOWED = {  # what A, B and C may be
    COMPUTE_64F: [(R_64F, R_64F, R_64F)],
    COMPUTE_32F_FAST_TF32: [(R_32F, R_32F, R_32F)],
    COMPUTE_32F: [
        *((kind, kind, kind) for kind in (R_32F, R_16F, R_16BF)),
        *((kind, kind, R_32F) for kind in (R_16F, R_16BF)),
    ],
}
GEMM = "handle op_a op_b m n k alpha a a_type lda b b_type ldb beta c c_type ldc compute_type algorithm"
SIGNATURES = {
    "cublasCreate_v2": [c_void_p],
    "cublasDestroy_v2": [c_void_p],
    "cublasSetStream_v2": [c_void_p, c_void_p],
    "cublasSetWorkspace_v2": [c_void_p, c_void_p, ctypes.c_size_t],
    "cublasSetMathMode": [c_void_p, c_int],
    "cublasGetStatusName": [c_int],
}
_load = ctypes.CDLL  # before a test replaces it
_pointers, _sizes = ("handle", "alpha", "a", "b", "beta", "c"), ("m", "n", "k", "lda", "ldb", "ldc")
for _name, _size in (("cublasGemmEx", c_int), ("cublasGemmEx_64", c_int64)):
    SIGNATURES[_name] = [c_void_p if a in _pointers else _size if a in _sizes else c_int for a in GEMM.split()]


class FakeCublas:
    """The library, asked what it was asked.

    Attributes
    ----------
    path : str
        Where it is found.
    handles : dict
        What each living one was told.
    destroyed : int
        The number of the others.
    wrong : bool
        Whether all products are.
    """

    def __init__(self):
        self.path = self._own_path = "libcublas.so"
        self.handles, self.destroyed, self.wrong = {}, 0, False
        self._calls, self._failing = [], {}
        self._library = SimpleNamespace(**{name: self._function(name, *types) for name, types in SIGNATURES.items()})

    def load(self, path, *arguments, **keywords):
        """Take the place of `ctypes.CDLL`."""
        return self._library if path == self._own_path else _load(path, *arguments, **keywords)

    def calls(self):
        """All products so far."""
        return self._calls

    def fail(self, function="", status=0):
        """Let a function return that status; none without arguments."""
        self._failing = {function: status}

    def _function(self, name, *arguments):
        method = getattr(self, "_" + name.removeprefix("cublas").removesuffix("_v2"))

        def answer(*given):
            if status := self._failing.get(name):
                return status
            if name not in ("cublasCreate_v2", "cublasGetStatusName") and given[0] not in self.handles:
                return NOT_INITIALIZED
            try:
                return method(*given) or 0
            except Exception:  # would be lost on its way through C
                traceback.print_exc()
                return INTERNAL_ERROR

        # ctypes keeps no text that a callback returns, so this one returns an address.
        return ctypes.CFUNCTYPE(c_void_p if name == "cublasGetStatusName" else c_int, *arguments)(answer)

    def _Create(self, place):
        handle = len(self.handles) + self.destroyed + 1
        self.handles[handle] = SimpleNamespace(stream=-1, workspace=0, workspace_size=0, math_mode=0)
        c_void_p.from_address(place).value = handle

    def _Destroy(self, handle):
        del self.handles[handle]
        self.destroyed += 1

    def _SetStream(self, handle, stream):
        told = self.handles[handle]
        told.stream = stream or 0
        told.workspace = told.workspace_size = 0  # "unconditionally resets [it] back to the default workspace pool"

    def _SetWorkspace(self, handle, workspace, size):
        workspace = workspace or 0
        if workspace % 256:
            return INVALID_VALUE
        vars(self.handles[handle]).update(workspace=workspace, workspace_size=size)

    def _SetMathMode(self, handle, mode):
        self.handles[handle].math_mode = mode

    def _GetStatusName(self, status):
        return ctypes.addressof(STATUS_NAMES[status])

    def _GemmEx(self, *given, wide=False):
        """C = alpha * op(A) * op(B) + beta * C, where op(A) is m x k, op(B) k x n and C m x n, all column-major."""
        g = SimpleNamespace(**dict(zip(GEMM.split(), given, strict=True)))
        if min(g.m, g.n, g.k) < 0 or not {g.op_a, g.op_b} <= {0, 1, 2}:
            return INVALID_VALUE
        a_rows, b_rows = (g.k if g.op_a else g.m), (g.n if g.op_b else g.k)
        if any(leading < max(1, rows) for leading, rows in ((g.lda, a_rows), (g.ldb, b_rows), (g.ldc, g.m))):
            return INVALID_VALUE
        if not all((g.alpha, g.a, g.b, g.beta, g.c)):
            return INVALID_VALUE
        if (g.a_type, g.b_type, g.c_type) not in ALLOWED.get(g.compute_type, ()) or g.algorithm != -1:
            return NOT_SUPPORTED
        self._calls.append(SimpleNamespace(**vars(self.handles[g.handle]), compute_type=g.compute_type, wide=wide))
        scalar = ctypes.c_double if g.compute_type == COMPUTE_64F else ctypes.c_float
        alpha, beta = (scalar.from_address(address).value for address in (g.alpha, g.beta))
        a = _column_major(g.a, g.a_type, a_rows, g.m + g.k - a_rows, g.lda).astype(scalar)
        b = _column_major(g.b, g.b_type, b_rows, g.k + g.n - b_rows, g.ldb).astype(scalar)
        a, b = a.T if g.op_a else a, b.T if g.op_b else b
        if g.compute_type == COMPUTE_32F_FAST_TF32:
            a, b = _tf32(a), _tf32(b)
        c = _column_major(g.c, g.c_type, g.m, g.n, g.ldc)
        c[...] = alpha * (a @ b + self.wrong) + (beta * c if beta else 0)  # with beta 0, C is not read

    def _GemmEx_64(self, *given):
        return self._GemmEx(*given, wide=True)


def _column_major(address, kind, rows, columns, leading):
    """Return the matrix that lies there."""
    size = TYPES[kind].itemsize
    memory = (ctypes.c_char * (size * max(0, leading * (columns - 1) + rows))).from_address(address)
    return np.ndarray((rows, columns), TYPES[kind], memory, strides=(size, leading * size))


def _tf32(values):
    """Round to 10 bits after the leading one, to even in the middle between two."""
    bits = np.ascontiguousarray(values).view(np.uint32)
    return ((bits + 0xFFF + (bits >> 13 & 1)) & ~np.uint32(0x1FFF)).view(np.float32)


# --- matrices --------------------------------------------------------------------------------------------------------


def placed(values, layout):
    """Put a matrix into memory: plain, transposed, or as some columns of a wider one, also transposed."""
    inner = values.T if "transposed" in layout else values
    first, last = (3, 5) if "slice" in layout else (0, 0)
    whole = np.full((len(inner), first + inner.shape[1] + last), UNTOUCHED, values.dtype).view(FakeArray)
    view = whole[:, first : first + inner.shape[1]]
    view[...] = inner
    return view.T if "transposed" in layout else view


def normal(shape, dtype, layout="plain", seed=0):
    """Standard normal numbers."""
    return placed(np.random.default_rng(seed).standard_normal(shape).astype(DTYPES[dtype]), layout)


def nothing(shape, dtype, layout="plain"):
    """Room for a result."""
    return placed(np.full(shape, UNTOUCHED, DTYPES[dtype]), layout)


def assert_product(out, a, b):
    """Hold against NumPy's in float64: the error of rounding the sums, and of rounding the result."""
    a, b = (np.asarray(factor).astype("float64") for factor in (a, b))
    sums = "float64" if out.dtype == "float64" else "float32"
    allowed = 2 * a.shape[1] * ROUNDING[sums] * (abs(a) @ abs(b)) + ROUNDING[out.dtype.name] * abs(a @ b) + 1e-7
    assert (abs(np.asarray(out).astype("float64") - a @ b) <= allowed).all()
