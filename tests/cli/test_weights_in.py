"""Files of weights of all formats, at the commands."""

import json
import shutil

import numpy as np
import pytest
import torch
from safetensors.numpy import save_file

import npalexnet as na
from npalexnet.cli import main
from npalexnet.weights import load_weights
from tests.data.pictures import fill, noise
from tests.formats.test_torch_file import Writes
from tests.networks import TINY

CLASSES = ("Bag", "Coat", "Sandal")
pytestmark = pytest.mark.usefixtures("blank_figures")


@pytest.fixture
def pictures(tmp_path):
    fill(tmp_path / "pictures" / "val", **dict.fromkeys(CLASSES, 2))
    fill(tmp_path / "pictures" / "train", **dict.fromkeys(CLASSES, 2))
    return tmp_path / "pictures"


def predictions(capsys, *arguments):
    assert main(["predict", *map(str, arguments), "--json"]) == 0
    return [json.loads(line)["predictions"] for line in capsys.readouterr().out.splitlines()]


@pytest.mark.parametrize("suffix", [".onnx", ".pth", ".npz", ".safetensors"])
def test_a_network_in_any_format_predicts_as_the_run_does(trained_run, pictures, tmp_path, capsys, suffix):
    file = tmp_path / f"exported{suffix}"
    assert main(["export", str(trained_run), str(file)]) == 0
    file = shutil.move(file, tmp_path / "of-no-suffix")
    capsys.readouterr()
    picture = pictures / "val" / "Bag" / "000.png"
    assert predictions(capsys, file, picture) == predictions(capsys, trained_run, picture)


def test_a_network_in_a_file_is_evaluated_and_begun_with_as_the_runs(trained_run, pictures, tmp_path, capsys):
    file = tmp_path / "w.pth"
    assert main(["export", str(trained_run), str(file)]) == 0
    capsys.readouterr()
    for network in (file, trained_run):
        assert main(["evaluate", str(network), "--data", str(pictures), "--out", str(tmp_path / "out")]) == 0
    answers = capsys.readouterr().out.split("Wrote confusion.png")
    assert answers[0].splitlines()[-1] == answers[1].splitlines()[-1] != ""
    few = ["--data", str(pictures), "--batch-size", "2", "--steps", "1", "--out", str(tmp_path / "run")]
    assert main(["train", *few, "--weights", str(file), "--freeze", "layers", "classifier.1", "classifier.4"]) == 0
    assert "variant seed): 16 of 16 tensors; the last layer is new, for other classes" in capsys.readouterr().out
    after, before = (load_weights(folder / "weights.safetensors")[0] for folder in (tmp_path / "run", trained_run))
    for name in before:
        if not name.startswith("classifier.6"):
            np.testing.assert_array_equal(after[name], before[name])
    colours = [
        load_weights(folder / "weights.safetensors")[1]["pipeline"][-1] for folder in (trained_run, tmp_path / "run")
    ]
    assert colours[0] == colours[1]  # not those of these pictures
    assert main(["train", *few[:-1], str(tmp_path / "other"), "--mean", "0.5", "0.5", "0.5"]) == 1
    assert "--mean and --std go together: give both, or neither" in capsys.readouterr().err


def test_torchvisions_convolutions_give_their_variant_and_their_colours_to_a_run(narrow, pictures, tmp_path, capsys):
    state = list(na.AlexNet(2, seed=5, variant="torchvision").state_dict().items())
    save_file(dict(state[:10]), tmp_path / "w")
    run = str(tmp_path / "run")
    few = ["--data", str(pictures), "--batch-size", "2", "--steps", "1"]
    assert main(["train", *few, "--weights", str(tmp_path / "w"), "--freeze", "features", "--out", run]) == 0
    assert "variant torchvision): 10 of 16 tensors; the classifier is new" in capsys.readouterr().out
    weights, metadata = load_weights(tmp_path / "run" / "weights.safetensors")
    assert metadata["variant"] == metadata["options"]["variant"] == "torchvision"
    assert metadata["pipeline"][-1] == {
        "name": "Normalize", "mean": [0.485, 0.456, 0.406], "std": [0.229, 0.224, 0.225],
    }  # fmt: skip
    for name, values in state[:10]:
        np.testing.assert_array_equal(weights[name], values)
    (tmp_path / "w").unlink()  # which resuming does not need
    assert main(["train", "--resume", run, "--steps", "2"]) == 0


def test_what_a_file_does_not_say_is_given_by_options(narrow, pictures, tmp_path, capsys):
    save_file(na.AlexNet(2, variant="caffenet").state_dict(), tmp_path / "w")
    (tmp_path / "names").write_text("Katze\nHund\n")
    given = ["--variant", "caffenet", "--classes", tmp_path / "names", "--mean", "0", "0", "0", "--std", "1", "1", "1"]
    (found,) = predictions(capsys, tmp_path / "w", pictures / "val" / "Bag" / "000.png", *given)
    assert {prediction["class"] for prediction in found} == {"Katze", "Hund"}


ERRORS = {
    "alike": (lambda path, trap: save_file(na.AlexNet(2, variant="paper").state_dict(), path), "choose by --variant"),
    "hostile": (lambda path, trap: torch.save({"a": Writes(trap)}, path), "asks for"),
    "a module": (lambda path, trap: torch.save(torch.nn.Linear(2, 2), path), "holds a whole network with its code"),
    "a page": (lambda path, trap: path.write_text("<html>"), "is a web page"),
    "other weights": (lambda path, trap: torch.save({"a": torch.ones(2)}, path), "none of its tensors is called as"),
}


@pytest.mark.parametrize("command", ["predict", "evaluate", "look", "train"])
@pytest.mark.parametrize(("write", "message"), ERRORS.values(), ids=ERRORS)
def test_a_file_that_cant_be_used_is_one_line_and_leaves_nothing(
    narrow, tmp_path, monkeypatch, capsys, write, message, command
):
    write(tmp_path / "w.pth", tmp_path / "trap")
    noise().save(tmp_path / "p.png")
    monkeypatch.chdir(tmp_path)
    arguments = {"predict": ["w.pth", "p.png"], "train": [*TINY, "--weights", "w.pth"]}.get(command, ["w.pth"])
    assert main([command, *arguments]) == 1
    error = capsys.readouterr().err
    assert error.startswith(f"npalexnet {command}: error: w.pth")
    assert message in error
    assert error.count("\n") == 1
    assert sorted(path.name for path in tmp_path.iterdir()) == ["p.png", "w.pth"]


def test_data_of_other_names_are_matched_by_a_list_of_classes(narrow, pictures, tmp_path, capsys):
    save_file(na.AlexNet(3, variant="torchvision").state_dict(), tmp_path / "w")
    evaluate = ["evaluate", str(tmp_path / "w"), "--data", str(pictures), "--out", str(tmp_path / "out")]
    assert main(evaluate) == 1
    assert (
        "doesn't know: 'Bag', 'Coat', 'Sandal'; its classes are 'class 0', 'class 1', 'class 2'; a file of other"
        in (capsys.readouterr().err)
    )
    (tmp_path / "names").write_text("\n".join(CLASSES))
    assert main([*evaluate, "--classes", str(tmp_path / "names")]) == 0
