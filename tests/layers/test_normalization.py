"""LocalResponseNorm and SpatialResponseNorm against torch, the plain loops and slopes."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from npalexnet import LocalResponseNorm, SpatialResponseNorm, naive
from tests.support import (
    PROPERTY,
    assert_close,
    assert_gradients_are_slopes,
    assert_matches_torch,
    forward_backward,
    normal,
)


@pytest.mark.parametrize("size", [1, 2, 3, 4, 5, 6, 11])
def test_windows_of_channels_that_stick_out_are_cut_as_in_torch(size, dtype, device):
    arguments = {"size": size, "alpha": 0.5, "beta": 0.75, "k": 2.0}
    layer, twin = LocalResponseNorm(**arguments), nn.LocalResponseNorm(**arguments)
    assert_matches_torch(layer, twin, normal((3, 6, 4, 5), dtype), device)


def test_the_default_arguments_are_torchs(device):
    assert_matches_torch(LocalResponseNorm(5), nn.LocalResponseNorm(5), normal((2, 8, 3, 3)) * 30, device)


@pytest.mark.parametrize("arguments", [{"alpha": 5e-4}, {"alpha": 1e-4, "divide_alpha": False}], ids=str)
def test_the_papers_constants_are_torchs_with_alpha_times_size(arguments, device):
    layer = LocalResponseNorm(5, beta=0.75, k=2, **arguments)
    x = normal((2, 8, 3, 3)) * 30
    squares = np.pad(x**2, ((0, 0), (2, 2), (0, 0), (0, 0)))
    d = 2 + 1e-4 * sum(squares[:, i : i + 8] for i in range(5))  # section 3.3, where alpha is not divided by size
    y, _, _ = forward_backward(layer, x, x, device)
    assert_close(y, x / d**0.75)


@pytest.mark.parametrize("shape", [(2, 4, 5), (2, 4, 3, 2), (2, 4, 2, 2, 3), (0, 4, 2, 2), (1, 1, 2, 2)], ids=str)
def test_any_number_of_axes_is_torchs(shape, dtype, device):
    layer, twin = LocalResponseNorm(3, 0.9, 0.4, 0.7), nn.LocalResponseNorm(3, 0.9, 0.4, 0.7)
    assert_matches_torch(layer, twin, normal(shape, dtype), device)


@pytest.mark.parametrize("size", [1, 4, 5])
def test_output_and_gradient_are_those_of_the_formula(size, device):
    x, grad_y = normal((2, 6, 2, 3)), normal((2, 6, 2, 3), seed=1)
    y, grad_x, _ = forward_backward(LocalResponseNorm(size, 0.5, 0.75, 2), x, grad_y, device)
    assert_close(y, naive.local_response_norm(x, size, 0.5, 0.75, 2))
    assert_close(grad_x, naive.local_response_norm_gradient(grad_y, x, size, 0.5, 0.75, 2))


@pytest.mark.parametrize("groups", [1, 2, 3, 6])
@pytest.mark.parametrize("size", [1, 4, 5])
def test_groups_are_normalised_each_by_itself_as_torch_does_with_each(size, groups, dtype, device):
    class Apart(nn.Module):
        def forward(self, x):
            norm = nn.LocalResponseNorm(size, 0.5, 0.75, 2.0)
            return torch.cat([norm(part) for part in x.chunk(groups, dim=1)], dim=1)

    layer = LocalResponseNorm(size, 0.5, 0.75, 2.0, groups=groups)
    assert_matches_torch(layer, Apart(), normal((3, 6, 4, 5), dtype), device)


@pytest.mark.parametrize(("size", "divide_alpha", "groups"), [(5, False, 1), (4, False, 2), (3, True, 3), (5, True, 2)])
def test_other_forms_are_those_of_the_formula(size, divide_alpha, groups, device):
    x, grad_y = normal((2, 6, 2, 3)), normal((2, 6, 2, 3), seed=1)
    layer = LocalResponseNorm(size, 0.5, 0.75, 2, divide_alpha=divide_alpha, groups=groups)
    y, grad_x, _ = forward_backward(layer, x, grad_y, device)
    assert_close(y, naive.local_response_norm(x, size, 0.5, 0.75, 2, divide_alpha, groups))
    assert_close(grad_x, naive.local_response_norm_gradient(grad_y, x, size, 0.5, 0.75, 2, divide_alpha, groups))


def spatial_twin(size, alpha, beta, k):
    """Torch's, whose average pooling divides by size**2, the zeros around the image included."""

    class Twin(nn.Module):
        def forward(self, x):
            padded = nn.functional.pad(x**2, (size // 2, (size - 1) // 2) * 2)
            return x * (k + alpha * nn.functional.avg_pool2d(padded, size, 1)) ** -beta

    return Twin()


@pytest.mark.parametrize("size", [1, 2, 3, 5, 6])
def test_normalisation_over_pixels_is_torchs_average_of_squares(size, dtype, device):
    layer, twin = SpatialResponseNorm(size, 0.9, 0.75, 2.0), spatial_twin(size, 0.9, 0.75, 2.0)
    assert_matches_torch(layer, twin, normal((3, 4, 6, 5), dtype), device)


@pytest.mark.parametrize("size", [1, 2, 5])
def test_normalisation_over_pixels_is_that_of_the_formula(size, device):
    x, grad_y = normal((2, 3, 4, 6)), normal((2, 3, 4, 6), seed=1)
    y, grad_x, _ = forward_backward(SpatialResponseNorm(size, 0.9, 0.6, 1.5), x, grad_y, device)
    assert_close(y, naive.spatial_response_norm(x, size, 0.9, 0.6, 1.5))
    assert_close(grad_x, naive.spatial_response_norm_gradient(grad_y, x, size, 0.9, 0.6, 1.5))


@pytest.mark.parametrize("N", [0, 1, 9, 33])
def test_no_image_is_lost_where_pixels_are_neighbours(N, device):
    assert_matches_torch(SpatialResponseNorm(3, 0.9), spatial_twin(3, 0.9, 0.75, 1.0), normal((N, 2, 3, 4)), device)


@pytest.mark.parametrize(
    "layer",
    [LocalResponseNorm(3, 0.5, divide_alpha=False, groups=2), SpatialResponseNorm(2, 0.5), SpatialResponseNorm(3, 0.5)],
    ids=repr,
)
def test_gradients_of_other_forms_are_slopes(layer):
    assert_gradients_are_slopes(layer, normal((2, 6, 3, 3)))


@pytest.mark.parametrize("size", [2, 5])
def test_gradient_is_the_slope(size):
    assert_gradients_are_slopes(LocalResponseNorm(size, 0.5, 0.75, 2), normal((2, 6, 2, 3)))


@PROPERTY
@given(
    size=st.integers(1, 9),
    channels=st.integers(1, 7),
    N=st.integers(0, 3),
    alpha=st.floats(0, 2),
    beta=st.floats(0, 2),
    k=st.floats(0.5, 3),
)
def test_any_size_is_torchs(device, size, channels, N, alpha, beta, k):
    layer, twin = LocalResponseNorm(size, alpha, beta, k), nn.LocalResponseNorm(size, alpha, beta, k)
    assert_matches_torch(layer, twin, normal((N, channels, 2, 3)), device)


@pytest.mark.parametrize("N", [1, 2, 7, 8, 9, 33])
def test_no_image_is_lost_however_the_batch_is_cut(N, device):
    layer, twin = LocalResponseNorm(3, 0.9), nn.LocalResponseNorm(3, 0.9)
    assert_matches_torch(layer, twin, normal((N, 4, 2, 3)), device)


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"size": 0}, ValueError, "size must be at least 1, got 0"),
        ({"size": 2.0}, TypeError, r"size must be an int, got 2\.0"),
        ({"size": 5, "alpha": "1"}, TypeError, "alpha must be a number, got '1'"),
        ({"size": 5, "beta": None}, TypeError, "beta must be a number, got None"),
        ({"size": 5, "k": True}, TypeError, "k must be a number, got True"),
        ({"size": 5, "groups": 0}, ValueError, "groups must be at least 1, got 0"),
    ],
    ids=str,
)
def test_bad_arguments_are_refused_by_name(arguments, error, message):
    with pytest.raises(error, match=f"^{message}$"):
        LocalResponseNorm(**arguments)


@pytest.mark.parametrize(
    ("x", "error", "message"),
    [
        (normal((2, 3)), ValueError, r"LocalResponseNorm expects an input of shape \(N, C, \.\.\.\), got \(2, 3\)"),
        (np.ones((2, 3, 4), int), TypeError, "LocalResponseNorm's input is of dtype int64"),
    ],
    ids=["vectors", "int"],
)
def test_bad_inputs_are_refused_with_what_is_expected(x, error, message):
    with pytest.raises(error, match=message):
        LocalResponseNorm(3)(x)


def test_channels_that_the_groups_do_not_divide_are_refused():
    message = r"LocalResponseNorm expects channels that 4 groups divide, got an input of shape \(2, 6, 3, 3\)"
    with pytest.raises(ValueError, match=message):
        LocalResponseNorm(3, groups=4)(normal((2, 6, 3, 3)))


def test_normalisation_over_pixels_refuses_what_are_no_images():
    with pytest.raises(
        ValueError, match=r"SpatialResponseNorm expects an input of shape \(N, C, H, W\), got \(2, 3, 4\)"
    ):
        SpatialResponseNorm(3)(normal((2, 3, 4)))
    with pytest.raises(ValueError, match="size must be at least 1, got 0"):
        SpatialResponseNorm(0)


def test_repr_says_what_it_was_made_of():
    layer = LocalResponseNorm(5, k=2, divide_alpha=False, groups=2)
    assert repr(layer) == "LocalResponseNorm(5, alpha=0.0001, beta=0.75, k=2.0, divide_alpha=False, groups=2)"
    assert repr(SpatialResponseNorm(5)) == "SpatialResponseNorm(5, alpha=0.0001, beta=0.75, k=1.0)"
    assert repr(LocalResponseNorm(5, k=2)) == "LocalResponseNorm(5, alpha=0.0001, beta=0.75, k=2.0)"


@pytest.mark.parametrize("arguments", [{}, {"alpha": 1.0, "k": 2.0}, {"beta": 2.0}], ids=str)
@pytest.mark.parametrize(
    ("dtype", "size"), [("float32", 1e19), ("float32", 3e38), ("float64", 1e155), ("float64", 1e308)]
)
def test_outputs_and_gradients_of_huge_numbers_are_finite_as_torchs_are(dtype, size, arguments):
    x, grad_y = np.clip(normal((2, 6, 2, 2), dtype), -1, 1) * size, normal((2, 6, 2, 2), dtype, seed=1)
    twin_x = torch.tensor(x.astype(dtype), requires_grad=True)
    twin_y = nn.LocalResponseNorm(5, **arguments)(twin_x)
    twin_y.backward(torch.tensor(grad_y))
    layer = LocalResponseNorm(5, **arguments)
    with np.errstate(over="ignore"):  # of x * x
        y, grad_x = layer(x.astype(dtype)), layer.backward(grad_y)
    for array, twin in ((y, twin_y.detach().numpy()), (grad_x, twin_x.grad.numpy())):
        assert np.isfinite(array[np.isfinite(twin)]).all()
        assert np.isfinite(twin).all() or arguments == {"beta": 2.0}  # there 0 * infinity
    np.testing.assert_allclose(y, twin_y.detach().numpy(), rtol=1e-5)
