"""A run of another variant than the default, from training to use."""

import json
import re

import numpy as np
import pytest
from PIL import Image

import npalexnet as na
from npalexnet.cli import main
from npalexnet.cli.config_file import CONFIG_FIELDS
from npalexnet.cli.look import convolutions
from npalexnet.inference.classifier import Classifier
from npalexnet.weights import load_weights, save_weights

pytestmark = pytest.mark.usefixtures("blank_figures")


@pytest.fixture
def picture(tmp_path):
    path = tmp_path / "picture.png"
    Image.effect_noise((80, 60), 90).save(path)
    return str(path)


@pytest.mark.parametrize(
    ("variant", "first", "init", "other"),
    [("released", "layers", "paper", "paper"), ("torchvision", "features", "he", "one-weird-trick")],
)
def test_a_run_is_trained_and_used_as_the_variant_that_it_began_as(
    narrow, tmp_path, picture, capsys, variant, first, init, other
):
    folder = tmp_path / "run"
    few = ["--steps", "1", "--batch-size", "2", "--train-images", "4", "--validation-images", "2"]
    begun = ["--variant", variant, "--init", init, "--freeze", f"{first}.0", "--out", str(folder)]
    assert main(["train", *few, *begun]) == 0
    assert json.loads((folder / "config.json").read_text())["variant"] == variant
    state, metadata = load_weights(folder / "weights.safetensors")
    assert metadata["variant"] == metadata["options"]["variant"] == variant
    assert f"{first}.0.weight" in state
    assert all(np.isfinite(value).all() for value in state.values())

    assert main(["train", "--resume", str(folder), "--steps", "2"]) == 0
    assert load_weights(folder / "weights.safetensors")[1]["variant"] == variant
    classifier = Classifier.load(folder)
    assert classifier.model.variant == variant
    assert classifier.inputs([Image.open(picture)]).shape == (1, 3, 224, 224)
    assert main(["predict", str(folder), picture]) == 0

    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, "variant": other}))
    capsys.readouterr()
    assert main(["train", "--resume", str(folder), "--steps", "3"]) == 1
    assert re.search(f"its variant was '{variant}', and is '{other}'|got 'features.0'", capsys.readouterr().err)


@pytest.mark.parametrize(
    ("variant", "expected"),
    [
        ("seed", {"layers.0": "layers.1", "layers.3": "layers.4", "layers.10": "layers.11"}),
        ("released", {"layers.0": "layers.3", "layers.4": "layers.5", "layers.13": "layers.15"}),
        ("torchvision", {"features.0": "features.1", "features.3": "features.4", "features.10": "features.11"}),
    ],
)
def test_look_shows_the_relu_behind_each_convolution(narrow, variant, expected):
    found = convolutions(na.AlexNet(2, init="torch", variant=variant))
    assert len(found) == 5
    assert expected.items() <= found.items()


def test_a_run_from_before_there_were_variants_is_of_the_default(trained_run, tmp_path):
    state, metadata = load_weights(trained_run / "weights.safetensors")
    del metadata["variant"], metadata["options"]["variant"]
    save_weights(tmp_path / "weights.safetensors", state, metadata)
    assert Classifier.load(tmp_path).model.variant == "seed"
    config = json.loads((trained_run / "config.json").read_text())
    del config["variant"]
    assert CONFIG_FIELDS.check(config) == config


@pytest.mark.parametrize("variant", ["vgg", 3, None, ["paper"]], ids=repr)
def test_weights_of_a_variant_that_is_not_known_are_refused(trained_run, tmp_path, variant):
    state, metadata = load_weights(trained_run / "weights.safetensors")
    save_weights(tmp_path / "weights.safetensors", state, {**metadata, "variant": variant})
    with pytest.raises(ValueError, match=r"weights\.safetensors is for another network: variant must be one of 'seed'"):
        Classifier.load(tmp_path)


def test_a_resumed_run_can_not_change_its_variant(trained_run, capsys):
    assert main(["train", "--resume", str(trained_run), "--variant", "paper"]) == 1
    assert "a run is resumed as it began: --variant can't be changed" in capsys.readouterr().err


def test_weights_of_another_variant_than_asked_for_are_refused_by_name(narrow, tmp_path, trained_run):
    state, metadata = load_weights(trained_run / "weights.safetensors")
    save_weights(tmp_path / "weights.safetensors", state, {**metadata, "variant": "paper"})
    with pytest.raises(ValueError, match=r"weights\.safetensors: .*classifier\.0\.weight"):
        Classifier.load(tmp_path)


def test_summary_prints_the_layers_of_a_variant(narrow, capsys):
    assert main(["summary", "--variant", "released", "--num-classes", "5"]) == 0
    printed = capsys.readouterr().out
    rows = [line.split() for line in printed.splitlines()]
    assert ["layers.0", "Conv2d", "1", "x", "96", "x", "55", "x", "55"] in [row[:9] for row in rows]
    assert ["layers.7", "SpatialResponseNorm"] in [row[:2] for row in rows]
    assert "released: the source that its author released" in printed
    with pytest.raises(SystemExit):
        main(["summary", "--variant", "vgg"])
    assert "'torchvision', 'one-weird-trick'" in capsys.readouterr().err.replace(
        "torchvision, one", "torchvision', 'one"
    )
