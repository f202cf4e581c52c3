"""The recipes beside a table written by hand from their sources; runs with them go on to the bit."""

from dataclasses import asdict

import numpy as np
import pytest

import npalexnet as na
from npalexnet.alexnet import VARIANTS
from npalexnet.data.pipeline import AUGMENTATIONS, PIXELS
from npalexnet.training import (
    RECIPES,
    Constant,
    MultiStepDecay,
    Plateau,
    Run,
    WarmUp,
    WeightsAndBiases,
    make_schedule,
)
from tests.training.small import assert_same_end, small_network, trainer_of

# From the 2012 paper, sections 4.1 and 5; layers/layer-params-145.cfg and convnet.py of the released source;
# solver.prototxt and train_val.prototxt of bvlc_alexnet; the README of torchvision's references/classification;
# layers/layer-params-imagenet-1gpu.cfg of cuda-convnet2.
SOURCES = {  # images a step, base rate, momentum, weights' decay, biases' rate, biases' decay, colour jitter, 0..255
    "paper": (128, 0.01, 0.9, 0.0005, 0.01, 0.0005, True, True),
    "released": (128, 0.01, 0.9, 0.0005, 0.02, 0.0, True, True),
    "caffe": (256, 0.01, 0.9, 0.0005, 0.02, 0.0, False, True),
    "torchvision": (256, 0.01, 0.9, 0.0001, 0.01, 0.0001, False, False),
    "one-weird-trick": (128, 0.01, 0.9, 0.0005, 0.02, 0.0, True, True),
}


@pytest.mark.parametrize("name", SOURCES)
def test_each_recipe_is_its_sources(name):
    recipe, (batch, lr, momentum, decay, bias_lr, bias_decay, jitter, as_they_are) = RECIPES[name], SOURCES[name]
    model = small_network()
    optimizer = recipe.optimizer(model)
    found = {p: (g["lr"], g["weight_decay"], g["momentum"]) for g in optimizer.param_groups for p in g["params"]}
    expected = {"weight": (lr, decay, momentum), "bias": (bias_lr, bias_decay, momentum)}
    assert {n: found[p] for n, p in model.named_parameters()} == {
        n: expected[n.rpartition(".")[2]] for n, _ in model.named_parameters()
    }
    assert (recipe.batch_size, recipe.lr, recipe.warmup) == (batch, lr, 0)
    assert (recipe.augment == "paper", recipe.pixels == "255") == (jitter, as_they_are)


CONVOLUTIONS = {  # the numbers of the layers with parameters, counted by hand along each figure
    "seed": (0, 3, 6, 8, 10), "paper": (0, 4, 8, 10, 12), "released": (0, 4, 9, 11, 13), "caffe": (0, 4, 8, 10, 12),
    "caffenet": (0, 4, 8, 10, 12), "torchvision": (0, 3, 6, 8, 10), "one-weird-trick": (0, 4, 8, 10, 12),
}  # fmt: skip


@pytest.mark.parametrize("variant", CONVOLUTIONS)
def test_the_groups_of_each_variant_are_its_eight_weights_and_its_eight_biases(narrow, variant):
    assert CONVOLUTIONS.keys() == VARIANTS.keys()
    convolutions = "features" if variant == "torchvision" else "layers"
    linear = (1, 4, 6) if variant in ("seed", "torchvision") else (0, 3, 6)
    layers = [*(f"{convolutions}.{n}" for n in CONVOLUTIONS[variant]), *(f"classifier.{n}" for n in linear)]
    model = na.AlexNet(2, init="torch", variant=variant)
    names = {parameter: name for name, parameter in model.named_parameters()}

    def groups(recipe):
        found = RECIPES[recipe].optimizer(model).param_groups
        return [([names[p] for p in group["params"]], group["lr"], group["weight_decay"]) for group in found]

    weights, biases = [f"{layer}.weight" for layer in layers], [f"{layer}.bias" for layer in layers]
    for recipe in ("released", "caffe", "one-weird-trick"):
        assert groups(recipe) == [(weights, 0.01, 0.0005), (biases, 0.02, 0.0)]
    everything = [name for pair in zip(weights, biases, strict=True) for name in pair]
    assert groups("paper") == [(everything, 0.01, 0.0005)]
    assert groups("torchvision") == [(everything, 0.01, 0.0001)]


def test_every_recipe_can_be_used():
    assert {"simple", *SOURCES} == set(RECIPES)
    for recipe in RECIPES.values():
        assert recipe.augment in AUGMENTATIONS
        assert recipe.pixels in PIXELS
        make_schedule(recipe.schedule, recipe.lr, 90, recipe.warmup or 0)
        assert recipe.options() == asdict(recipe)
        trainer_of(steps=3, **recipe.trainer_settings())


def rates(name, steps, at):
    recipe = RECIPES[name]
    schedule = make_schedule(recipe.schedule, recipe.lr, steps, recipe.warmup)
    return [pytest.approx(schedule.lr(step), rel=1e-9) for step in at]


def test_rates_fall_where_the_sources_let_them_fall():
    """Caffe: every 100,000 of 450,000; the released network: after epochs 25, 51 and 79 of 91; torchvision: 30, 60."""
    at = (0, 99_999, 100_000, 199_999, 200_000, 300_000, 399_999, 400_000, 449_999)
    assert rates("caffe", 450_000, at) == [1e-2, 1e-2, 1e-3, 1e-3, 1e-4, 1e-5, 1e-5, 1e-6, 1e-6]
    at = (0, 249, 250, 509, 510, 789, 790, 909)
    assert rates("released", 910, at) == [1e-2, 1e-2, 1e-3, 1e-3, 1e-4, 1e-4, 1e-5, 1e-5]
    assert rates("torchvision", 90, (0, 29, 30, 59, 60, 89)) == [1e-2, 1e-2, 1e-3, 1e-3, 1e-4, 1e-4]


def test_the_biases_of_one_weird_trick_slow_down_at_another_time_than_its_weights():
    """dexp[base=0.01;tgtFactor=250;numSteps=4] and, for biases, dexp[base=0.02;tgtFactor=10;numSteps=2]."""
    trainer = trainer_of(count=16, epochs=None, steps=8, **RECIPES["one-weird-trick"].trainer_settings())
    rates = []
    for step in range(8):
        trainer.state.step = step
        assert trainer.state.set_learning_rate() == trainer.state.optimizer.param_groups[0]["lr"]
        rates.append([group["lr"] for group in trainer.state.optimizer.param_groups])
    weights, biases = zip(*rates, strict=True)
    falls = [1, 1, 250 ** (1 / 3), 250 ** (1 / 3), 250 ** (2 / 3), 250 ** (2 / 3), 250, 250]
    assert weights == pytest.approx([0.01 / fall for fall in falls])
    assert biases == pytest.approx([0.02] * 4 + [0.002] * 4)
    with pytest.raises(ValueError, match="biases must be a schedule that remembers nothing, got Plateau"):
        WeightsAndBiases(Constant(0.1), Plateau(0.1))
    warming = WarmUp(WeightsAndBiases(Constant(0.1), MultiStepDecay(0.1, 4, (1,), 2)), 4)
    assert [warming.bias_factor(step) for step in range(4)] == pytest.approx([0.25, 0.5, 0.075, 0.1])
    assert [warming.factor(step) for step in range(4)] == pytest.approx([0.25, 0.5, 0.75, 1])


def test_biases_that_are_trained_alone_have_their_own_rate():
    model = small_network()
    for name, parameter in model.named_parameters():
        parameter.requires_grad = name.endswith("bias")
    trainer = trainer_of(model, count=16, epochs=None, steps=4, **RECIPES["one-weird-trick"].trainer_settings())
    trainer.state.step = 1
    assert trainer.state.set_learning_rate() == 0.02  # the weights' is lower by then


def test_a_schedule_is_scaled_to_a_training_of_another_length():
    assert rates("caffe", 9, range(9)) == [1e-2, 1e-2, 1e-3, 1e-3, 1e-4, 1e-4, 1e-5, 1e-5, 1e-6]
    assert rates("released", 4, range(4)) == [1e-2, 1e-2, 1e-3, 1e-4]


def test_a_stopped_run_goes_on_with_the_bits_of_one_that_never_stopped(tmp_path):
    settings = {**RECIPES["one-weird-trick"].trainer_settings(), "lr": 0.002, "count": 20, "epochs": 2}
    assert trainer_of(run=Run(tmp_path / "whole"), **settings).fit()
    trainer = trainer_of(run=Run(tmp_path / "stopped"), **settings)
    assert not trainer.fit(should_stop=lambda: trainer.state.step >= 3)
    trainer = trainer_of(small_network(seed=5), run=Run.reopen(tmp_path / "stopped"), **settings)
    trainer.resume()
    assert trainer.fit()
    assert_same_end(tmp_path / "stopped", tmp_path / "whole")


def test_an_optimizer_of_the_recipe_trains_as_its_settings_do(tmp_path):
    recipe, models = RECIPES["released"], [small_network(), small_network()]
    trainer_of(models[0], steps=4, **recipe.trainer_settings()).fit()
    optimizer = recipe.optimizer(models[1])
    trainer_of(models[1], steps=4, lr=recipe.lr, schedule=recipe.schedule, warmup=0, optimizer=optimizer).fit()
    for one, other in zip(models[0].parameters(), models[1].parameters(), strict=True):
        np.testing.assert_array_equal(one.data, other.data)


def groups_by_layer(model):
    """Groups of the same sizes and settings as those of weights and biases, with other parameters in them."""
    parameters = dict(model.named_parameters())
    first, last = [[parameters[f"{n}.weight"], parameters[f"{n}.bias"]] for n in (0, 4)]
    settings = {"lr": 0.02, "weight_decay": 5e-4}
    return na.SGD(
        [{"params": first, **settings}, {"params": last, **settings, "lr": 0.04, "weight_decay": 0.0}], 1.0, 0.9
    )


OTHER_GROUPS = (
    ({"bias_lr_factor": 3.0}, r"its optimizer was .*'lr': 0\.04.*, and is .*'lr': 0\.06"),
    ({"bias_decay_factor": 1.0}, r"its optimizer was .*'weight_decay': 0\.0.*, and is "),
    ({"bias_lr_factor": 1.0, "bias_decay_factor": 1.0}, "its optimizer was "),
    ({"schedule": "released"}, "its schedule's milestones was "),
    ({"schedule": "one-weird-trick"}, "its schedule was 'MultiStep.*', and is 'MultiStep, biases MultiStep"),
    ({"schedule": "step"}, "its schedule was 'MultiStep.*', and is 'Step"),
    ({"optimizer": groups_by_layer}, r"its parameters in each group was \[\['0.weight', '4.weight'\], \['0.bias'"),
)


def test_a_run_with_groups_goes_on_with_the_same_ones_or_not_at_all(tmp_path):
    settings = {"bias_lr_factor": 2.0, "bias_decay_factor": 0.0, "schedule": "caffe", "count": 16, "epochs": 1}
    trainer_of(run=Run(tmp_path / "run"), **settings).fit()
    for changes, message in OTHER_GROUPS:
        model = small_network()
        changed = {name: value(model) if callable(value) else value for name, value in changes.items()}
        trainer = trainer_of(model, run=Run.reopen(tmp_path / "run"), **{**settings, **changed})
        with pytest.raises(ValueError, match=message):
            trainer.resume()
