"""Clipping the gradients' norm, beside torch's."""

import numpy as np
import pytest
import torch

import npalexnet as na
from npalexnet.optim import clipping
from tests.support import assert_close, get, normal, put, tensor

SHAPES = [(3, 4), (5,), (2, 3, 2, 2), (700, 3000), (), (0, 3)]


def pairs(device="cpu", dtype="float32"):
    parameters = [na.Parameter(put(normal(shape, dtype, i), device)) for i, shape in enumerate(SHAPES)]
    twins = [torch.nn.Parameter(tensor(get(p.data))) for p in parameters]
    for i, (parameter, twin) in enumerate(zip(parameters, twins, strict=True)):
        if i != 1:
            gradient = normal(parameter.shape, dtype, 50 + i)
            parameter.grad, twin.grad = put(gradient, device), tensor(gradient)
    return parameters, twins


@pytest.mark.parametrize("max_norm", [0.5, 1e3, 1e5, np.inf])
def test_norm_and_gradients_are_torchs(max_norm, device, dtype):
    parameters, twins = pairs(device, dtype)
    given = [get(p.grad).copy() for p in parameters if p.grad is not None]
    arrays = [p.grad for p in parameters if p.grad is not None]
    norm = na.clip_grad_norm_(parameters, max_norm)
    assert norm == pytest.approx(np.sqrt(sum(np.square(g, dtype="float64").sum() for g in given)), rel=1e-12)
    assert norm == pytest.approx(torch.nn.utils.clip_grad_norm_(twins, max_norm).item(), rel=1e-4)  # in float32
    for parameter, twin in zip(parameters, twins, strict=True):
        if twin.grad is None:
            assert parameter.grad is None
        else:
            assert_close(parameter.grad, twin.grad, 1e-4 if dtype == "float32" else 1e-10)
    for array, values in zip(arrays, given, strict=True):
        np.testing.assert_array_equal(get(array), values)  # the caller's stay


def test_a_norm_by_hand():
    parameter = na.Parameter(np.zeros(2))
    parameter.grad = np.array([3.0, 4.0])
    assert na.clip_grad_norm_([parameter], 1.0) == 5.0
    np.testing.assert_allclose(parameter.grad, [0.6, 0.8], rtol=1e-6)


def test_the_order_in_memory_stays_and_pieces_add_up(monkeypatch):
    monkeypatch.setattr(clipping, "NUMBERS_AT_A_TIME", 7)
    parameter = na.Parameter(np.zeros((2, 3, 4, 5)).transpose(3, 2, 0, 1))
    gradient = parameter.grad = normal((2, 3, 4, 5)).transpose(3, 2, 0, 1)
    assert na.clip_grad_norm_([parameter], 0.1) == pytest.approx(np.linalg.norm(gradient.ravel()), rel=1e-12)
    assert parameter.grad.strides == gradient.strides


@pytest.mark.parametrize("bad", [np.inf, np.nan])
def test_a_norm_that_is_not_finite_is_an_error_on_demand_and_changes_nothing(bad):
    parameter = na.Parameter(np.zeros(2))
    gradient = parameter.grad = np.array([1.0, bad])
    with pytest.raises(RuntimeError, match=r"the norm of the gradients is (inf|nan)"):
        na.clip_grad_norm_([parameter], 1.0, error_if_nonfinite=True)
    assert parameter.grad is gradient
    with np.errstate(invalid="ignore"):
        assert not np.isfinite(na.clip_grad_norm_([parameter], 1.0))


@pytest.mark.parametrize("max_norm", [0, -1.0, np.nan])
def test_a_norm_that_can_not_be_is_refused(max_norm):
    with pytest.raises(ValueError, match="max_norm must be above 0, got"):
        na.clip_grad_norm_([], max_norm)


def test_scaled_gradients_are_unscaled_once_before_they_are_clipped():
    parameter = na.Parameter(np.zeros(2, "float32"))
    optimizer, scaler = na.SGD([parameter], lr=1.0), na.GradScaler(init_scale=8.0)
    parameter.grad = np.array([24.0, 32.0], "float32")
    scaler.unscale_(optimizer)
    with pytest.raises(RuntimeError, match="call update"):
        scaler.unscale_(optimizer)
    assert na.clip_grad_norm_([parameter], 1.0) == 5.0
    assert scaler.step(optimizer)
    scaler.update()
    np.testing.assert_allclose(parameter.data, [-0.6, -0.8], rtol=1e-6)
    parameter.grad = np.array([np.inf, 0.0], "float32")
    scaler.unscale_(optimizer)
    assert not scaler.step(optimizer)
    scaler.update()
    assert scaler.get_scale() == 4.0


@pytest.mark.parametrize(("dtype", "size"), [("float32", 1e38), ("float64", 1e160), ("float64", 1e300)])
def test_gradients_whose_squares_are_too_large_are_clipped(dtype, size):
    gradient = np.clip(normal((5, 40), "float64"), -3, 3)
    parameter = na.Parameter(np.zeros((5, 40), dtype))
    parameter.grad = (gradient * size).astype(dtype)
    norm = np.linalg.norm(gradient)
    assert na.clip_grad_norm_([parameter], 1.0) / size == pytest.approx(norm, rel=1e-6)
    np.testing.assert_allclose(parameter.grad, gradient / norm, rtol=1e-5)


@pytest.mark.parametrize("divide", [False, True], ids=["clip", "unscale"])
@pytest.mark.parametrize(
    ("gradient", "error", "message"),
    [
        ([1.0, 1.0], TypeError, "a parameter's gradient: expected a NumPy or CuPy array, got list"),
        (torch.ones(2), TypeError, "a parameter's gradient: expected a NumPy or CuPy array, got Tensor"),
        (np.ones(2, "complex64"), TypeError, "a parameter's gradient is of dtype complex64, expected float32"),
        (np.ones(2), TypeError, "a parameter's gradient is of dtype float64, expected float32: cast it"),
        (np.ones((1, 2), "float32"), ValueError, r"a gradient must have its parameter's shape \(2,\), got \(1, 2\)"),
    ],
)
def test_a_gradient_that_does_not_fit_its_parameter_is_refused_and_the_others_stay(gradient, error, message, divide):
    good, bad = na.Parameter(np.zeros(2, "float32")), na.Parameter(np.zeros(2, "float32"))
    good.grad, bad.grad = np.full(2, 8, "float32"), gradient
    scaler, optimizer = na.GradScaler(init_scale=8.0), na.SGD([good, bad], lr=1.0)
    with pytest.raises(error, match=message):
        scaler.unscale_(optimizer) if divide else na.clip_grad_norm_([good, bad], 1.0)
    np.testing.assert_array_equal(good.grad, 8)
    assert bad.grad is gradient


@pytest.mark.parametrize("parameters", [None, na.Parameter(np.zeros(2)), {"a": 1}, "ab", [None]])
def test_what_are_no_parameters_is_refused(parameters):
    with pytest.raises(TypeError, match=r"^parameters must be "):
        na.clip_grad_norm_(parameters, 1.0)


@pytest.mark.parametrize("max_norm", [None, "1", True, 1j])
def test_a_norm_that_is_no_number_is_refused(max_norm):
    with pytest.raises(TypeError, match=r"^max_norm must be a number, got "):
        na.clip_grad_norm_([], max_norm)
