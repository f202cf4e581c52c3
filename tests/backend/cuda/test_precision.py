import pytest

import npalexnet as na


@pytest.fixture(autouse=True)
def as_before():
    yield
    na.set_float32_matmul_precision("highest")


def test_strict_float32_is_the_default():
    assert na.get_float32_matmul_precision() == "highest"


def test_a_choice_is_kept():
    na.set_float32_matmul_precision("high")
    assert na.get_float32_matmul_precision() == "high"


@pytest.mark.parametrize("precision", ["tf32", "medium", None, 1])
def test_other_names_are_refused_and_change_nothing(precision):
    with pytest.raises(ValueError, match="precision must be 'highest'"):
        na.set_float32_matmul_precision(precision)
    assert na.get_float32_matmul_precision() == "highest"
