"""When CuPy computes the matrix products instead of cuBLAS, and what is said of it."""

import logging
import shutil
import subprocess
import sys

import numpy as np
import pytest

import npalexnet as na
from tests.fakes.cublas import PAIRS, assert_product, normal, nothing
from tests.fakes.cupy import FakeArray


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
    assert (len(blas.handles), blas.destroyed) == (0, 1)


def test_a_status_later_on(gpu, blas, cupys_turn, caplog):
    gpu.matmul(normal((2, 3), "float32"), normal((3, 4), "float32"))
    blas.fail("cublasGemmEx", 15)
    assert_cupy_computes(gpu, cupys_turn, caplog, "cublasGemmEx returned CUBLAS_STATUS_NOT_SUPPORTED (15)")


@pytest.mark.parametrize(("dtype", "out_dtype"), PAIRS)
def test_a_library_that_computes_something_else(gpu, blas, cupys_turn, caplog, dtype, out_dtype):
    blas.wrong = True
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
    integers = np.arange(6).reshape(2, 3).view(FakeArray)
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
