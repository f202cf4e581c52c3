import json
import re
import sys
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
import torch

import npalexnet as na
from npalexnet.cli import main
from npalexnet.inference.classifier import Classifier
from tests.support import normal


def test_the_network_is_written_and_it_is_said_what_that_is(trained_run, tmp_path, capsys):
    path = tmp_path / "network.onnx"
    assert main(["export", str(trained_run), str(path)]) == 0
    out = capsys.readouterr().out
    assert re.fullmatch(
        rf"Wrote {path}: an ONNX model of opset 17, images float32 \(N, 3, 227, 227\) -> logits float32 \(N, 10\); "
        r"16 tensors of float32, 1\d\.\d MB\n",
        out,
    )
    classifier = Classifier.load(trained_run)
    inputs = classifier.inputs([np.full((30, 40, 3), 99, np.uint8)])
    (logits,) = onnxruntime.InferenceSession(path).run(None, {"images": inputs})
    np.testing.assert_allclose(logits, classifier.model(inputs), rtol=1e-4, atol=1e-5)


def test_the_documented_use_of_onnx_runtime_answers_as_predict_does(trained_run, tmp_path, capsys, monkeypatch):
    assert main(["predict", str(trained_run), "docs/ankle-boot.png", "--json"]) == 0
    best = json.loads(capsys.readouterr().out)["predictions"][0]
    assert main(["export", str(trained_run), str(tmp_path / "network.onnx")]) == 0
    page = Path("docs/weights.md").read_text("utf-8")
    [example] = [code for code in re.findall(r"```python\n(.*?)```", page, re.DOTALL) if "onnxruntime" in code]
    (tmp_path / "docs").symlink_to(Path("docs").absolute())
    monkeypatch.chdir(tmp_path)
    capsys.readouterr()
    names: dict = {}
    exec(compile(example, "docs/weights.md", "exec"), names)
    described, answer = capsys.readouterr().out.splitlines()
    assert described.startswith(
        "the middle square, scaled to 227 x 227 pixels (bilinear, antialiased); then RGB from 0"
    )
    assert answer == best["class"]
    shares = np.exp(names["logits"][0] - names["logits"][0].max())
    assert shares.max() / shares.sum() == pytest.approx(best["probability"], abs=1e-5)


@pytest.mark.parametrize(
    ("name", "kind"),
    [("w.pth", "a state dict for torch.load"), ("w.safetensors", "safetensors"), ("w.npz", "arrays for numpy.load")],
)
def test_the_suffix_decides(trained_run, tmp_path, capsys, name, kind):
    assert main(["export", str(trained_run), str(tmp_path / name)]) == 0
    assert f"{name}: {kind}; 16 tensors of float32, " in capsys.readouterr().out


def test_what_was_exported_as_safetensors_predicts_the_same(trained_run, tmp_path, capsys):
    picture = "docs/ankle-boot.png"
    assert main(["export", str(trained_run), str(tmp_path / "w.safetensors")]) == 0
    capsys.readouterr()
    answers = []
    for network in (trained_run, tmp_path / "w.safetensors"):
        assert main(["predict", str(network), picture]) == 0
        answers.append(capsys.readouterr().out)
    assert answers[0] == answers[1]


def test_a_file_that_exists_is_replaced_by_force_alone(trained_run, tmp_path, capsys):
    path = tmp_path / "w.pth"
    path.write_bytes(b"before")
    assert main(["export", str(trained_run), str(path)]) == 1
    assert capsys.readouterr().err == f"npalexnet export: error: {path} exists already: --force replaces it\n"
    assert path.read_bytes() == b"before"
    assert main(["export", str(trained_run), str(path), "--force", "--dtype", "float16"]) == 0
    assert "16 tensors of float16" in capsys.readouterr().out
    assert torch.load(path, weights_only=True)["layers.0.weight"].dtype == torch.float16


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["w.bin"], "the file's suffix says in which format it is: one of .onnx, .pth, .pt, .safetensors, .npz, got"),
        (["nowhere/w.pth"], "there is no folder"),
        (["w.npz", "--dtype", "bfloat16"], "an .npz file can't hold bfloat16"),
    ],
)
def test_errors_are_one_line(trained_run, tmp_path, capsys, monkeypatch, arguments, message):
    monkeypatch.chdir(tmp_path)
    assert main(["export", str(trained_run), *arguments]) == 1
    output = capsys.readouterr()
    assert output.out == ""
    assert output.err.startswith("npalexnet export: error: ")
    assert output.err.count("\n") == 1
    assert message in output.err
    assert not list(tmp_path.iterdir())


def test_without_onnx_it_is_said_which_extra_brings_it(trained_run, tmp_path, capsys, monkeypatch):
    monkeypatch.setitem(sys.modules, "onnx", None)
    assert main(["export", str(trained_run), str(tmp_path / "w.onnx")]) == 1
    assert "onnx is not installed; pip install 'npalexnet[export]' brings all" in capsys.readouterr().err
    assert not list(tmp_path.iterdir())
    assert main(["export", str(trained_run), str(tmp_path / "w.pth")]) == 0


def test_a_network_that_is_not_there_is_an_error(tmp_path, capsys):
    assert main(["export", str(tmp_path / "runs"), str(tmp_path / "w.pth")]) == 1
    assert "No such file or directory" in capsys.readouterr().err


def test_a_file_of_another_program_is_converted(narrow, tmp_path, capsys):
    model = na.AlexNet(3, variant="torchvision", seed=1)
    torch.save({name: torch.from_numpy(value) for name, value in model.state_dict().items()}, tmp_path / "theirs.pth")
    (tmp_path / "names.txt").write_text("cat\ndog\nfish\n")
    arguments = [str(tmp_path / "theirs.pth"), str(tmp_path / "network.onnx"), "--classes", str(tmp_path / "names.txt")]
    assert main(["export", *arguments]) == 0
    assert "images float32 (N, 3, 224, 224) -> logits float32 (N, 3)" in capsys.readouterr().out
    session = onnxruntime.InferenceSession(tmp_path / "network.onnx")
    assert json.loads(session.get_modelmeta().custom_metadata_map["classes"]) == ["cat", "dog", "fish"]
    x = normal((1, 3, 224, 224), "float32")
    np.testing.assert_allclose(session.run(None, {"images": x})[0], model.eval()(x), rtol=1e-4, atol=1e-4)
