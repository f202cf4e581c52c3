import sys
from types import SimpleNamespace

import numpy as np
import pytest

from npalexnet import backend
from npalexnet.backend import arrays


@pytest.mark.parametrize("name", ["float32", "float64", "float16", "bfloat16"])
def test_inputs_may_have_four_dtypes_by_name(name):
    assert backend.input_dtype(name).name == name


@pytest.mark.parametrize("name", ["int32", "half", "f4", "", None])
def test_other_names_are_refused(name):
    with pytest.raises(ValueError, match="dtype must be one of 'float32', 'float64', 'float16', 'bfloat16'"):
        backend.input_dtype(name)


def test_without_ml_dtypes_there_is_no_bfloat16_and_it_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "ml_dtypes", None)
    with pytest.raises(ValueError, match=r"'bfloat16' needs the package ml_dtypes \(pip install ml_dtypes\)"):
        backend.input_dtype("bfloat16")


@pytest.mark.parametrize(
    ("name", "half", "wide"),
    [
        ("float16", True, "float32"),
        ("bfloat16", True, "float32"),
        ("float32", False, "float32"),
        ("float64", False, "float64"),
    ],
)
def test_numbers_of_16_bits_are_added_up_in_float32(name, half, wide):
    dtype = backend.input_dtype(name)
    assert (dtype.name in backend.HALF) is half
    assert backend.accumulation_dtype(dtype) == np.dtype(wide)


# --- primitives ------------------------------------------------------------------------------------------------------


class Kernels:
    """Doubles what begins with a positive number."""

    def negated(self, x):
        return x * 2 if x[0] > 0 else None


@pytest.fixture
def negated(monkeypatch):
    monkeypatch.setattr(arrays, "PRIMITIVES", {})

    @backend.primitive
    def negated(x):
        return -x

    return negated


def test_a_kernel_takes_a_primitives_place_unless_it_returns_none(negated, monkeypatch):
    x = np.array([3.0])
    assert negated(x) == -3
    monkeypatch.setattr(backend.CPU, "kernels", Kernels(), raising=False)
    assert negated(x) == 6
    assert negated(-x) == 3
    assert arrays.PRIMITIVES["negated"](x) == -3


def test_of_a_list_of_tuples_the_first_array_tells_the_device(negated, monkeypatch):
    monkeypatch.setattr(backend.CPU, "kernels", SimpleNamespace(negated=len), raising=False)
    assert negated([(np.zeros(1), None), (np.zeros(1), None)]) == 2


def test_kernels_without_a_method_of_that_name_are_an_error(negated, monkeypatch):
    monkeypatch.setattr(backend.CPU, "kernels", object(), raising=False)
    with pytest.raises(AttributeError, match="negated"):
        negated(np.array([3.0]))
