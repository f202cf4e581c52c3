"""gradcheck finds every planted fault at a smooth point: no kink nearby, no rounding and no curvature excuses it."""

import numpy as np
import pytest

import npalexnet as na
from npalexnet.gradcheck import gradcheck
from tests.faulty import Affine, BatchNorm, Elementwise, findings, one_wrong, relu
from tests.support import distinct, normal

SPOILT = {
    "input, factor 2": ("input", lambda x, w, b: (2 * x, w, b)),
    "input, sign": ("input", lambda x, w, b: (-x, w, b)),
    "input, one element": ("input", lambda x, w, b: (one_wrong(x, (1, 2), 2), w, b)),
    "input, one element missing": ("input", lambda x, w, b: (one_wrong(x, (0, 3), 0), w, b)),
    "input, one element by 1e-4": ("input", lambda x, w, b: (one_wrong(x, (1, 0), 1.0001), w, b)),
    "input, missing": ("input", lambda x, w, b: (0 * x, w, b)),
    "input, NaN": ("input", lambda x, w, b: (one_wrong(x, (0, 0), np.nan), w, b)),
    "weight, by 1e-4": ("weight", lambda x, w, b: (x, 1.0001 * w, b)),
    "weight, by 1e-5": ("weight", lambda x, w, b: (x, 0.99999 * w, b)),
    "weight, one element": ("weight", lambda x, w, b: (x, one_wrong(w, (2, 1), -1), b)),
    "weight, another order": ("weight", lambda x, w, b: (x, w[::-1].copy(), b)),
    "bias, mean instead of sum": ("bias", lambda x, w, b: (x, w, b / 2)),
    "bias, a term missing": ("bias", lambda x, w, b: (x, w, b - 1e-3)),
}


@pytest.mark.parametrize("seed", [0, 1])
@pytest.mark.parametrize(("array", "spoil"), SPOILT.values(), ids=SPOILT.keys())
def test_a_wrong_gradient_is_found_where_it_is_and_nowhere_else(array, spoil, seed):
    report = gradcheck(Affine(spoil), normal((2, 4)), seed=seed, raise_exception=False)
    assert not report.ok
    assert [name for name, verdict in findings(report).items() if verdict != "ok"] == [array]
    assert not report.not_differentiable


@pytest.mark.parametrize("spoil", [lambda g: 2 * g, lambda g: -g, lambda g: 1.0001 * g, lambda g: one_wrong(g, 3, 0)])
def test_directions_alone_find_wrong_gradients(spoil):
    layer = Affine(lambda x, w, b: (spoil(x.reshape(-1)).reshape(x.shape), w, b))
    report = gradcheck(layer, normal((2, 4)), max_elements=0, raise_exception=False)
    assert findings(report) == {"input": "WRONG", "weight": "ok", "bias": "ok"}


@pytest.mark.parametrize("distance", [1.0, 1e-3, 1e-5, 1e-6, 1e-7, 1e-8, 1e-9])
@pytest.mark.parametrize("wrong", [lambda x: np.ones_like(x), lambda x: x < 0, lambda x: 1e-4 * (x > 0)])
def test_a_wrong_subgradient_beside_a_kink_is_not_excused_by_it(distance, wrong):
    report = gradcheck(relu(wrong), distance * distinct((3, 8)), directions=0, raise_exception=False)
    assert findings(report) == {"input": "WRONG"}
    assert not report.not_differentiable


@pytest.mark.parametrize("factor", [2.0, 1.0001])
def test_a_kink_in_one_element_does_not_excuse_a_wrong_gradient_of_another(factor):
    x = distinct((2, 6))
    x[0, 0] = 0
    report = gradcheck(relu(lambda x: (factor - 1) * (x > 0)), x, raise_exception=False)
    assert findings(report) == {"input": "WRONG"}


@pytest.mark.parametrize("offset", [0.0, 1e3])
def test_rounding_does_not_excuse_a_gradient_that_is_wrong_by_1e4th(offset):
    assert findings(gradcheck(BatchNorm(offset, 1.0001), normal((8, 4)), raise_exception=False))["input"] == "WRONG"


def test_curvature_does_not_excuse_a_wrong_gradient():
    steep = Elementwise(lambda x: np.logaddexp(0, 1e5 * x) / 1e5, lambda x: 1.0001 / (1 + np.exp(-1e5 * x)))
    assert findings(gradcheck(steep, 1e-5 * normal((2, 20)), raise_exception=False)) == {"input": "WRONG"}


def test_a_layer_that_computes_in_float32_inside_is_found():
    layer = Elementwise(lambda x: np.tanh(x.astype("float32")).astype("float64"), lambda x: 1 - np.tanh(x) ** 2)
    report = gradcheck(layer, normal((2, 20)), raise_exception=False)
    assert findings(report) == {"input": "WRONG"}
    assert not report.not_differentiable


def test_a_parameter_that_backward_forgets_is_found():
    class Forgetful(Affine):
        def gradients(self, grad_y, x):
            grad_x, pairs = super().gradients(grad_y, x)
            return grad_x, pairs[:1]

    assert findings(gradcheck(Forgetful(), normal((2, 4)), raise_exception=False))["bias"] == "WRONG"


def test_a_convolution_with_a_planted_fault_is_found():
    class Unpadded(na.Conv2d):  # forgets that the gradient of the padding is not the image's
        def gradients(self, grad_y, x):
            grad_x, pairs = super().gradients(grad_y, x)
            return np.roll(grad_x, 1, axis=3), pairs

    report = gradcheck(
        Unpadded(1, 2, 3, padding=1, dtype="float64", seed=0), normal((1, 1, 4, 4)), raise_exception=False
    )
    assert findings(report) == {"input": "WRONG", "weight": "ok", "bias": "ok"}
