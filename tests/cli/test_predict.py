import base64
import io
import json
import os
import sys
import weakref
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageOps

from npalexnet.cli import main
from npalexnet.cli.predict import _groups
from npalexnet.data.images import open_picture
from npalexnet.data.sample import load_sample
from npalexnet.inference.classifier import Classifier
from npalexnet.weights import load_weights, save_weights
from tests.networks import save_bright_network

BOOT = str(Path(__file__).parents[2] / "docs" / "ankle-boot.png")
pytestmark = pytest.mark.usefixtures("narrow")


@pytest.fixture
def run(tmp_path):
    folder = tmp_path / "run"
    folder.mkdir()
    save_bright_network(folder)
    return str(folder)


@pytest.fixture
def pictures(tmp_path):
    folder = tmp_path / "pictures"
    for name, colour in (("b/2.png", "white"), ("b/10.JPG", "black"), ("a.webp", "white"), ("c.gif", "black")):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (30, 40), colour).save(folder / name)
    (folder / "note.txt").write_text("no picture, by its name")
    Image.new("RGB", (3, 3)).save(folder / ".hidden.png")
    return folder


def standard_input(monkeypatch, content):
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(content)))


def test_a_folder_stands_for_all_image_files_in_it_and_below_in_order(run, pictures, capsys):
    assert main(["predict", run, str(pictures), "--top", "1"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[::2] == [str(pictures / name) for name in ("a.webp", "b/10.JPG", "b/2.png", "c.gif")]
    assert [line.split()[-1] for line in lines[1::2]] == ["bright", "dark", "bright", "dark"]


def test_broken_files_of_a_folder_are_named_and_the_rest_is_answered(run, pictures, capsys):
    (pictures / "broken.jpg").write_bytes(b"\xff\xd8\xff\xe0 nothing more")
    assert main(["predict", run, str(pictures), "--json"]) == 1
    output = capsys.readouterr()
    assert len(output.out.splitlines()) == 4
    (error,) = output.err.splitlines()
    assert str(pictures / "broken.jpg") in error


def test_a_folder_without_image_files_is_an_error(run, tmp_path, capsys):
    (tmp_path / "empty").mkdir()
    assert main(["predict", run, str(tmp_path / "empty")]) == 1
    output = capsys.readouterr()
    assert f"{tmp_path / 'empty'} is a folder without image files" in output.err
    assert output.out == ""


def test_no_picture_is_kept_once_the_next_one_is_read(run, pictures, monkeypatch):
    opened, alive = [], []

    def watched(path):
        alive.append(sum(reference() is not None for reference in opened))
        picture = open_picture(path)
        opened.append(weakref.ref(picture))
        return picture

    monkeypatch.setattr("npalexnet.cli.predict.open_picture", watched)
    assert main(["predict", run, str(pictures)]) == 0
    assert alive == [0, 0, 0, 0]


def test_json_has_an_object_a_line_with_classes_from_the_most_probable_down(run, pictures, capsys):
    assert main(["predict", run, str(pictures / "c.gif"), str(pictures / "a.webp"), "--json", "--top", "5"]) == 0
    black, white = map(json.loads, capsys.readouterr().out.splitlines())
    assert black["path"] == str(pictures / "c.gif")
    assert black["predictions"] == [
        {"class": "dark", "index": 0, "probability": 0.731059},
        {"class": "bright", "index": 1, "probability": 0.268941},
    ]
    assert [found["class"] for found in white["predictions"]] == ["bright", "dark"]


def test_ten_crops_see_what_the_middle_does_not(run, tmp_path, capsys):
    picture = Image.new("RGB", (256, 256), "black")
    picture.paste("white", (230, 0, 256, 256))
    picture.save(tmp_path / "edge.png")
    answers = []
    for options in ([], ["--ten-crop"]):
        assert main(["predict", run, str(tmp_path / "edge.png"), "--json", *options]) == 0
        (found,) = map(json.loads, capsys.readouterr().out.splitlines())
        answers.append({one["class"]: one["probability"] for one in found["predictions"]})
    assert answers[0] != answers[1]
    assert sum(answers[1].values()) == pytest.approx(1, abs=1e-5)


def test_paths_come_from_standard_input_too(run, pictures, capsys, monkeypatch):
    lines = f"{pictures / 'a.webp'}\r\n\n{pictures / 'missing.png'}\n{pictures / 'c.gif'}"
    standard_input(monkeypatch, lines.encode())
    assert main(["predict", run, str(pictures / "b" / "2.png"), "-", "--top", "1"]) == 1
    output = capsys.readouterr()
    assert output.out.splitlines()[::2] == [str(pictures / name) for name in ("b/2.png", "a.webp", "c.gif")]
    assert "missing.png" in output.err


def test_a_path_on_standard_input_is_answered_before_the_next_one_comes(monkeypatch):
    reading, writing = os.pipe()
    with open(reading) as stream, open(writing, "wb", buffering=0) as writer:
        monkeypatch.setattr(sys, "stdin", stream)
        groups = _groups(["first.png", "-"])
        assert next(groups) == ["first.png"]
        writer.write(b"one.png\ntwo.png\nthr")
        assert next(groups) == ["one.png", "two.png"]
        writer.write(b"ee.png\n")
        assert next(groups) == ["three.png"]
        writer.close()
        assert list(groups) == []


def test_many_paths_on_standard_input_make_batches(monkeypatch):
    standard_input(monkeypatch, b"".join(b"%d.png\n" % i for i in range(40)))
    groups = list(_groups(["-"]))
    assert [len(group) for group in groups] == [16, 16, 8]
    assert groups[2][-1] == "39.png"


@pytest.mark.skipif(os.name == "nt", reason="Windows has no such names")
def test_paths_with_ends_of_lines_are_read_where_each_ends_with_a_null_byte(trained_run, pictures, capsys, monkeypatch):
    odd = pictures / "two\nlines\r"
    os.rename(pictures / "c.gif", odd)
    standard_input(monkeypatch, b"%s\0\0%s" % (os.fsencode(odd), os.fsencode(pictures / "a.webp")))
    assert main(["predict", str(trained_run), "-", "-0", "--top", "1"]) == 0
    assert capsys.readouterr().out.splitlines()[::2] == [rf"{pictures}/two\nlines\r", str(pictures / "a.webp")]


def test_null_bytes_between_paths_are_explained_and_null_without_standard_input_is_refused(
    trained_run, pictures, capsys, monkeypatch
):
    standard_input(monkeypatch, b"a.png\0b.png\n%s" % os.fsencode(pictures / "a.webp"))
    assert main(["predict", str(trained_run), "-"]) == 1
    output = capsys.readouterr()
    assert output.out.startswith(str(pictures / "a.webp"))
    assert r"a.png\x00b.png can't be a path; paths that end with a NUL byte are read with --null" in output.err
    assert main(["predict", str(trained_run), "a.png", "--null"]) == 1
    assert "--null is for paths on standard input: name - among the images" in capsys.readouterr().err


@pytest.mark.parametrize("options", [[], ["--json"]])
def test_a_class_that_the_outputs_encoding_lacks_is_shown_all_the_same(trained_run, tmp_path, monkeypatch, options):
    state, metadata = load_weights(trained_run / "weights.safetensors")
    save_weights(tmp_path / "chinese.safetensors", state, {**metadata, "classes": ["猫"] * 10})
    stream = io.TextIOWrapper(io.BytesIO(), encoding="cp1252", newline="\n")
    monkeypatch.setattr(sys, "stdout", stream)
    assert main(["predict", str(tmp_path / "chinese.safetensors"), BOOT, "--top", "1", *options]) == 0
    answer = stream.buffer.getvalue().decode("ascii")
    if options:
        assert json.loads(answer)["predictions"][0]["class"] == "猫"
    else:
        assert answer.splitlines()[1].endswith(r"%  \u732b")


@pytest.mark.skipif(sys.platform != "linux", reason="file names are any bytes on Linux alone")
@pytest.mark.parametrize("options", [[], ["--json"]])
def test_a_name_that_is_no_text_is_shown_all_the_same(run, pictures, capsys, options):
    name = os.fsencode(pictures) + b"/caf\xe9.gif"
    os.rename(pictures / "c.gif", name)
    assert main(["predict", run, os.fsdecode(name), *options]) == 0
    out = capsys.readouterr().out
    if options:
        assert base64.b64decode(json.loads(out)["path_bytes"]) == name
        assert json.loads(out)["path"].endswith(r"caf\xe9.gif")
    else:
        assert r"caf\xe9.gif" in out


def test_predict_answers_as_often_as_it_is_asked(trained_run, capsys):
    assert main(["predict", str(trained_run), BOOT, BOOT, "--top", "1"]) == 0
    assert capsys.readouterr().out.splitlines()[::2] == [BOOT, BOOT]


def test_predict_names_the_class_that_the_weights_say(tmp_path, capsys):
    save_bright_network(tmp_path)
    for name, colour in (("white.png", "white"), ("black.png", "black")):
        Image.new("RGB", (40, 30), colour).save(tmp_path / name)
    paths = [str(tmp_path / name) for name in ("white.png", "black.png")]
    assert main(["predict", str(tmp_path / "weights.safetensors"), *paths, "--top", "1"]) == 0
    white, first, black, second = capsys.readouterr().out.splitlines()
    assert (white, black) == (paths[0], paths[1])
    assert (first.split()[-1], second.split()[-1]) == ("bright", "dark")
    assert second.split()[0] == "73.1"  # softmax of (1, 0)


def test_predict_prepares_images_as_training_did_and_drops_nothing(trained_run):
    picture = open_picture(BOOT)
    classifier = Classifier.load(trained_run)
    assert not classifier.model.training
    images = load_sample("train").images[::250]
    square = np.asarray(ImageOps.fit(picture, (227, 227), Image.Resampling.BILINEAR), "float32")  # (227, 227, 3)
    expected = (square / 255 - images.mean() / 255) / (images.std() / 255)
    np.testing.assert_allclose(classifier.inputs([picture]), expected.transpose(2, 0, 1)[None], atol=1e-5)
    batch = classifier.inputs([picture] * 2)
    shares = np.exp(classifier.log_probabilities(batch))
    np.testing.assert_array_equal(np.exp(classifier.log_probabilities(batch)), shares)
    np.testing.assert_allclose(shares.sum(axis=1), 1, rtol=1e-6)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"classes": None}, "does not name its classes, got None"),
        ({"classes": []}, "does not name its classes"),
        (
            {"mean": [0.5, 0.5]},
            "how pictures are prepared: mean must be three finite numbers, for red, green and blue, got [0.5, 0.5]",
        ),
        ({"std": [0, 1, 1]}, "how pictures are prepared: std must be above 0, got (0.0, 1.0, 1.0)"),
        (
            {"std": None},
            "how pictures are prepared: std must be three finite numbers, for red, green and blue, got None",
        ),
        ({"pipeline": [{"name": "unheard of"}]}, "pipeline"),
    ],
)
def test_weights_that_describe_no_classifier_are_refused_by_name(trained_run, tmp_path, capsys, changes, message):
    metadata = load_weights(trained_run / "weights.safetensors")[1]
    if {"mean", "std"} & set(changes):
        metadata = {"classes": metadata["classes"], "mean": [0.5] * 3, "std": [0.5] * 3}  # and no pipeline
    save_weights(tmp_path / "odd.safetensors", {"classifier.6.bias": np.zeros(10)}, {**metadata, **changes})
    assert main(["predict", str(tmp_path / "odd.safetensors"), BOOT]) == 1
    error = capsys.readouterr().err
    assert "odd.safetensors" in error
    assert message in error


def test_weights_for_another_number_of_classes_than_they_name_are_refused_by_name(trained_run, tmp_path, capsys):
    state, metadata = load_weights(trained_run / "weights.safetensors")
    save_weights(tmp_path / "odd.safetensors", state, {**metadata, "classes": ["one"]})
    assert main(["predict", str(tmp_path / "odd.safetensors"), BOOT]) == 1
    error = capsys.readouterr().err
    assert "odd.safetensors" in error
    assert "classifier.6.weight must have shape (1, 64), got (10, 64)" in error


def test_weights_that_are_not_finite_give_no_prediction(trained_run, tmp_path, capsys):
    state, metadata = load_weights(trained_run / "weights.safetensors")
    state["classifier.6.bias"] = np.full_like(state["classifier.6.bias"], np.nan)
    save_weights(tmp_path / "nan.safetensors", state, metadata)
    assert main(["predict", str(tmp_path / "nan.safetensors"), BOOT]) == 1
    output = capsys.readouterr()
    assert "the weights in" in output.err
    assert "not finite" in output.err
    assert output.out == ""


def test_predict_goes_on_after_a_file_that_it_cannot_read(trained_run, tmp_path, capsys):
    (tmp_path / "note.txt").write_text("hello")
    assert main(["predict", str(trained_run), str(tmp_path / "note.txt"), BOOT, str(tmp_path / "missing.png")]) == 1
    output = capsys.readouterr()
    assert output.out.startswith(BOOT)
    assert "note.txt is not an image file" in output.err
    assert "missing.png" in output.err
