import itertools
import json
import os
import re
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image

from npalexnet.cli import main
from npalexnet.cli.look_facts import network_name
from npalexnet.weights import load_weights, save_weights
from tests.networks import save_bright_network
from tests.pages import check_self_contained

MAPS = [f"features-layers.{i}.png" for i in (1, 2, 4, 5, 7, 9, 11, 12)]
FEATURES = [*MAPS, *(f"features-classifier.{i}.png" for i in (2, 5, 6))]
pytestmark = pytest.mark.usefixtures("narrow", "blank_figures")


@pytest.fixture(autouse=True)
def few_squares(monkeypatch):
    """25 for the occlusion map instead of 225, a forward pass each."""
    monkeypatch.setattr("npalexnet.cli.look.CELLS", 5)


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("look") / "run <1>"
    folder.mkdir()
    save_bright_network(folder)
    records = [{"step": i, "images": i, "loss": 1 / i, "accuracy": 0.5} for i in (1, 2)]
    (folder / "metrics.jsonl").write_text("\n".join(map(json.dumps, records)) + "\n")
    return folder


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """Four validation pictures of each class, one of the dark ones white."""
    folder = tmp_path_factory.mktemp("data")
    rng = np.random.default_rng(0)
    for part in ("train", "val"):
        for name, level in (("bright", 200), ("dark", 0)):
            (folder / part / name).mkdir(parents=True)
            for i in range(4):
                noise = level + rng.integers(0, 40, (20, 20, 3)) * (level > 0)
                Image.fromarray(noise.astype(np.uint8)).save(folder / part / name / f"{i}.png")
    Image.new("RGB", (20, 20), "white").save(folder / "val" / "dark" / "2.png")
    return folder


def names(folder):
    return {path.name for path in folder.iterdir()}


def test_look_writes_all_pictures_and_a_page_that_holds_them(drawn, run, data, capsys):
    assert main(["look", str(run), "--data", str(data)]) == 0
    out = run / "look"
    activating = {name for name in names(out) if name.startswith("top-activating-layers.")}
    assert {name.rpartition("-")[0] for name in activating} == {f"top-activating-layers.{i}" for i in (1, 4, 7, 9, 11)}
    assert names(out) - activating == {
        "filters.png", "curves.png", "occlusion.png", "mistakes.png", "confusion.png", "index.html", *FEATURES
    }  # fmt: skip
    for path in out.glob("*.png"):
        with Image.open(path) as image:
            assert image.width > 400, path
    document = (out / "index.html").read_text(encoding="utf-8")
    checker = check_self_contained(document)
    text = " ".join(checker.texts)
    headings = [
        "Mistakes", "What excites its channels", "Layer by layer", "Filters", "Training", "What is confused with what",
        "The run",
    ]  # fmt: skip
    assert [words for words in checker.texts if words in headings] == 2 * headings  # links, then the parts
    for words in ("A look inside the network of run <1>", "8 images", "bright/0.png, of class bright"):
        assert words in text
    for place in (run, data):
        assert str(place.parent) not in text
    opening = checker.texts[: checker.texts.index("Evidence for bright")]
    assert [words for words in opening if words.startswith("bright, ")]
    for words in ("taken for bright", "convolution 2, channel 0 ", "layers.4:0", "channel 0", "3", "75 %"):
        assert words in checker.texts
    parts = re.findall(r"<details( open)?><summary><b>([^<]*)", document)
    assert [title for is_open, title in parts if is_open] == [f"convolution {i}" for i in (1, 3, 5)]
    assert [title for is_open, title in parts if not is_open] == [
        "pooling 1", "convolution 2", "pooling 2", "convolution 4", "pooling 3",
        "linear layer 1", "linear layer 2", "linear layer 3",
    ]  # fmt: skip
    assert "87.5 %" in text
    output = capsys.readouterr()
    assert "accuracy 87.5 % on 8 validation images" in output.out
    assert output.err == ""


def test_look_at_ones_own_image_units_and_class(drawn, run, data, tmp_path, monkeypatch):
    monkeypatch.setattr("npalexnet.cli.look.SHOWN", ())  # the rest is drawn as for any other image
    image = tmp_path / "mine.png"
    Image.new("RGB", (50, 40), "black").save(image)
    options = ["--unit", "layers.4:0", "--unit", "classifier.6:1", "--class", "bright", "--images", "3"]
    out = tmp_path / "out" / "side"
    assert main(["look", str(run), str(image), "--data", str(data), "--out", str(out), *options]) == 0
    activating = {name for name in names(out) if name.startswith("top-activating")}
    assert activating == {"top-activating-layers.4-0.png", "top-activating-classifier.6-1.png"}
    checker = check_self_contained((out / "index.html").read_text(encoding="utf-8"))
    text = " ".join(checker.texts)
    assert "3 of them chosen at random for this page" in text
    for words in (f"{tmp_path.name}/mine.png", "dark, 73.1 %", "26.9 %", "Evidence for bright"):
        assert words in checker.texts
    assert str(tmp_path) not in text
    for words in ("convolution 2, channel 0 ", "linear layer 3, unit 1 "):
        assert words in checker.texts
    assert not (run / "side").exists()


def test_several_images_are_shown_one_below_the_other_and_an_unreadable_one_is_named_before_anything_is_written(
    run, data, tmp_path, monkeypatch, capsys
):
    monkeypatch.setattr("npalexnet.cli.look.SHOWN", ())
    for name in ("black", "white"):
        Image.new("RGB", (20, 20), name).save(tmp_path / f"{name}.png")
    pictures, out = [str(tmp_path / f"{name}.png") for name in ("black", "white")], tmp_path / "out"
    options = ["--data", str(data), "--out", str(out), "--images", "2", "--unit", "classifier.6:0"]
    assert main(["look", str(run), *pictures, *options]) == 0
    checker = check_self_contained((out / "index.html").read_text(encoding="utf-8"))
    places = [checker.texts.index(f"{tmp_path.name}/{name}.png") for name in ("black", "white")]
    assert places[0] < checker.texts.index("dark, 73.1 %") < places[1] < checker.texts.index("Mistakes", places[0])
    assert f"The same for {tmp_path.name}/white.png" in checker.texts
    assert {"occlusion.png", "occlusion-2.png", "features-classifier.6-2.png"} <= names(out)
    (tmp_path / "bad.png").write_text("no picture")
    assert main(["look", str(run), pictures[0], str(tmp_path / "bad.png"), "--data", str(data)]) == 1
    assert "bad.png" in capsys.readouterr().err


@pytest.mark.skipif(sys.platform != "linux", reason="file names are any bytes on Linux alone")
def test_classes_and_folders_whose_names_are_no_text_are_shown_all_the_same(drawn, run, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr("npalexnet.cli.look.SHOWN", ())
    odd = os.fsdecode(b"d\xe9\n\x1b[2J")
    folder = tmp_path / odd
    for part, name in itertools.product(("train", "val"), ("bright", odd)):
        (folder / "data" / part / name).mkdir(parents=True)
        Image.new("RGB", (8, 8), "white" if name == "bright" else "black").save(folder / "data" / part / name / "1.png")
    state, metadata = load_weights(run / "weights.safetensors")
    save_weights(folder / "weights.safetensors", state, {**metadata, "classes": [odd, "bright"]})
    data, image = ["--data", str(folder / "data")], str(folder / "data" / "val" / odd / "1.png")
    assert main(["evaluate", str(folder), *data]) == 0
    assert r"d\xe9\n\x1b[2J," in (folder / "evaluation" / "confusion.csv").read_text(encoding="utf-8")
    assert main(["look", str(folder), image, *data, "--unit", "classifier.6:0"]) == 0
    page = (folder / "look" / "index.html").read_text(encoding="utf-8")
    assert r"d\xe9\n\x1b[2J/1.png" in page
    assert r"<h2>d\xe9\n\x1b[2J, 73.1 %</h2>" in page
    assert "\x1b" not in page
    assert main(["predict", str(folder), image, "--top", "1"]) == 0
    out = capsys.readouterr().out
    assert out.splitlines()[-1].split()[-1] == r"d\xe9\n\x1b[2J"
    assert rf"{tmp_path}/d\xe9\n\x1b[2J/look/index.html shows them all" in out
    assert "\x1b" not in out


def test_evaluate_prints_a_table_and_writes_the_confusion_matrix(run, data, tmp_path, capsys):
    assert main(["evaluate", str(run), "--data", str(data), "--out", str(tmp_path / "a" / "b")]) == 0
    output = capsys.readouterr()
    lines = [line.split() for line in output.out.splitlines()]
    assert ["dark", "bright", "(1)", "4", "3", "75.0"] in lines
    assert ["bright", "-", "4", "4", "100.0"] in lines
    assert "top-1 accuracy 87.50 %, top-5 100.00 %" in output.out
    assert names(tmp_path / "a" / "b") == {"confusion.png", "confusion.csv"}
    text = (tmp_path / "a" / "b" / "confusion.csv").read_text()
    assert text.splitlines() == ["true class,dark,bright", "dark,3,1", "bright,0,4"]
    assert output.err == ""


def test_evaluate_with_ten_crops_says_so(run, data, capsys):
    assert main(["evaluate", str(run), "--data", str(data), "--ten-crop"]) == 0
    assert "8 validation images of 2 classes, averaged over ten crops" in capsys.readouterr().out
    assert names(run / "evaluation") == {"confusion.png", "confusion.csv"}


@pytest.mark.parametrize("command", ["evaluate", "look"])
def test_data_must_be_named_where_the_run_does_not_and_be_of_classes_that_it_knows(run, tmp_path, capsys, command):
    assert main([command, str(run)]) == 1
    assert "does not say which data it was trained on; name them with --data" in capsys.readouterr().err
    for part, name in itertools.product(("train", "val"), ("bright", "red")):
        (tmp_path / part / name).mkdir(parents=True)
        Image.new("RGB", (8, 8)).save(tmp_path / part / name / "1.png")
    assert main([command, str(run), "--data", str(tmp_path)]) == 1
    assert "classes that the network in" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("runs/1/weights.safetensors", "run 1"),
        ("runs/mine/weights.safetensors", "mine"),
        ("alexnet.pth", "alexnet.pth"),
    ],
)
def test_a_network_is_called_as_its_folder_or_file_but_a_number_is_no_name(path, name):
    assert network_name(SimpleNamespace(path=Path(path))) == name
