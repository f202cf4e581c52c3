"""Linear against torch, the plain loops and slopes."""

import numpy as np
import pytest
from torch import nn

from npalexnet import Linear, naive
from tests.support import (
    assert_close,
    assert_gradients_are_slopes,
    assert_matches_torch,
    forward_backward,
    get,
    normal,
)


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("shape", [(5,), (3, 5), (1, 5), (0, 5), (2, 3, 5), (2, 0, 5), (2, 3, 2, 5)], ids=str)
def test_output_and_gradients_are_torchs(shape, bias, dtype, device):
    layer = Linear(5, 4, bias, dtype=dtype, device=device, seed=0)
    assert_matches_torch(layer, nn.Linear(5, 4, bias), normal(shape, dtype), device)


@pytest.mark.parametrize(
    ("N", "in_features", "out_features"), [(3, 1100, 513), (1030, 7, 3), (513, 600, 512), (1, 1, 1025), (33, 1, 1)]
)
def test_sizes_that_the_tiles_of_the_product_do_not_divide_are_torchs(N, in_features, out_features, dtype, device):
    layer = Linear(in_features, out_features, dtype=dtype, device=device, seed=0)
    assert_matches_torch(layer, nn.Linear(in_features, out_features), normal((N, in_features), dtype), device)


def test_output_and_gradients_are_those_of_the_formula(device):
    layer = Linear(5, 4, dtype="float64", device=device, seed=0)
    x, weight, bias = normal((3, 5)), get(layer.weight.data), get(layer.bias.data)
    grad_y = normal((3, 4), seed=1)
    y, grad_x, gradients = forward_backward(layer, x, grad_y, device)
    assert_close(y, naive.linear(x, weight, bias))
    expected = naive.linear_gradients(grad_y, x, weight)
    for gradient, its_expected in zip((grad_x, gradients["weight"], gradients["bias"]), expected, strict=True):
        assert_close(gradient, its_expected)


def test_gradients_are_slopes():
    assert_gradients_are_slopes(Linear(5, 4, dtype="float64", seed=0), normal((3, 5)))


def test_multiply_adds_are_one_for_each_weight_and_vector():
    assert Linear(5, 4).multiply_adds((3, 5)) == 3 * 5 * 4
    assert Linear(5, 4).multiply_adds((2, 3, 5)) == 2 * 3 * 5 * 4
    assert Linear(5, 4).output_shape((2, 3, 5)) == (2, 3, 4)


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"in_features": 0}, ValueError, "in_features must be at least 1, got 0"),
        ({"in_features": 2.5}, TypeError, r"in_features must be an int, got 2\.5"),
        ({"out_features": -3}, ValueError, "out_features must be at least 1, got -3"),
        ({"dtype": "int32"}, ValueError, "dtype must be 'float32' or 'float64', got 'int32'"),
        ({"device": "gpu"}, ValueError, "device must be 'cpu', 'cuda', 'cuda:N' or 'auto', got 'gpu'"),
        ({"seed": 1.5}, TypeError, r"seed must be an int, a numpy.random.Generator or None, got 1\.5"),
    ],
    ids=str,
)
def test_bad_arguments_are_refused_by_name(change, error, message):
    with pytest.raises(error, match=f"^{message}$"):
        Linear(**{"in_features": 5, "out_features": 4, **change})


@pytest.mark.parametrize(
    ("x", "error", "message"),
    [
        (normal((3, 6), "float32"), ValueError, r"Linear expects an input of shape \(\.\.\., 5\), got \(3, 6\)"),
        (normal((5, 3), "float32"), ValueError, r"got \(5, 3\)"),
        (np.float32(1), ValueError, r"Linear expects an input of shape \(\.\.\., 5\), got \(\)"),
        (normal((3, 5)), TypeError, "Linear's input is of dtype float64, expected float32"),
        (np.ones((3, 5), bool), TypeError, "Linear's input is of dtype bool, expected float32"),
        ([[1.0] * 5], TypeError, "Linear's input: expected a NumPy or CuPy array, got list"),
    ],
    ids=["width", "transposed", "scalar", "float64", "bool", "list"],
)
def test_bad_inputs_are_refused_with_what_is_expected(x, error, message):
    with pytest.raises(error, match=message):
        Linear(5, 4)(x)


def test_repr_says_what_it_was_made_of():
    assert repr(Linear(5, 4, bias=False)) == "Linear(5, 4, bias=False)"
