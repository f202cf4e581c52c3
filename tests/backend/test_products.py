"""Matrix products by cuBLAS, told apart from it: a made-up one computes them on the host, as NVIDIA describes it."""

import ctypes
import itertools
import logging
import shutil
import subprocess
import sys
import threading
import types
from pathlib import Path

import ml_dtypes
import numpy as np
import pytest

import npalexnet as na
from npalexnet.backend import cublas, cuda
from tests.backend import made_up_cupy
from tests.backend.shim import SparseMemory

BFLOAT16 = np.dtype(ml_dtypes.bfloat16)
DTYPES = {"float64": np.dtype("f8"), "float32": np.dtype("f4"), "float16": np.dtype("f2"), "bfloat16": BFLOAT16}
ROUNDING = {"float64": 2.0**-53, "float32": 2.0**-24, "float16": 2.0**-11, "bfloat16": 2.0**-8}
UNTOUCHED = 99
LAYOUTS = ("plain", "transposed", "slice", "transposed slice")
PAIRS = [(name, name) for name in DTYPES] + [("float16", "float32"), ("bfloat16", "float32")]
FIELDS = ("handle", "stream", "workspace", "workspace_size", "math_mode", "compute_type", "wide")


class FakeCublas:
    """The made-up library, asked what it was asked."""

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


@pytest.fixture(scope="module")
def compiled(tmp_path_factory):
    compiler = shutil.which("g++")
    if compiler is None:
        pytest.skip("no g++ to compile the made-up cuBLAS with")
    path = tmp_path_factory.mktemp("cublas") / "libcublas.so"
    source = Path(__file__).with_name("fake_cublas.cpp")
    subprocess.run([compiler, "-std=c++17", "-O2", "-shared", "-fPIC", source, "-o", path], check=True)
    return path


@pytest.fixture
def cupy(monkeypatch):
    yield made_up_cupy.make(monkeypatch)
    na.set_float32_matmul_precision("highest")
    cuda._cupys_precision = None


@pytest.fixture
def blas(compiled, tmp_path, monkeypatch):
    """A fresh made-up cuBLAS, where `cuda.pathfinder` finds it."""
    blas = FakeCublas(shutil.copy(compiled, tmp_path / "libcublas.so"))
    pathfinder = types.ModuleType("cuda.pathfinder")
    pathfinder.load_nvidia_dynamic_lib = lambda name: types.SimpleNamespace(abs_path={"cublas": blas.path}[name])
    monkeypatch.setitem(sys.modules, "cuda", types.ModuleType("cuda"))
    monkeypatch.setitem(sys.modules, "cuda.pathfinder", pathfinder)
    cublas.library.cache_clear()
    yield blas
    cublas.library.cache_clear()


@pytest.fixture
def gpu(cupy, blas):
    return cuda.CudaDevice(0)


@pytest.fixture
def cupys_turn(cupy):
    """The shapes of products that CuPy was asked for."""
    shapes, matmul = [], cupy.matmul
    cupy.matmul = lambda a, b, out=None: (shapes.append((a.shape, b.shape)), matmul(a, b, out=out))[1]
    return shapes


@pytest.fixture
def no_copies(cupy):
    """A CuPy that makes no arrays but those that begin on the host."""

    def refuse(*arguments):
        raise AssertionError("a copy was made")

    cupy.empty = cupy.ascontiguousarray = refuse


def placed(values, layout):
    """Put a matrix into memory: plain, transposed, or as some columns of a wider one, also transposed."""
    inner = values.T if "transposed" in layout else values
    first, last = (3, 5) if "slice" in layout else (0, 0)
    whole = np.full((len(inner), first + inner.shape[1] + last), UNTOUCHED, values.dtype).view(made_up_cupy.Array)
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


@pytest.mark.parametrize(("dtype", "out_dtype"), PAIRS)
@pytest.mark.parametrize("sizes", [(3, 5, 7), (1, 4, 6), (4, 1, 6), (4, 6, 1), (1, 1, 3), (1, 1, 1)])
def test_all_layouts_of_both_factors_and_the_result_without_a_copy(gpu, no_copies, cupys_turn, dtype, out_dtype, sizes):
    M, N, K = sizes
    for layouts in itertools.product(LAYOUTS, repeat=3):
        a, b = normal((M, K), dtype, layouts[0], 1), normal((K, N), dtype, layouts[1], 2)
        out = nothing((M, N), out_dtype, layouts[2])
        assert gpu.matmul(a, b, out) is out
        assert_product(out, a, b)
        out[...] = UNTOUCHED
        while out.base is not None and out.base.ndim == 2:
            out = out.base
        assert (out == UNTOUCHED).all(), "something was written beside the result"
    assert cupys_turn == []


def test_a_row_or_column_of_numbers_far_apart_is_not_copied(gpu, no_copies, cupys_turn):
    whole = normal((9, 12), "float32")
    row, column, out = whole[:1, ::2], whole[::3, 1:2], nothing((4, 12), "float32")  # (1, 6), (3, 1)
    for a, b, place in (
        (column, row, nothing((3, 6), "float32")),
        (row, row.T, out[:1, :1]),
        (row, whole[:6], out[1:2]),
    ):
        gpu.matmul(a, b, place)
        assert_product(place, a, b)
    assert cupys_turn == []


@pytest.mark.parametrize("dtype", DTYPES)
def test_without_out_the_result_is_new_and_of_the_factors_dtype(gpu, dtype):
    a, b = normal((9, 33), dtype), normal((33, 5), dtype, seed=1)
    out = gpu.matmul(a, b)
    assert out.dtype == DTYPES[dtype]
    assert_product(out, a, b)


@pytest.mark.parametrize(
    "view",
    [
        lambda x: x[:, ::2],
        lambda x: x[::-1],
        lambda x: x[:, ::-1].T,
        lambda x: np.broadcast_to(x[:1], x.shape, subok=True),
    ],
    ids=["every other column", "rows backwards", "columns backwards, transposed", "one row again and again"],
)
def test_strides_that_cublas_does_not_know_are_copied(gpu, blas, cupys_turn, view):
    a = view(normal((6, 6), "float32"))
    b = normal((a.shape[1], 5), "float32", seed=1)
    assert_product(gpu.matmul(a, b), a, b)
    assert_product(gpu.matmul(b.T, a.T), b.T, a.T)
    assert blas.calls()
    assert cupys_turn == []


def test_the_distance_of_rows_or_columns_that_there_is_one_of_means_nothing(gpu, no_copies):
    a = np.lib.stride_tricks.as_strided(normal((1, 1), "float32"), (1, 1), (0, 0), subok=True)
    out = nothing((1, 1), "float32")
    gpu.matmul(a, a, out)
    assert_product(out, a, a)


def test_a_result_of_strides_that_cublas_does_not_know_is_copied_there(gpu, cupys_turn):
    whole = nothing((4, 12), "float32")
    a, b = normal((4, 3), "float32"), normal((3, 6), "float32", seed=1)
    gpu.matmul(a, b, whole[:, ::2])
    assert_product(whole[:, ::2], a, b)
    assert (whole[:, 1::2] == UNTOUCHED).all()
    assert cupys_turn == []


@pytest.mark.parametrize("sizes", [(0, 3, 2), (3, 0, 2), (3, 2, 0), (0, 0, 0)])
def test_empty_products(gpu, sizes):
    M, N, K = sizes
    a, b = normal((M, K), "float32"), normal((K, N), "float32")
    out = nothing((M, N), "float32", "slice")
    gpu.matmul(a, b, out)
    for result in (out, gpu.matmul(a, b)):
        assert result.shape == (M, N)
        assert not result.any()


def test_what_can_not_be_counted_in_32_bits_goes_to_the_function_for_64(gpu, blas):
    whole = SparseMemory.empty((2, 2**31 + 8), np.dtype("float32")).view(made_up_cupy.Array)
    a, b = normal((2, 3), "float32"), normal((3, 4), "float32", seed=1)
    gpu.matmul(a, b, whole[:, :4])
    assert_product(whole[:, :4], a, b)
    assert blas.calls()[-1].wide
    assert not any(call.wide for call in blas.calls()[:-1])


@pytest.mark.parametrize(
    ("shapes", "message"),
    [
        (((2, 3), (4, 5), None), r"a and b must be of shapes \(M, K\) and \(K, N\), got \(2, 3\) and \(4, 5\)"),
        (((2, 3), (3,), None), r"got \(2, 3\) and \(3,\)"),
        (((2, 3), (3, 5), (5, 2)), r"out must be of shape \(2, 5\), got \(5, 2\)"),
    ],
)
def test_shapes_that_do_not_fit_are_refused_before_cublas_sees_them(gpu, blas, shapes, message):
    a, b, out = (None if shape is None else np.zeros(shape, "float32").view(made_up_cupy.Array) for shape in shapes)
    with pytest.raises(ValueError, match=message):
        gpu.matmul(a, b, out)
    assert blas.calls() == []


def test_the_precision_is_that_of_the_moment(gpu, blas):
    a, b = normal((8, 64), "float32"), normal((64, 8), "float32", seed=1)
    exact, errors = a.astype("float64") @ b.astype("float64"), {}
    for precision, compute_type in (("highest", 68), ("high", 77), ("highest", 68)):
        na.set_float32_matmul_precision(precision)
        errors[precision] = abs(gpu.matmul(a, b) - exact).max()
        assert blas.calls()[-1].compute_type == compute_type  # CUBLAS_COMPUTE_32F, CUBLAS_COMPUTE_32F_FAST_TF32
    assert errors["highest"] < 1e-5 < 1e-4 < errors["high"]


@pytest.mark.parametrize(("dtype", "compute_type"), [("float64", 70), ("float16", 68), ("bfloat16", 68)])
def test_the_precision_of_other_dtypes_is_not_a_choice(gpu, blas, dtype, compute_type):
    na.set_float32_matmul_precision("high")
    gpu.matmul(normal((2, 3), dtype), normal((3, 2), dtype))
    assert {call.compute_type for call in blas.calls()} == {compute_type}


def test_partial_sums_of_halves_are_never_halves(gpu, blas):
    gpu.matmul(normal((2, 3), "float16"), normal((3, 2), "float16"))
    assert {call.math_mode for call in blas.calls()} == {16}  # CUBLAS_MATH_DISALLOW_REDUCED_PRECISION_REDUCTION


def test_halves_whose_product_is_too_large_for_them_have_a_float32_result(gpu):
    a = np.full((1, 4), 300, "float16").view(made_up_cupy.Array)
    out = nothing((1, 1), "float32")
    assert gpu.matmul(a, a.T, out)[0, 0] == 4 * 300**2


@pytest.mark.parametrize(("capability", "size"), [("75", 4 << 20), ("90", 32 << 20), ("120", 32 << 20)])
def test_each_product_has_a_workspace_from_cupys_allocator(gpu, cupy, blas, capability, size):
    cupy.cuda.Device.compute_capability = capability
    given = []
    cupy.allocators.append(lambda size: given.append(cupy.default_pool.malloc(size)) or given[-1])
    gpu.matmul(normal((2, 3), "float32"), normal((3, 2), "float32"))
    pointers = {memory.ptr for memory in given}
    assert all(call.workspace in pointers and call.workspace_size == size for call in blas.calls())


def test_products_are_computed_on_the_current_stream(gpu, cupy, blas):
    a, b = normal((2, 3), "float32"), normal((3, 2), "float32")
    gpu.matmul(a, b)
    assert blas.calls()[-1].stream == 0
    with cupy.cuda.Stream() as stream:
        gpu.matmul(a, b)
    assert blas.calls()[-1].stream == stream.ptr == 7
    gpu.matmul(a, b)
    assert blas.calls()[-1].stream == 0


def test_each_thread_has_a_handle_and_leaves_it_to_the_next(gpu, blas):
    a, b = normal((2, 3), "float32"), normal((3, 2), "float32")

    def handles_of(number):
        barrier, handles = threading.Barrier(number), []

        def work():
            barrier.wait()
            gpu._products._handle()
            barrier.wait()  # nobody has ended yet
            handles.append(gpu._products._handle())
            assert_product(gpu.matmul(a, b), a, b)

        threads = [threading.Thread(target=work) for _ in range(number)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        return set(handles)

    gpu.matmul(a, b)
    first = handles_of(3)
    assert len(first) == 3
    assert handles_of(2) < first
    assert blas.library.fake_handles(False) == 1 + 3
    assert blas.library.fake_handles(True) == 0


def test_the_first_product_of_each_pair_of_dtypes_is_preceded_by_a_check(gpu, blas):
    a, b = normal((2, 3), "float16"), normal((3, 2), "float16")
    gpu.matmul(a, b)
    once = len(blas.calls())
    assert once == 8 + 1  # each of three matrices transposed or not
    gpu.matmul(a, b)
    assert len(blas.calls()) == once + 1
    gpu.matmul(a, b, nothing((2, 2), "float32"))
    assert len(blas.calls()) == 2 * once + 1


def assert_cupy_computes(gpu, cupys_turn, caplog, reason, dtype="float32", out_dtype="float32"):
    """CuPy's products from here on, and one line in the log that says why."""
    a, b = normal((2, 3), dtype), normal((3, 4), dtype, seed=1)
    with caplog.at_level(logging.WARNING, "npalexnet"):
        for _ in range(2):
            assert_product(gpu.matmul(a, b, nothing((2, 4), out_dtype, "transposed")), a, b)
    assert cupys_turn == [((2, 3), (3, 4))] * 2
    assert len(caplog.messages) == 1
    beginning = (
        f"CuPy instead of cuBLAS computes the matrix products of {dtype} (into {out_dtype}) on GPU 0 from here on: "
    )
    assert caplog.messages[0].startswith(beginning)
    assert reason in caplog.messages[0]


def test_no_pathfinder(gpu, cupys_turn, caplog, monkeypatch):
    monkeypatch.setitem(sys.modules, "cuda.pathfinder", None)
    assert_cupy_computes(gpu, cupys_turn, caplog, "ModuleNotFoundError: ")


def test_no_library(gpu, cupys_turn, caplog, monkeypatch):
    def not_found(name):
        raise RuntimeError(f"Failure finding {name}\nand where it was looked for")

    monkeypatch.setattr(sys.modules["cuda.pathfinder"], "load_nvidia_dynamic_lib", not_found)
    assert_cupy_computes(gpu, cupys_turn, caplog, "RuntimeError: Failure finding cublas")
    assert "\n" not in caplog.messages[0]


def test_a_library_without_the_functions(gpu, blas, cupys_turn, caplog, tmp_path):
    compiler = shutil.which("g++")
    subprocess.run([compiler, "-shared", "-fPIC", "-x", "c", "/dev/null", "-o", tmp_path / "empty.so"], check=True)
    blas.path = str(tmp_path / "empty.so")
    assert_cupy_computes(gpu, cupys_turn, caplog, "AttributeError: ")


@pytest.mark.parametrize("function", ["cublasCreate_v2", "cublasSetStream_v2", "cublasSetWorkspace_v2", "cublasGemmEx"])
def test_a_status_at_the_first_product(gpu, blas, cupys_turn, caplog, function):
    blas.fail(function, 1)
    reason = f"CublasError: {function} returned CUBLAS_STATUS_NOT_INITIALIZED (1)"
    assert_cupy_computes(gpu, cupys_turn, caplog, reason)


def test_a_handle_that_can_not_be_set_up_is_given_back(gpu, blas, cupys_turn, caplog):
    blas.fail("cublasSetMathMode", 7)
    reason = "cublasSetMathMode returned CUBLAS_STATUS_INVALID_VALUE (7)"
    assert_cupy_computes(gpu, cupys_turn, caplog, reason)
    assert (blas.library.fake_handles(False), blas.library.fake_handles(True)) == (0, 1)


def test_a_status_later_on(gpu, blas, cupys_turn, caplog):
    gpu.matmul(normal((2, 3), "float32"), normal((3, 4), "float32"))
    blas.fail("cublasGemmEx", 15)
    assert_cupy_computes(gpu, cupys_turn, caplog, "cublasGemmEx returned CUBLAS_STATUS_NOT_SUPPORTED (15)")


@pytest.mark.parametrize(("dtype", "out_dtype"), PAIRS)
def test_a_library_that_computes_something_else(gpu, blas, cupys_turn, caplog, dtype, out_dtype):
    blas.library.fake_wrong(True)
    assert_cupy_computes(gpu, cupys_turn, caplog, "a small product came out wrong", dtype, out_dtype)


def test_one_dtype_that_fails_leaves_the_others_alone(gpu, blas, cupys_turn, caplog):
    blas.fail("cublasGemmEx", 15)
    gpu.matmul(normal((2, 3), "float16"), normal((3, 4), "float16"))
    blas.fail()
    gpu.matmul(normal((2, 3), "float32"), normal((3, 4), "float32"))
    assert len(cupys_turn) == 1


def test_too_little_memory_is_no_reason_to_give_cublas_up(gpu, cupy, cupys_turn):
    a, b = normal((2, 3), "float32"), normal((3, 4), "float32")
    gpu.matmul(a, b)

    def no_memory(size):
        raise MemoryError("out of memory")

    cupy.allocators.append(no_memory)
    with pytest.raises(MemoryError):
        gpu.matmul(a, b)
    cupy.allocators.pop()
    assert_product(gpu.matmul(a, b), a, b)
    assert cupys_turn == []


def test_products_that_cublas_does_not_know_are_cupys(gpu, blas, cupys_turn):
    integers = np.arange(6).reshape(2, 3).view(made_up_cupy.Array)
    assert (gpu.matmul(integers, integers.T) == integers @ integers.T).all()
    narrow = nothing((2, 2), "float32")
    gpu.matmul(normal((2, 3), "float64"), normal((3, 2), "float64", seed=1), narrow)
    assert_product(narrow, normal((2, 3), "float64"), normal((3, 2), "float64", seed=1))
    assert len(cupys_turn) == 2
    assert blas.calls() == []


@pytest.mark.parametrize(("precision", "compute_type"), [("highest", "fp32"), ("high", "tf32")])
def test_cupy_is_told_the_precision_before_it_has_to_compute(gpu, cupy, blas, precision, compute_type):
    blas.fail("cublasGemmEx", 15)
    na.set_float32_matmul_precision(precision)
    gpu.matmul(normal((2, 3), "float32"), normal((3, 4), "float32"))
    assert cupy.compute_types == {np.float32: compute_type}


def test_a_cupy_that_can_not_be_told_computes_and_it_is_said_once(gpu, cupy, blas, caplog):
    blas.fail("cublasGemmEx", 15)
    del cupy._core._routines_linalg
    with caplog.at_level(logging.WARNING, "npalexnet"):
        for _ in range(2):
            gpu.matmul(normal((2, 3), "float32"), normal((3, 4), "float32"))
    assert [message.split(":")[0] for message in caplog.messages if "told" in message] == [
        "CuPy can't be told to multiply in precision 'highest'"
    ]


def test_cupys_names_for_it_exist():
    linalg = pytest.importorskip("cupy._core._routines_linalg", exc_type=ImportError)
    assert linalg.COMPUTE_TYPE_TF32 != linalg.COMPUTE_TYPE_FP32
    linalg.set_compute_type(np.float32, linalg.COMPUTE_TYPE_FP32)
    assert linalg.get_compute_type(np.float32) == linalg.COMPUTE_TYPE_FP32
