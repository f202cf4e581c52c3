"""A fake cuBLAS, which computes on the host as NVIDIA describes it, and matrices for it."""

import ctypes
import types

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
FIELDS = ("handle", "stream", "workspace", "workspace_size", "math_mode", "compute_type", "wide")


class FakeCublas:
    """The fake library, asked what it was asked."""

    def __init__(self, path):
        self.path, self.library = str(path), ctypes.CDLL(str(path))

    def calls(self):
        """All products so far."""
        fields, found = (ctypes.c_int64 * len(FIELDS))(), []
        for number in range(self.library.fake_calls()):
            self.library.fake_call(number, fields)
            found.append(types.SimpleNamespace(**dict(zip(FIELDS, fields, strict=True))))
        return found

    def fail(self, function="", status=0):
        """Let a function return that status; none without arguments."""
        self.library.fake_fail(function.encode(), status)


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
