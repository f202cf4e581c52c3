import sys

import numpy as np
import pytest

from npalexnet import backend


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
