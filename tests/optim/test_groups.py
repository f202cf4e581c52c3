"""Groups of weights and of biases, and steps with them beside torch's."""

from dataclasses import replace

import pytest
import torch

import npalexnet as na
from npalexnet import SGD
from npalexnet.optim import weights_and_biases
from npalexnet.training import RECIPES
from tests.support import assert_close, get, normal, tensor

FACTORS = {"bias_lr_factor": 2.0, "bias_decay_factor": 0.0}


def network():
    convolution, linear = na.Conv2d(3, 4, 3, dtype="float64", seed=0), na.Linear(36, 5, dtype="float64", seed=1)
    return na.Sequential(convolution, na.ReLU(), na.Flatten(), linear)


def named(model, groups):
    names = {parameter: name for name, parameter in model.named_parameters()}
    return [{**group, "params": [names[parameter] for parameter in group["params"]]} for group in groups]


def test_biases_are_a_group_of_their_own_only_if_something_is_different_for_them():
    model = network()
    everything = ["0.weight", "0.bias", "3.weight", "3.bias"]
    assert named(model, weights_and_biases(model, 0.5, 0.25)) == [
        {"params": everything, "lr": 0.5, "weight_decay": 0.25}
    ]
    assert named(model, weights_and_biases(model, 0.5, 0.25, **FACTORS)) == [
        {"params": ["0.weight", "3.weight"], "lr": 0.5, "weight_decay": 0.25},
        {"params": ["0.bias", "3.bias"], "lr": 1.0, "weight_decay": 0.0},
    ]
    slow = weights_and_biases(model, 0.5, 0.25, bias_lr_factor=0.5)
    assert [(group["lr"], group["weight_decay"]) for group in slow] == [(0.5, 0.25), (0.25, 0.25)]


def test_what_is_frozen_is_in_no_group_and_there_is_no_empty_group():
    model = network().freeze("0")
    assert [group["params"] for group in named(model, weights_and_biases(model, 1.0, 0.0))] == [["3.weight", "3.bias"]]
    model[3].weight.requires_grad = False
    assert named(model, weights_and_biases(model, 0.5, 0.25, **FACTORS)) == [
        {"params": ["3.bias"], "lr": 1.0, "weight_decay": 0.0}
    ]


def test_steps_with_these_groups_are_torchs_with_the_rates_and_decays_of_caffes_prototxt():
    """lr_mult 1 and 2, decay_mult 1 and 0, of base_lr 0.01 and weight_decay 0.0005."""
    model = network()
    twins = [torch.nn.Parameter(tensor(get(parameter.data).copy())) for parameter in model.parameters()]
    optimizer = SGD(weights_and_biases(model, 0.01, 5e-4, **FACTORS), 0.01, 0.9)
    twin = torch.optim.SGD(
        [
            {"params": twins[0::2], "lr": 0.01, "weight_decay": 0.0005},
            {"params": twins[1::2], "lr": 0.02, "weight_decay": 0.0},
        ],
        lr=1.0, momentum=0.9,
    )  # fmt: skip
    for step in range(5):
        for i, (parameter, other) in enumerate(zip(model.parameters(), twins, strict=True)):
            gradient = normal(parameter.shape, "float64", seed=10 * step + i)
            parameter.grad, other.grad = gradient.copy(), tensor(gradient)
        optimizer.step()
        twin.step()
    for parameter, other in zip(model.parameters(), twins, strict=True):
        assert_close(parameter.data, other)


@pytest.mark.parametrize("name", ["lr", "weight_decay", *FACTORS])
@pytest.mark.parametrize("value", [-1, float("nan"), float("inf")])
def test_a_setting_that_can_not_be_is_refused_by_its_name(name, value):
    with pytest.raises(ValueError, match=f"{name} must be finite and not negative, got {value}"):
        weights_and_biases(network(), **{"lr": 0.1, "weight_decay": 0.1, name: value})


@pytest.mark.parametrize("name", ["lr", "weight_decay", *FACTORS])
def test_a_setting_that_is_no_number_is_refused_by_its_name(name):
    with pytest.raises(TypeError, match=f"{name} must be a number, got '0.1'"):
        weights_and_biases(network(), **{"lr": 0.1, "weight_decay": 0.1, name: "0.1"})


@pytest.mark.parametrize("name", ["lr", "weight_decay"])
def test_a_recipe_with_a_setting_that_can_not_be_is_refused_by_its_name(name):
    with pytest.raises(ValueError, match=f"{name} must be finite and not negative, got -0.1"):
        replace(RECIPES["paper"], **{name: -0.1}).optimizer(network())


def test_what_is_no_model_is_refused_by_name():
    with pytest.raises(TypeError, match="model must be a model, with named_parameters, got 5"):
        weights_and_biases(5, 0.1, 0.1)
