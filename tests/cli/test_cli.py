"""The parser and `main`: what is refused and how, and what is loaded."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from npalexnet.cli import main
from tests.networks import TINY

ROOT = Path(__file__).parents[2]


def python(*arguments, **options):
    return subprocess.run(
        [sys.executable, *arguments], cwd=ROOT, capture_output=True, text=True, check=False, **options
    )


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("NPALEXNET_NUM_THREADS", "two", "an integer above 0"),
        ("NPALEXNET_CONVOLUTION", "fft", "'auto', 'im2col' or 'winograd'"),
    ],
)
def test_a_wrong_environment_variable_is_refused_before_anything_is_written(tmp_path, name, value, expected):
    folder = tmp_path / "run"
    done = python("-m", "npalexnet", "train", "--out", str(folder), env={**os.environ, name: value})
    assert done.returncode == 1
    assert done.stdout == ""
    assert done.stderr == f"npalexnet train: error: the environment variable {name} must be {expected}, got '{value}'\n"
    assert not folder.exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["predict", "{tmp}/nowhere", "x.png"], "No such file or directory"),
        (["evaluate", "{tmp}/nowhere"], "No such file or directory"),
        (["evaluate", "{run}", "--data", "{tmp}/nowhere"], "does not exist"),
        (["look", "{run}", "{tmp}/nothing.png"], "No such file or directory"),
        (["evaluate", "{run}", "--out", "{run}/config.json"], "can't be a folder to write to"),
        (["look", "{run}", "--out", "{run}/config.json/look"], "can't be a folder to write to"),
        (["look", "{run}", "--unit", "layers.99:0"], "layer must be one of layers.0, layers.1"),
        (["look", "{run}", "--unit", "layers.0:96"], "layers.0 has the channels 0 to 95"),
        (["look", "{run}", "--class", "Boot"], "class must be one of 'T-shirt/top'"),
        (["train", "--out", "{run}"], "holds something already; name a new folder"),
        (["train", "--device", "cuda:99", "--out", "{tmp}/new"], "device 'cuda"),
        (
            ["train", "--device", "tpu", "--out", "{tmp}/new"],
            "device must be 'cpu', 'cuda', 'cuda:N' or 'auto', got 'tpu'",
        ),
    ],
)
def test_a_users_mistake_ends_in_one_clear_line_and_status_1(trained_run, tmp_path, capsys, arguments, message):
    assert main([argument.format(tmp=tmp_path, run=trained_run) for argument in arguments]) == 1
    error = capsys.readouterr().err
    assert error.startswith(f"npalexnet {arguments[0]}: error: ")
    assert message in error
    assert "Errno" not in error
    assert error.count("\n") == 1
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "arguments are required: COMMAND"),
        (["fly"], "invalid choice: 'fly'"),
        (["train", "--lr", "0"], "argument --lr: must be above 0 and finite, got 0"),
        (["train", "--lr", "nan"], "argument --lr: must be above 0 and finite, got nan"),
        (["train", "--dropout", "1.5"], "argument --dropout: must be at least 0 and at most 1, got 1.5"),
        (["train", "--epochs", "0"], "argument --epochs: must be at least 1, got 0"),
        (["train", "--epochs", "two"], "argument --epochs: invalid int value: 'two'"),
        (["train", "--convolution", "fft"], "argument --convolution: invalid choice: 'fft'"),
        (["train", "--init", "magic"], "argument --init: invalid choice: 'magic'"),
        (["train", "--out", ""], "argument --out: must be a path, got ''"),
        (["train", "--resume="], "argument --resume: must be a path, got ''"),
        (["predict", "", "x.png"], "argument RUN: must be a path, got ''"),
        (["predict", "run"], "arguments are required: IMAGE"),
        (["look", "run", "--unit", "layers.4"], "argument --unit: must be LAYER:CHANNEL, like layers.4:17"),
        (["look", "run", "--images", "0"], "argument --images: must be at least 1, got 0"),
    ],
)
def test_a_wrong_command_line_is_explained_with_status_2(capsys, arguments, message):
    with pytest.raises(SystemExit) as stopped:
        main(arguments)
    assert stopped.value.code == 2
    assert message in capsys.readouterr().err


@pytest.mark.parametrize("command", ["train", "predict", "evaluate", "look", "export", "summary", "gradcheck", "info"])
def test_help_explains_each_command(capsys, command):
    with pytest.raises(SystemExit) as stopped:
        main([command, "--help"])
    assert stopped.value.code == 0
    help_text = capsys.readouterr().out
    assert f"npalexnet {command}" in help_text
    assert "None" not in help_text


def test_a_missing_extra_is_named_with_the_command_that_brings_it(tmp_path, capsys, monkeypatch):
    monkeypatch.setitem(sys.modules, "safetensors", None)
    assert main(["train", *TINY, "--out", str(tmp_path / "run")]) == 1
    assert "safetensors is not installed; pip install 'npalexnet[train]'" in capsys.readouterr().err
    assert not (tmp_path / "run").exists()


def test_importing_the_package_loads_nothing_heavy_nor_does_info():
    code = (
        "import sys, npalexnet, npalexnet.cli\n"
        "heavy = {'torch', 'cupy', 'PIL', 'matplotlib', 'tqdm', 'safetensors', 'onnx'}\n"
        "found = heavy & set(sys.modules)\n"
        "npalexnet.cli.main(['info'])\n"
        "found |= (heavy - {'cupy'}) & set(sys.modules)\n"  # whether there is a GPU, CuPy alone can say
        "sys.exit(', '.join(found) or 0)"
    )
    done = python("-c", code)
    assert done.returncode == 0, done.stderr


def test_a_notebooks_backend_of_matplotlib_that_is_not_installed_here_does_not_matter(monkeypatch, capsys):
    monkeypatch.setenv("MPLBACKEND", "module://nowhere.backend_inline")
    monkeypatch.delitem(sys.modules, "matplotlib", raising=False)
    assert main(["info"]) == 0
    assert "MPLBACKEND" not in os.environ
