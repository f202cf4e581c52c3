"""What a device has to offer, on every device that is usable here."""

import itertools

import ml_dtypes
import numpy as np
import pytest

from npalexnet import backend
from tests.support import get, normal, put

TOLERANCE = {"float64": 1e-14, "float32": 1e-6, "float16": 2e-3, "bfloat16": 2e-2}  # of the sum of absolute products


def views(device, shape, dtype, seed):
    """The same numbers in four ways: plain, transposed, as some columns of a wider matrix, and those transposed."""
    values = normal(shape, seed=seed).astype(dtype)
    for transposed in (False, True):
        rows = np.ascontiguousarray(values.T if transposed else values)
        wide = np.ascontiguousarray(np.pad(rows.astype("float64"), ((0, 0), (2, 3))).astype(dtype))
        for view in (put(rows, device), put(wide, device)[:, 2 : 2 + rows.shape[1]]):
            yield view.T if transposed else view


@pytest.mark.parametrize(
    ("dtype", "out_dtype"),
    [
        ("float64", "float64"),
        ("float32", "float32"),
        ("float16", "float16"),
        ("float16", "float32"),
        ("bfloat16", "bfloat16"),
        ("bfloat16", "float32"),
    ],
)
def test_products_of_matrices_that_lie_in_memory_in_all_ways(device, dtype, out_dtype):
    kinds = {"bfloat16": np.dtype(ml_dtypes.bfloat16)}
    kind, out_kind = kinds.get(dtype, np.dtype(dtype)), kinds.get(out_dtype, np.dtype(out_dtype))
    lefts, rights = list(views(device, (6, 9), kind, 1)), list(views(device, (9, 5), kind, 2))
    outs = list(views(device, (6, 5), out_kind, 3))
    for a, b, out in itertools.product(lefts, rights, outs):
        assert backend.get_device(device).matmul(a, b, out) is out
        left, right, found = (get(array).astype("float64") for array in (a, b, out))
        assert (abs(found - left @ right) <= TOLERANCE[dtype] * (abs(left) @ abs(right))).all()
    if device == "cuda":  # and not CuPy in its place
        assert backend.get_device(device).products_by_cublas()[f"{dtype} into {out_dtype}"]


def test_a_product_of_halves_that_is_too_large_for_them_fits_a_float32_result():
    device = backend.get_device("fake")
    a, out = device.from_host(np.full((1, 4), 300, "float16")), device.from_host(np.zeros((1, 1), "float32"))
    device.matmul(a, a.T, out)
    assert get(out).tolist() == [[4 * 300.0**2]]


def test_an_empty_product(device):
    for M, N, K in ((0, 3, 2), (3, 0, 2), (3, 2, 0)):
        a, b = put(np.ones((M, K), "float32"), device), put(np.ones((K, N), "float32"), device)
        found = get(backend.get_device(device).matmul(a, b))
        assert found.shape == (M, N)
        assert not found.any()


@pytest.mark.parametrize(
    ("a", "b", "out"), [((2, 3), (4, 5), None), ((2, 3), (3, 5), (5, 2)), ((2, 3), (3, 5), (1, 5))]
)
def test_shapes_that_do_not_fit_are_refused(a, b, out):
    device = backend.get_device("fake")
    a, b, out = (None if shape is None else device.from_host(np.ones(shape, "float32")) for shape in (a, b, out))
    with pytest.raises(ValueError, match=r"must be of shape"):
        device.matmul(a, b, out)
