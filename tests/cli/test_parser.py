"""A command line that is nearly right: what was probably meant is said."""

import argparse
import os

import pytest

from npalexnet.cli import main
from npalexnet.cli.parser import Parser, suggestion


def refused(capsys, arguments):
    """What standard error says of arguments that end the program with status 2."""
    with pytest.raises(SystemExit) as stopped:
        main(arguments)
    assert stopped.value.code == 2
    return capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "command", "meant"),
    [
        (["train", "--batchsize", "3"], "train", "--batch-size"),
        (["train", "--batchsize=3"], "train", "--batch-size"),
        (["train", "--batch_size", "3"], "train", "--batch-size"),
        (["train", "--LR", "3"], "train", "--lr"),
        (["train", "--epoch", "3"], "train", "--epochs"),  # no abbreviations: --st might become another option
        (["train", "--validation", "3"], "train", "--validation-images"),
        (["train", "-epochs", "3"], "train", "--epochs"),
        (["predict", "run", "x.png", "--tpo", "3"], "predict", "--top"),
        (["predict", "--jsno"], "predict", "--json"),  # though its paths are missing, too
        (["evaluate", "run", "--tencrop"], "evaluate", "--ten-crop"),
        (["look", "run", "--units", "layers.4:17"], "look", "--unit"),
        (["summary", "--classes", "3"], "summary", "--num-classes"),
        (["gradcheck", "--sed", "3"], "gradcheck", "--seed"),
        (["info", "--hlep"], "info", "--help"),
        (["train", "--learning_rate", "3"], "train", "--lr"),
        (["train", "--bs=3"], "train", "--batch-size"),
        (["evaluate", "run", "--gpu"], "evaluate", "--device"),
    ],
)
def test_the_option_that_was_probably_meant_is_named_by_the_commands_own_parser(capsys, arguments, command, meant):
    error = refused(capsys, arguments)
    assert error.startswith(f"usage: npalexnet {command} ")
    assert f"npalexnet {command}: error: unrecognized arguments: " in error
    assert error.endswith(f"; did you mean {meant}?\n")


@pytest.mark.parametrize(
    ("arguments", "start", "end"),
    [
        (["tarin"], "npalexnet: error: argument COMMAND: invalid choice: 'tarin'", "; did you mean train?\n"),
        (["Predict"], "npalexnet: error: argument COMMAND: invalid choice: 'Predict'", "; did you mean predict?\n"),
        (["fly"], "npalexnet: error: argument COMMAND: invalid choice: 'fly' (choose from 'train', ", "'info')\n"),
        (
            ["train", "--recipe", "papper"],
            "npalexnet train: error: argument --recipe: invalid choice: 'papper' (choose from 'simple', "
            "'paper', 'released', 'caffe', 'torchvision', 'one-weird-trick')",
            "; did you mean paper?\n",
        ),
        (["test", "run"], "npalexnet: error: argument COMMAND: invalid choice: 'test'", "; did you mean evaluate?\n"),
        (["train", "--precision", "fp16"], "npalexnet train: error: argument --precision: ", "did you mean float16?\n"),
        (
            ["train", "--schedule", "x\x1b"],
            r"npalexnet train: error: argument --schedule: invalid choice: 'x\x1b' (choose from ",
            ")\n",
        ),
    ],
)
def test_a_wrong_choice_is_explained_in_one_line(capsys, arguments, start, end):
    error = refused(capsys, arguments)
    assert error.startswith(start)
    assert error.endswith(end)
    assert error.count("\n") == 1


def test_the_options_of_a_command_come_after_it(capsys):
    assert refused(capsys, ["--lr", "0.1", "train"]).endswith("--lr; the options of a command come after it\n")


def test_a_folder_without_its_option_is_explained(capsys, tmp_path):
    assert refused(capsys, ["train", str(tmp_path)]).endswith(f"{tmp_path}; data are given as --data {tmp_path}\n")


def test_values_and_paths_that_begin_with_a_dash_are_explained(capsys, tmp_path, monkeypatch):
    error = refused(capsys, ["look", "run", "--class", "-x"])
    assert error.endswith("expected one argument; a value that begins with - is given as --class=-x\n")
    monkeypatch.chdir(tmp_path)
    (tmp_path / "-1.png").touch()
    (tmp_path / "--odd.png").touch()
    assert refused(capsys, ["predict", "run", "-1.png"]).endswith(
        f"a path that begins with - is given as .{os.sep}-1.png\n"
    )
    error = refused(capsys, ["predict", "run", "--odd.png"])
    assert error.endswith(f"a path that begins with - is given as .{os.sep}--odd.png\n")


@pytest.mark.parametrize("command", [["predict", "run", "x.png"], ["evaluate", "run"], ["train"]])
@pytest.mark.parametrize(
    ("option", "values", "message"),
    [
        ("--mean", ["-1", "0", "nan"], "must be at least 0 and at most 255, got -1"),
        ("--mean", ["0", "-.5", "0"], "must be at least 0 and at most 255, got -.5"),
        ("--mean", ["0", "0", "nan"], "must be at least 0 and at most 255, got nan"),
        ("--mean", ["0", "0", "256"], "must be at least 0 and at most 255, got 256"),
        ("--std", ["1", "0", "1"], "must be above 0 and at most 255, got 0"),
        ("--std", ["-inf", "1", "1"], "expected 3 arguments"),
    ],
)
def test_colours_that_can_not_be_are_refused_for_what_is_wrong_with_them(capsys, command, option, values, message):
    error = refused(capsys, [*command, option, *values])
    assert error.endswith(f"\nnpalexnet {command[0]}: error: argument {option}: {message}\n")


def test_a_negative_number_is_none_of_the_options(capsys):
    error = refused(capsys, ["predict", "run", "x.png", "--top", "-1"])
    assert error.endswith("argument --top: must be at least 1, got -1\n")


def test_what_follows_two_dashes_is_no_option():
    parser = Parser(prog="p")
    parser.add_argument("--top", type=int)
    parser.add_argument("paths", nargs="*")
    found = parser.parse_args(["--top", "3", "--", "--tpo", "x"])
    assert found == argparse.Namespace(top=3, paths=["--tpo", "x"])


@pytest.mark.parametrize(
    ("word", "expected"),
    [
        ("papr", "did you mean paper?"),
        ("p", "did you mean paper or plateau?"),
        ("PLATEAU", "did you mean plateau?"),
        ("xyz", ""),
        ("", ""),
        ("--", ""),
    ],
)
def test_a_suggestion_resembles_the_word_or_begins_with_it(word, expected):
    assert suggestion(word, ["paper", "simple", "plateau"]) == expected
