from inspect import signature
from pathlib import Path

import numpy as np
import pytest

import npalexnet as na
from npalexnet.cli import main, train
from npalexnet.cli.training_options import DEFAULTS, as_config, complete
from npalexnet.data import CenterCrop, Normalize, RandomCrop, open_data
from npalexnet.training import RECIPES, Trainer
from npalexnet.training.schedules import default_warmup
from tests.data.pictures import fill


def test_what_is_not_given_is_the_default_and_what_other_commands_know_is_left_out():
    options = complete({"lr": 0.5, "data": None, "image": None, "run": print, "command": "train", "threads": 2})
    assert vars(options) == {**DEFAULTS, "lr": 0.5}


def test_a_resumed_run_has_its_own_options_and_the_few_that_may_be_given_anew():
    config = as_config(complete({"lr": 0.5, "data": "/pictures", "weights": Path("/w"), "workers": 3, "epochs": 4}))
    assert config["weights"] == "/w"
    assert "out" not in config
    options = complete({"resume": Path("runs/1"), "workers": 1, "data": None, "threads": 1}, config)
    assert (options.lr, options.data, options.weights, options.workers) == (0.5, "/pictures", Path("/w"), 1)
    assert (options.epochs, options.steps, options.resume) == (4, None, Path("runs/1"))
    with pytest.raises(ValueError, match=r"a run is resumed as it began: --seed, --weight-decay can't be changed"):
        complete({"weight_decay": 0.0, "data": "moved", "seed": 1}, config)


def test_the_number_of_validation_images_has_the_name_in_files_that_older_runs_gave_it():
    config = as_config(complete({"validation_images": 3}))
    assert (config["test_images"], "validation_images" in config) == (3, False)
    assert complete({"resume": Path("runs/1")}, config).validation_images == 3


def test_runs_from_before_there_was_a_choice_of_convolution_go_on_with_im2col():
    config = as_config(complete({"convolution": "winograd"}))
    assert complete({"resume": Path("runs/1")}, config).convolution == "winograd"
    del config["convolution"]
    assert complete({"resume": Path("runs/1")}, config).convolution == "im2col"


@pytest.mark.parametrize(
    ("began", "given", "epochs", "steps"),
    [
        ({}, {}, 1, None),
        ({}, {"steps": 5}, None, 5),
        ({"steps": 5}, {}, None, 5),
        ({"steps": 5}, {"epochs": 3}, 3, None),
        ({"epochs": 2}, {"steps": 9}, None, 9),
        ({"epochs": 2}, {"epochs": 3}, 3, None),
    ],
)
def test_epochs_take_the_place_of_steps_and_the_other_way_round(began, given, epochs, steps):
    options = complete(given, as_config(complete(began)))
    assert (options.epochs, options.steps) == (epochs, steps)


def test_both_at_once_are_refused():
    with pytest.raises(ValueError, match="--epochs and --steps don't go together"):
        complete({"epochs": 1, "steps": 1})
    with pytest.raises(ValueError, match="--epochs and --steps don't go together"):
        complete({"epochs": 1, "steps": 1}, as_config(complete({})))


# --- handed on -------------------------------------------------------------------------------------------------------

TRAINER = {
    "steps": 11, "lr": 0.25, "schedule": "cosine", "warmup": 3, "momentum": 0.75, "weight_decay": 0.125,
    "bias_lr_factor": 1.5, "bias_decay_factor": 0.5, "accumulate": 2,
    "clip_norm": 1.5, "patience": 4, "convolution": "winograd", "checkpoint_every": 6,
}  # fmt: skip
LOADERS = {
    "augment": "paper", "pixels": "255", "batch_size": 3, "workers": 2, "train_images": 7, "validation_images": 1,
}  # fmt: skip
MODEL = {"seed": 7, "init": "xavier", "dropout": 0.25, "num_classes": 5, "device": "fake", "variant": "paper"}
COLORS = {"mean": [0.5, 0.25, 0.125], "std": [0.25, 0.5, 1.0]}  # which win over "pixels"
ELSEWHERE = {"recipe", "data", "labels", "precision", "freeze", "out", "epochs", "resume", "keep", "weights", "strict"}


class Noted(Trainer):
    """Keeps what it is made with, and does not train."""

    def __init__(self, model, train, validation, **settings):
        super().__init__(model, train, validation, **settings)
        self.settings = settings

    def fit(self, *arguments):
        self.made.append(self)
        return False


@pytest.fixture
def pictures(tmp_path, monkeypatch):
    """A folder of pictures, one of them broken, in the working directory."""
    fill(tmp_path / "pictures" / "train", cat=10, dog=10)
    (tmp_path / "pictures" / "train" / "cat" / "text.jpg").write_text("I am a text")
    monkeypatch.chdir(tmp_path)
    return "pictures"


@pytest.fixture
def noted(narrow, monkeypatch):
    """Trainers that a command makes."""
    before, made = na.get_float32_matmul_precision(), []
    monkeypatch.setattr(Noted, "made", made, raising=False)
    monkeypatch.setattr(train, "Trainer", Noted)
    yield made
    na.set_float32_matmul_precision(before)


@pytest.mark.parametrize(
    ("precision", "dtype", "products"),
    [("tf32", "float32", "high"), ("bfloat16", "bfloat16", "highest"), ("float16", "float16", "highest")],
)
def test_every_option_reaches_the_trainer_its_loaders_or_its_model(noted, pictures, precision, dtype, products):
    assert TRAINER.keys() | LOADERS.keys() | MODEL.keys() | COLORS.keys() | ELSEWHERE == DEFAULTS.keys()
    options = {**TRAINER, **LOADERS, **MODEL, "data": pictures, "precision": precision}
    given = [text for name, value in options.items() for text in (f"--{name.replace('_', '-')}", str(value))]
    given += [text for name, values in COLORS.items() for text in (f"--{name}", *map(str, values))]
    na.set_float32_matmul_precision("highest" if products == "high" else "high")
    main(["train", *given, "--freeze", "layers.0", "classifier.0"])
    (trainer,) = noted

    settings = {name: value for name, value in trainer.settings.items() if name not in ("run", "epochs")}
    assert settings == {**TRAINER, "dtype": dtype}
    assert na.get_float32_matmul_precision() == products

    drawn = open_data(pictures, seed=7)
    assert [drawn.validation.name(i) for i in range(2)] != [
        open_data(pictures, seed=0).validation.name(i) for i in range(2)
    ]
    train_images = [0, 2, 5, 7, 10, 12, 15]  # seven of eighteen
    for loader, dataset, chosen, crop in (
        (trainer.train, drawn.train, train_images, RandomCrop),
        (trainer.validation, drawn.validation, [0], CenterCrop),
    ):
        assert (loader.batch_size, loader.seed, loader.workers) == (3, 7, 2)
        assert [loader.dataset.name(i) for i in range(len(loader.dataset))] == [dataset.name(i) for i in chosen]
        assert any(isinstance(step, crop) for step in loader.pipeline.transforms)
        assert loader.pipeline.output_shape == (3, 224, 224)
        assert loader.pipeline.transforms[-1] == Normalize(**COLORS)

    model, expected = trainer.model, na.AlexNet(5, 0.25, seed=7, init="xavier", variant="paper")
    assert (model.device, model.variant) == ("fake", "paper")
    assert [layer.p for layer in model.classifier if isinstance(layer, na.Dropout)] == [0.25, 0.25]
    for (name, values), other in zip(model.state_dict().items(), expected.state_dict().values(), strict=True):
        np.testing.assert_array_equal(values, other, err_msg=name)
    frozen = [name for name, parameter in model.named_parameters() if not parameter.requires_grad]
    assert frozen == ["layers.0.weight", "layers.0.bias", "classifier.0.weight", "classifier.0.bias"]


@pytest.mark.parametrize("setting", ["im2col", "winograd"])
def test_without_the_option_convolutions_are_computed_and_recorded_as_set(noted, pictures, setting):
    with na.convolution_algorithm(setting):
        main(["train", "--data", pictures])
    (trainer,) = noted
    assert trainer.settings["convolution"] == setting
    assert trainer.settings["run"].metadata["options"]["convolution"] == setting


def test_a_broken_picture_is_named_and_skipped_or_refused_with_strict(noted, pictures, capsys):
    main(["train", "--data", pictures])
    assert "1 file skipped" in capsys.readouterr().out
    assert len(noted) == 1
    assert main(["train", "--data", pictures, "--strict"]) == 1
    assert "text.jpg" in capsys.readouterr().err
    assert len(noted) == 1


def test_the_library_has_the_commands_defaults():
    trainer, network = (signature(kind).parameters for kind in (Trainer, na.AlexNet))
    same = "lr", "schedule", "warmup", "momentum", "weight_decay", "bias_lr_factor", "bias_decay_factor"
    for name in (*same, "clip_norm", "patience", "accumulate"):
        assert trainer[name].default == DEFAULTS[name], name
    for name in ("init", "dropout", "seed"):
        assert network[name].default == DEFAULTS[name], name


@pytest.mark.parametrize(("steps", "expected"), [(1, 0), (2, 0), (3, 1), (30, 10), (59, 19), (60, 20), (10_000, 20)])
def test_without_a_warm_up_it_is_20_steps_or_a_third_of_all(steps, expected):
    assert default_warmup(steps) == expected


# --- recipes ---------------------------------------------------------------------------------------------------------


def test_a_recipe_sets_what_is_not_given_and_its_resolved_values_are_recorded():
    options = complete({"recipe": "released", "batch_size": 4, "bias_decay_factor": 1.0})
    expected = {**RECIPES["released"].options(), "batch_size": 4, "bias_decay_factor": 1.0}
    assert {**vars(options), **expected, "recipe": "released"} == vars(options)
    assert (options.lr, options.schedule, options.warmup, options.bias_lr_factor) == (0.01, "released", 0, 2.0)
    config = as_config(options)
    assert {**config, **expected} == config
    changed = {**config, "lr": 0.5, "augment": "simple"}  # as it was recorded, not as the recipe has it by then
    assert vars(complete({"resume": Path("runs/1")}, changed)) == {
        **vars(options), "lr": 0.5, "augment": "simple", "resume": Path("runs/1"),
    }  # fmt: skip


def test_the_help_names_the_recipes_and_says_of_each_option_that_they_set_it(capsys):
    with pytest.raises(SystemExit):
        main(["train", "--help"])
    text = " ".join(capsys.readouterr().out.split())
    assert "--recipe {simple,paper,released,caffe,torchvision,one-weird-trick} whose settings to train with" in text
    for name in RECIPES["simple"].options():
        option = f"--{name.replace('_', '-')} "
        entry = text[text.rindex(option) + len(option) :].partition(" --")[0]
        assert "(default: the recipe's; simple's is " in entry, name


def test_a_recipe_reaches_the_trainer(noted, pictures):
    main(["train", "--data", pictures, "--recipe", "released", "--variant", "released", "--batch-size", "3"])
    (trainer,) = noted
    groups = trainer.state.optimizer.param_groups
    assert [(group["lr"], group["weight_decay"], group["momentum"]) for group in groups] == [
        (0.01, 0.0005, 0.9), (0.02, 0.0, 0.9),
    ]  # fmt: skip
    assert [{len(parameter.shape) for parameter in group["params"]} for group in groups] == [{2, 4}, {1}]
    assert (trainer.state.schedule.name, trainer.state.schedule.milestones) == ("MultiStep", [25, 51, 79])
    steps = [type(step).__name__ for step in trainer.train.pipeline.transforms]
    assert steps[-3:] == ["RandomHorizontalFlip", "PCAColorJitter", "Normalize"]
    assert trainer.train.pipeline.transforms[-1].std == (1 / 255,) * 3
    first = trainer.model.state_dict()
    assert {name for name, values in first.items() if (values == 1).all()} == {
        f"{layer}.bias" for layer in ("layers.4", "layers.11", "layers.13", "classifier.0", "classifier.3")
    }
    assert first["layers.9.weight"].std() == pytest.approx(0.03, rel=0.01)
    recorded = trainer.settings["run"].metadata["options"]
    assert {**recorded, **RECIPES["released"].options(), "batch_size": 3, "recipe": "released"} == recorded


@pytest.mark.parametrize("recipe", ["simple", "paper"])
def test_a_recipe_was_how_images_are_prepared_and_nothing_else_in_older_runs(recipe):
    """Of which config.json has all that there was to choose."""
    old = as_config(complete({"lr": 0.002, "batch_size": 16, "schedule": "linear", "init": "he"})) | {"recipe": recipe}
    for name in ("augment", "pixels", "bias_lr_factor", "bias_decay_factor"):
        del old[name]
    options = complete({"resume": Path("runs/1")}, old)
    assert (options.augment, options.pixels) == (recipe, "std")
    assert (options.bias_lr_factor, options.bias_decay_factor) == (1, 1)
    assert (options.lr, options.batch_size, options.schedule, options.init) == (0.002, 16, "linear", "he")
    with pytest.raises(ValueError, match="a run is resumed as it began: --recipe can't be changed"):
        complete({"recipe": "paper"}, old)
