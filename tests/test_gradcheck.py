"""gradcheck passes right gradients, tells kinks from faults, changes nothing, and says what it found."""

import copy

import numpy as np
import pytest

import npalexnet as na
from npalexnet.cli.gradcheck import check_all_layers
from npalexnet.gradcheck import GradcheckError, gradcheck
from npalexnet.layers.winograd import Winograd
from tests.faulty import Affine, BatchNorm, Elementwise, findings, one_wrong, relu
from tests.support import distinct, normal, put

# --- right gradients pass --------------------------------------------------------------------------------------------


def test_every_layer_of_the_package_has_right_gradients():
    names = []
    for name, report in check_all_layers(max_elements=20, directions=1):
        assert report.ok, f"{name}\n{report}"
        assert not report.not_differentiable, f"{name}\n{report}"
        assert report.worst.error < 1e-6, f"{name}\n{report}"
        names.append(name)
    assert len(names) == len(set(names))
    for kind in (
        "Conv2d",
        "MaxPool2d",
        "AvgPool2d",
        "AdaptiveAvgPool2d",
        "Linear",
        "ReLU",
        "LocalResponseNorm",
        "SpatialResponseNorm",
        "Dropout",
        "Flatten",
        "Cross",
        "Sequent",
    ):
        assert any(name.startswith(kind) for name in names)


def test_it_works_on_the_arrays_of_every_device(device):
    layer = na.Conv2d(2, 3, 3, stride=2, padding=1, dtype="float64", device=device, seed=0)
    report = gradcheck(layer, put(normal((2, 2, 5, 4)), device), max_elements=5)
    assert [(row.name, row.elements, row.directions) for row in report.rows] == [
        ("input", 5, 3),
        ("weight", 5, 3),
        ("bias", 3, 3),
    ]


@pytest.mark.parametrize(("setting", "expected"), [("auto", "im2col"), ("im2col", "im2col"), ("winograd", "winograd")])
def test_convolutions_are_computed_with_im2col_unless_winograds_algorithm_was_set(setting, expected):
    met = set()

    def square(x):
        met.add(na.get_convolution_algorithm())
        return x**2

    with na.convolution_algorithm(setting):
        assert gradcheck(Elementwise(square, lambda x: 2 * x), normal((2, 3))).ok
        assert na.get_convolution_algorithm() == setting
    assert met == {expected}


@pytest.mark.parametrize("setting", ["auto", "im2col", "winograd"])
def test_winograds_algorithm_is_checked_if_it_is_set_or_the_layers_own(monkeypatch, setting):
    output, computed = Winograd.output, []
    monkeypatch.setattr(Winograd, "output", lambda *args, **how: computed.append(1) or output(*args, **how))
    layer = na.Conv2d(2, 4, 3, padding=1, dtype="float64", seed=0)
    with na.convolution_algorithm(setting):
        gradcheck(layer, normal((2, 2, 6, 4)), max_elements=0)
        assert bool(computed) == (setting == "winograd")
        layer.algorithm = Winograd()
        gradcheck(layer, normal((2, 2, 6, 4)), max_elements=0)
        assert computed


@pytest.mark.parametrize("offset", [0.0, 1.0, 1e3, 1e6])
def test_gradients_that_are_only_rounding_are_not_taken_for_wrong(offset):
    assert gradcheck(BatchNorm(offset), normal((8, 4))).ok


def test_gradients_far_below_the_outputs_are_not_taken_for_wrong():
    assert gradcheck(na.CrossEntropyLoss(reduction="sum"), 10 * normal((4, 10)), np.arange(4)).ok


@pytest.mark.parametrize("constant", [0, 1])
def test_a_derivative_of_0_at_a_curved_point_is_not_taken_for_wrong(constant):
    report = gradcheck(Elementwise(lambda x: x**3 + constant, lambda x: 3 * x**2), np.zeros((2, 3)))
    assert findings(report) == {"input": "ok"}


def test_steep_but_smooth_functions_are_not_taken_for_kinks_or_faults():
    steep = Elementwise(lambda x: np.logaddexp(0, 1e5 * x) / 1e5, lambda x: 1 / (1 + np.exp(-1e5 * x)))
    assert findings(gradcheck(steep, 1e-5 * normal((2, 20)))) == {"input": "ok"}


def test_large_inputs_get_larger_steps():
    assert gradcheck(Elementwise(np.square, lambda x: 2 * x), 1e8 * normal((2, 5))).ok


def test_a_parameter_that_is_used_twice_is_checked_once_with_the_sum_of_its_gradients():
    twice = na.Linear(4, 4, dtype="float64", seed=0)
    report = gradcheck(na.Sequential(twice, na.Linear(4, 4, dtype="float64", seed=1), twice), normal((2, 4)))
    assert [row.name for row in report.rows] == ["input", "0.weight", "0.bias", "1.weight", "1.bias"]


def test_arrays_too_large_for_every_element_are_sampled_and_big_layers_checked_by_direction_alone():
    small = gradcheck(na.Linear(30, 20, dtype="float64", seed=0), normal((2, 30)), max_elements=10)
    assert [row.elements for row in small.rows] == [10, 10, 10]
    big = gradcheck(na.Linear(1100, 1000, dtype="float64", seed=0), normal((2, 1100)), directions=1)
    assert [(row.elements, row.directions) for row in big.rows] == [(0, 1)] * 3


# --- kinks -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("directions", [0, 3])
def test_relu_at_exactly_0_is_not_differentiable_and_no_failure(directions):
    report = gradcheck(na.ReLU(), np.array([[0.0, 1.0, -2.0]]), directions=directions)
    assert report.ok
    assert findings(report) == {"input": "not differentiable"}
    first = report.not_differentiable[0]
    assert (first.where, first.analytic) == ("element (0, 0)", 0)
    assert sorted([abs(first.left), abs(first.right)])[0] == 0
    assert len(report.not_differentiable) == 1 + directions
    assert "not differentiable" in str(report)
    assert "do not exist" in str(report)


@pytest.mark.parametrize("at_0", [0.0, 0.5, 1.0])
def test_any_subgradient_at_0_is_reported_as_a_kink(at_0):
    report = gradcheck(relu(lambda x: at_0 * (x == 0)), np.array([[0.0, 1.0, -2.0]]), directions=0)
    assert findings(report) == {"input": "not differentiable"}


def test_max_pooling_with_exact_ties_is_not_differentiable_and_no_failure():
    x = np.zeros((1, 1, 5, 5))
    x[0, 0, 4, 4] = 1  # the last window has a winner
    report = gradcheck(na.MaxPool2d(3, 2), x)
    assert findings(report) == {"input": "not differentiable"}
    x = distinct((1, 1, 5, 5))
    assert findings(gradcheck(na.MaxPool2d(3, 2), x)) == {"input": "ok"}
    x[0, 0, 0, 0] = x[0, 0, 0, 1] = 2
    report = gradcheck(na.MaxPool2d(3, 2), x, directions=0)
    assert [at.where for at in report.not_differentiable] == ["element (0, 0, 0, 0)", "element (0, 0, 0, 1)"]


@pytest.mark.parametrize("exponent", range(1, 11))
def test_kinks_nearby_are_stepped_around(exponent):
    near_0 = 10.0**-exponent * np.random.default_rng(0).uniform(0.1, 1, (2, 3)) * [1, -1, 1]
    assert gradcheck(na.ReLU(), near_0).ok
    images = distinct((1, 2, 6, 6))
    images[:, :, ::2] = images[:, :, 1::2] + 10.0**-exponent * normal((1, 2, 3, 6))  # ties, almost
    assert gradcheck(na.MaxPool2d(3, 2), images).ok


def test_a_jump_is_not_passed_as_ok():
    jump = Elementwise(lambda x: np.where(x > 0, x + 1, x), np.ones_like)
    assert findings(gradcheck(jump, np.array([[0.0, 1.0]]), raise_exception=False)) != {"input": "ok"}


# --- nothing is changed ----------------------------------------------------------------------------------------------


def test_gradients_last_call_parameters_and_input_are_left_as_they_were():
    layer = na.Conv2d(2, 3, 3, dtype="float64", seed=0)
    x, other = normal((2, 2, 5, 5)), normal((1, 2, 4, 4), seed=1)
    weight, bytes_before = layer.weight.data, layer.weight.data.tobytes()
    layer.weight.grad = np.full(layer.weight.shape, 7.0)
    y, x_before = layer(other), x.copy()
    gradcheck(layer, x, max_elements=5)
    assert layer.weight.data is weight
    assert weight.tobytes() == bytes_before
    np.testing.assert_array_equal(x, x_before)
    np.testing.assert_array_equal(layer.weight.grad, np.full(layer.weight.shape, 7.0))
    assert layer.bias.grad is None
    assert layer.backward(np.ones_like(y)).shape == other.shape


@pytest.mark.parametrize("error", [KeyboardInterrupt, RuntimeError])
def test_parameters_are_put_back_when_it_is_interrupted(error):
    class Interrupted(Affine):
        def compute(self, x, noise=None):
            if self.weight.data is not original:
                self.moved_calls = getattr(self, "moved_calls", 0) + 1
            if getattr(self, "moved_calls", 0) == 12:
                raise error
            return super().compute(x)

    layer = Interrupted()
    original, bytes_before = layer.weight.data, layer.weight.data.tobytes()
    with pytest.raises(error):
        gradcheck(layer, normal((2, 4)))
    assert layer.weight.data is original
    assert original.tobytes() == bytes_before


def test_dropout_has_one_mask_throughout():
    assert gradcheck(na.Dropout(0.5, seed=0), normal((4, 6))).ok


def test_a_loss_forgets_nothing_of_its_last_call():
    loss, logits, labels = na.CrossEntropyLoss(), normal((4, 3)), np.array([0, 2, 1, 1])
    loss(logits, labels)
    expected = copy.copy(loss).backward()
    gradcheck(loss, normal((2, 5), seed=1), np.array([4, 0]))
    np.testing.assert_array_equal(loss.backward(), expected)


def test_the_same_seed_gives_the_same_report():
    layer, x = na.Linear(4, 3, dtype="float64", seed=0), normal((2, 4))
    assert str(gradcheck(layer, x, seed=5)) == str(gradcheck(layer, x, seed=5))
    assert str(gradcheck(layer, x, seed=5)) != str(gradcheck(layer, x, seed=6))


# --- what it says ----------------------------------------------------------------------------------------------------


def test_the_error_names_the_array_and_the_element_and_shows_the_table():
    layer = Affine(lambda x, w, b: (x, one_wrong(w, (2, 1), 3), b))
    with pytest.raises(GradcheckError, match=r"gradient of weight is wrong at element \(2, 1\)") as caught:
        gradcheck(layer, normal((2, 4)), directions=0)
    at = caught.value.report.worst
    assert (at.array, at.where, at.verdict) == ("weight", "element (2, 1)", "WRONG")
    assert at.analytic == pytest.approx(3 * at.numeric, rel=1e-6)
    assert f"{at.analytic:.9g}" in str(caught.value)
    assert f"{at.numeric:.9g}" in str(caught.value)
    header, _, *rows = str(caught.value.report).splitlines()
    assert header.split()[:2] == ["array", "shape"]
    assert [line.split()[0] for line in rows] == ["input", "weight", "bias"]
    assert [line.split()[-1] for line in rows] == ["ok", "WRONG", "ok"]
    assert len({line.rindex(verdict) for line, verdict in zip(rows, ["ok", "WRONG", "ok"], strict=True)}) == 1


@pytest.mark.parametrize(
    ("error", "message", "call"),
    [
        (TypeError, "float64 layer.*dtype='float64'", lambda: gradcheck(na.Linear(2, 2), normal((1, 2)))),
        (TypeError, "expected float64: cast it by", lambda: gradcheck(na.ReLU(), normal((1, 2), "float32"))),
        (TypeError, "expected a NumPy or CuPy array", lambda: gradcheck(na.ReLU(), [[1.0]])),
        (TypeError, "expects a Layer, or a loss", lambda: gradcheck(na.CrossEntropyLoss(), normal((1, 2)))),
        (TypeError, "labels with a loss", lambda: gradcheck(na.ReLU(), normal((1, 2)), np.zeros(1, int))),
        (ValueError, "at most|from 0 to 1", lambda: gradcheck(na.CrossEntropyLoss(), normal((1, 2)), np.array([2]))),
        (ValueError, "3 input channels", lambda: gradcheck(na.Conv2d(3, 1, 1, dtype="float64"), normal((1, 2, 3, 3)))),
        (ValueError, "finite numbers", lambda: gradcheck(na.ReLU(), np.array([[np.nan]]))),
        (ValueError, "at least one", lambda: gradcheck(na.ReLU(), np.empty((0, 2)))),
        (ValueError, "infinities or NaN", lambda: gradcheck(Elementwise(lambda x: x * np.inf, abs), np.ones((1, 2)))),
        (ValueError, "step must be", lambda: gradcheck(na.ReLU(), normal((1, 2)), step=0.0)),
        (TypeError, "tolerance must be", lambda: gradcheck(na.ReLU(), normal((1, 2)), tolerance="tight")),
        (ValueError, "nothing would be", lambda: gradcheck(na.ReLU(), np.ones((1, 2)), directions=0, max_elements=0)),
        (ValueError, "its shape", lambda: gradcheck(Affine(lambda x, w, b: (x, w.T, b)), normal((2, 4)))),
        (TypeError, "float32", lambda: gradcheck(Affine(lambda x, w, b: (x.astype("f4"), w, b)), normal((2, 4)))),
    ],
)  # fmt: skip
def test_what_cannot_be_checked_is_refused_with_the_reason(error, message, call):
    with pytest.raises(error, match=message):
        call()


def test_a_parameter_that_no_optimizer_would_find_is_refused():
    class Hidden(Affine):
        def __init__(self):
            super().__init__()
            self.hidden, self.weight = [self.weight], None

        def compute(self, x, noise=None):
            return x @ self.hidden[0].data.T, x

        def gradients(self, grad_y, x):
            return grad_y @ self.hidden[0].data, [(self.hidden[0], grad_y.T @ x)]

    with pytest.raises(ValueError, match="named_parameters"):
        gradcheck(Hidden(), normal((2, 4)))
