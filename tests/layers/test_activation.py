"""ReLU and Flatten against torch and the plain loops."""

import numpy as np
import pytest
from torch import nn

from npalexnet import Flatten, ReLU, naive
from tests.support import (
    assert_gradients_are_slopes,
    assert_matches_torch,
    distinct,
    forward_backward,
    normal,
    torch_forward_backward,
)

SHAPES = [(7,), (3, 5), (33, 2), (9, 3, 4, 5), (0, 3), (2, 0, 3), (1, 2, 3, 2, 2)]


@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_relu_is_torchs(shape, dtype, device):
    assert_matches_torch(ReLU(), nn.ReLU(), distinct(shape, dtype), device)


def test_relu_is_its_definition_at_zero_nan_and_infinity(dtype, device):
    x = np.array([[-1, 0, -0.0, 2], [np.nan, np.inf, -np.inf, 1e-30]], dtype)
    grad_y = normal((2, 4), dtype)
    y, grad_x, _ = forward_backward(ReLU(), x, grad_y, device)
    np.testing.assert_array_equal(y, naive.relu(x))
    np.testing.assert_array_equal(grad_x, naive.relu_gradient(grad_y, x))
    expected_y, expected_grad_x, _ = torch_forward_backward(nn.ReLU(), x, grad_y)
    np.testing.assert_array_equal(y, expected_y.numpy())
    np.testing.assert_array_equal(grad_x, expected_grad_x.numpy())


def test_an_infinite_gradient_does_not_become_nan_where_relu_is_shut(dtype, device):
    grad_y = np.array([[np.inf, np.nan, np.inf]], dtype)
    _, grad_x, _ = forward_backward(ReLU(), np.array([[-1, 0, 1]], dtype), grad_y, device)
    np.testing.assert_array_equal(grad_x, [[0, 0, np.inf]])


def test_relu_gradient_is_the_slope():
    assert_gradients_are_slopes(ReLU(), distinct((3, 4)))


@pytest.mark.parametrize("shape", SHAPES[1:], ids=str)
def test_flatten_is_torchs(shape, dtype, device):
    assert_matches_torch(Flatten(), nn.Flatten(), normal(shape, dtype), device)


def test_flatten_of_channels_last_memory_is_in_the_order_of_the_axes(dtype, device):
    x = np.ascontiguousarray(normal((2, 4, 5, 3), dtype)).transpose(0, 3, 1, 2)
    grad_y = normal((2, 60), dtype, seed=1)
    y, grad_x, _ = forward_backward(Flatten(), x, grad_y, device)
    np.testing.assert_array_equal(y, [image.ravel() for image in x])
    np.testing.assert_array_equal(grad_x, grad_y.reshape(2, 3, 4, 5))


def test_flatten_of_vectors_of_one_number_has_a_feature_axis(device):
    y, grad_x, _ = forward_backward(Flatten(), normal(3), normal((3, 1)), device)
    assert y.shape == (3, 1)
    assert grad_x.shape == (3,)


@pytest.mark.parametrize("layer", [ReLU(), Flatten()], ids=repr)
@pytest.mark.parametrize(
    ("x", "error", "message"),
    [
        (np.float32(3), ValueError, r"expects a batch, got an input of shape \(\)"),
        (np.ones((2, 3), int), TypeError, "input is of dtype int64, expected float32, float64, float16 or bfloat16"),
        (
            np.ones((2, 3), complex),
            TypeError,
            "input is of dtype complex128, expected float32, float64, float16 or bfloat16",
        ),
        ([1.0, 2.0], TypeError, "expected a NumPy or CuPy array, got list"),
    ],
    ids=["scalar", "int", "complex", "list"],
)
def test_bad_inputs_are_refused_with_what_is_expected(layer, x, error, message):
    with pytest.raises(error, match=f"^{type(layer).__name__}.*{message}"):
        layer(x)
