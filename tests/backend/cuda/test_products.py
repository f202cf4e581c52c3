"""Matrix products by cuBLAS: which matrices, how exactly, on which stream and by which thread's handle."""

import itertools
import threading

import numpy as np
import pytest

import npalexnet as na
from tests.fakes.cublas import DTYPES, PAIRS, UNTOUCHED, assert_product, normal, nothing
from tests.fakes.cupy import FakeArray
from tests.fakes.launcher import SparseMemory

LAYOUTS = ("plain", "transposed", "slice", "transposed slice")


@pytest.fixture
def no_copies(cupy):
    """A CuPy that makes no arrays but those that begin on the host."""

    def refuse(*arguments):
        raise AssertionError("a copy was made")

    cupy.empty = cupy.ascontiguousarray = refuse


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
    whole = SparseMemory.empty((2, 2**31 + 8), np.dtype("float32")).view(FakeArray)
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
    a, b, out = (None if shape is None else np.zeros(shape, "float32").view(FakeArray) for shape in shapes)
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
    a = np.full((1, 4), 300, "float16").view(FakeArray)
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
    assert len(blas.handles) == 1 + 3
    assert blas.destroyed == 0


def test_the_first_product_of_each_pair_of_dtypes_is_preceded_by_a_check(gpu, blas):
    a, b = normal((2, 3), "float16"), normal((3, 2), "float16")
    gpu.matmul(a, b)
    once = len(blas.calls())
    assert once == 8 + 1  # each of three matrices transposed or not
    gpu.matmul(a, b)
    assert len(blas.calls()) == once + 1
    gpu.matmul(a, b, nothing((2, 2), "float32"))
    assert len(blas.calls()) == 2 * once + 1
