"""How parameters are drawn: bounds and moments as the papers give them, the same on every device."""

import numpy as np
import pytest
import torch
from torch import nn

from npalexnet import Conv2d, Linear, ReLU, Sequential
from npalexnet.layers.init import initialize, initialize_as
from tests.support import get


def values(layer):
    return {name: get(parameter.data).copy() for name, parameter in layer.named_parameters()}


def wide(**new):
    """Layers with enough parameters for their moments to be told apart; fan-ins of 150 and 400."""
    return Sequential(Conv2d(12, 120, 5, groups=2, **new), Linear(400, 300, **new))


FANS = {"0.weight": (6 * 25, 120 * 25), "1.weight": (400, 300)}  # fan_in, fan_out as torch counts them


def assert_moments(array, deviation):
    error = 5 / np.sqrt(array.size)
    assert abs(array.mean()) < error * deviation
    assert abs(array.std() / deviation - 1) < error


def test_the_fans_are_torchs():
    for name, value in wide().state_dict().items():
        if name in FANS:
            assert FANS[name] == nn.init._calculate_fan_in_and_fan_out(torch.from_numpy(value))


@pytest.mark.parametrize("made", [lambda: wide(seed=0), lambda: drawn("torch")], ids=["new", "initialize"])
def test_torchs_default_is_uniform_up_to_one_over_the_root_of_the_fan_in(made):
    for name, array in values(made()).items():
        bound = 1 / np.sqrt(FANS[name.replace("bias", "weight")][0])
        assert np.abs(array).max() <= bound
        assert np.abs(array).max() > bound * 0.95
        assert_moments(array, bound / np.sqrt(3))


def drawn(scheme, seed=1, **new):
    layer = wide(seed=0, **new)
    initialize(layer, scheme, seed)
    return layer


@pytest.mark.parametrize(
    ("scheme", "deviation"),
    [
        ("paper", lambda fan_in, fan_out: 0.01),
        ("he", lambda fan_in, fan_out: np.sqrt(2 / fan_in)),
        ("xavier", lambda fan_in, fan_out: np.sqrt(2 / (fan_in + fan_out))),
    ],
)
def test_the_schemes_have_the_deviation_of_their_papers_and_biases_of_zero(scheme, deviation):
    for name, array in values(drawn(scheme)).items():
        if name.endswith("bias"):
            np.testing.assert_array_equal(array, np.zeros_like(array))
        else:
            assert_moments(array, deviation(*FANS[name]))


def test_normal_schemes_are_normal_and_xavier_is_uniform():
    for scheme, beyond in (("paper", 0.0455), ("he", 0.0455), ("xavier", 0.0)):
        weight = values(drawn(scheme))["1.weight"]
        assert abs(np.mean(np.abs(weight) > 2 * weight.std()) - beyond) < 0.005
    assert np.abs(values(drawn("xavier"))["1.weight"]).max() <= np.sqrt(6 / 700)


@pytest.mark.parametrize("scheme", ["torch", "paper", "he", "xavier"])
def test_one_seed_gives_the_same_parameters_on_every_device(scheme, device, dtype):
    expected, actual = values(drawn(scheme, dtype=dtype)), values(drawn(scheme, device=device, dtype=dtype))
    for name in expected:
        assert actual[name].dtype == dtype
        np.testing.assert_array_equal(actual[name], expected[name])
        if scheme == "torch" or name.endswith("weight"):
            assert (values(drawn(scheme, seed=2, dtype=dtype))[name] != expected[name]).any()


def test_a_new_layer_is_the_same_on_every_device(device, dtype):
    expected, actual = (
        values(wide(seed=3, dtype=dtype)),
        values(wide(seed=3, dtype=dtype, device=device)),
    )
    for name in expected:
        np.testing.assert_array_equal(actual[name], expected[name])


def test_a_generator_goes_on_and_none_is_unpredictable():
    generator = np.random.default_rng(0)
    first, second = (Linear(3, 3, seed=generator).state_dict()["weight"] for _ in range(2))
    assert (first != second).any()
    np.testing.assert_array_equal(first, Linear(3, 3, seed=0).state_dict()["weight"])
    assert (Linear(3, 3).state_dict()["weight"] != Linear(3, 3).state_dict()["weight"]).any()


def test_parameters_are_changed_in_place_and_no_others_are_drawn():
    layer = Linear(3, 3, bias=False, seed=0)
    array = layer.weight.data
    initialize(layer, "he", 0)
    assert layer.weight.data is array
    assert layer.bias is None


def test_global_random_state_is_neither_used_nor_changed():
    np.random.seed(0)  # noqa: NPY002
    expected = np.random.random()  # noqa: NPY002
    np.random.seed(0)  # noqa: NPY002
    Linear(3, 3)
    initialize(Linear(3, 3), "paper")
    assert np.random.random() == expected  # noqa: NPY002


def test_an_unknown_scheme_changes_nothing():
    layer = wide(seed=0)
    before = values(layer)
    with pytest.raises(ValueError, match=r"^init must be one of 'torch', 'paper', 'he', 'xavier', got 'zeros'$"):
        initialize(layer, "zeros")
    for name, array in values(layer).items():
        np.testing.assert_array_equal(array, before[name])


def test_each_layer_is_drawn_with_its_own_deviation_and_bias():
    network = Sequential(Linear(300, 40), ReLU(), Linear(40, 200))
    initialize_as(network, ((0.5, 2), (0.01, -7)), 0)
    first, first_bias, second, second_bias = network.state_dict().values()
    assert first.std() == pytest.approx(0.5, rel=0.05)
    assert second.std() == pytest.approx(0.01, rel=0.05)
    assert [abs(weight.mean()) < 0.05 * weight.std() for weight in (first, second)] == [True, True]
    np.testing.assert_array_equal(first_bias, np.full(40, 2, np.float32))
    np.testing.assert_array_equal(second_bias, np.full(200, -7, np.float32))


def test_another_number_of_layers_than_pairs_is_refused_and_changes_nothing():
    network = Sequential(Linear(3, 4), ReLU(), Linear(4, 2))
    before = network.state_dict()
    with pytest.raises(ValueError, match="initial must have a pair for each of 2 layers with parameters, got 1"):
        initialize_as(network, ((0.5, 2),), 0)
    for name, value in network.state_dict().items():
        np.testing.assert_array_equal(value, before[name])
