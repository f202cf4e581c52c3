"""``config.json``: each field is checked before a run goes on with it."""

import json
import os
import re
import shutil

import pytest

from npalexnet.cli import main
from npalexnet.cli.config_file import CONFIG_FIELDS, read_config
from npalexnet.cli.training_options import DEFAULTS, as_config, complete
from npalexnet.fields import FieldError

GOOD = {**as_config(complete({})), "variant": "seed"}  # which is known by the time that a run is written
ODD = (None, [1], "odd", -1, float("nan"), float("inf"), 2**100, {}, True, 0.5)
MAY_BE = {  # which of these each field may be
    "data": (None, "odd"), "strict": (True,), "workers": (), "epochs": (None,), "steps": (None,), "batch_size": (),
    "accumulate": (), "recipe": (), "lr": (2**100, 0.5), "schedule": (), "warmup": (None,), "momentum": (2**100, 0.5),
    "weight_decay": (2**100, 0.5), "clip_norm": (None, 2**100, 0.5), "patience": (None,), "dropout": (0.5,),
    "init": (), "seed": (), "weights": (None, "odd"), "freeze": (), "num_classes": (None,), "train_images": (None,),
    "test_images": (None,), "precision": (), "convolution": (None,), "checkpoint_every": (None,), "device": (),
    "keep": (), "labels": (None, "odd"), "variant": (), "mean": (None,), "std": (None,), "augment": (),
    "pixels": (), "bias_lr_factor": (2**100, 0.5),
    "bias_decay_factor": (2**100, 0.5),
}  # fmt: skip


def test_what_a_run_writes_may_be_read():
    assert CONFIG_FIELDS.check(GOOD) == GOOD
    assert GOOD.keys() == MAY_BE.keys()


@pytest.mark.parametrize("name", MAY_BE)
def test_a_field_of_another_type_or_out_of_range_is_refused_by_its_name(name):
    for value in ODD:
        if any(value is good or (value == good and type(value) is type(good)) for good in MAY_BE[name]):
            assert CONFIG_FIELDS.check({**GOOD, name: value})[name] == value
        else:
            with pytest.raises(FieldError, match=rf"^{name}(\[0\])? must be "):
                CONFIG_FIELDS.check({**GOOD, name: value})


def test_missing_and_misspelt_fields_are_refused():
    later = {
        "convolution",
        "keep",
        "labels",
        "variant",
        "mean",
        "std",
        "augment",
        "pixels",
        "bias_lr_factor",
        "bias_decay_factor",
    }
    for name in GOOD.keys() - later:
        with pytest.raises(FieldError, match=f"^it lacks {name}"):
            CONFIG_FIELDS.check({key: value for key, value in GOOD.items() if key != name})
    misspelt = {"droput" if name == "dropout" else name: value for name, value in GOOD.items()}
    with pytest.raises(FieldError, match=r'^it lacks dropout, but has "droput"$'):
        CONFIG_FIELDS.check(misspelt)
    with pytest.raises(FieldError, match=r'^it has an unknown field "droput": did you mean dropout\?'):
        CONFIG_FIELDS.check({**GOOD, "droput": 0.1})


def test_what_the_command_line_takes_a_run_that_goes_on_takes_too(tmp_path):
    assert DEFAULTS.keys() - {"out", "resume", "validation_images"} == MAY_BE.keys() - {"test_images"}
    for option, value in (("--seed", 2**63), ("--batch-size", 2**100), ("--num-classes", 100_001)):
        with pytest.raises(SystemExit):
            main(["train", option, str(value)])


def test_a_run_without_its_config_says_how_to_begin(tmp_path):
    with pytest.raises(ValueError, match="does not exist: there is no run to resume"):
        read_config(tmp_path / "nope", tmp_path / "nope")
    begin = f"begin again with npalexnet train --out {tmp_path} and the options as before"
    with pytest.raises(ValueError, match=rf"it holds no config\.json\. .*{re.escape(begin)}"):
        read_config(tmp_path, tmp_path)


def test_what_is_no_run_is_not_called_a_damaged_one(tmp_path):
    (tmp_path / "config.json").write_text('{"architectures": ["AlexNet"]}')
    (tmp_path / "model.safetensors").touch()
    with pytest.raises(
        ValueError, match=r"can't be resumed: .* is not the folder of a run, or .* it lacks data.*--weig"
    ):
        read_config(tmp_path, tmp_path)
    (tmp_path / "metrics.jsonl").touch()
    with pytest.raises(ValueError, match=r"config\.json is damaged: it lacks data$"):
        read_config(tmp_path, tmp_path)
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "notes.txt").touch()
    with pytest.raises(ValueError, match=r"notes\.txt can't be resumed: it is not a checkpoint in the folder of a run"):
        read_config(tmp_path / "elsewhere", tmp_path / "elsewhere" / "notes.txt")


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("workers", None, "config.json is damaged: workers must be a whole number of at least 1, got null"),
        ("data", ["x"], 'config.json is damaged: data must be text of at most 4,096 characters, or null, got ["x"]'),
        ("num_classes", 10**9, "num_classes must be a whole number from 1 to 100,000, or null, got 1000000000"),
        ("dropout", 0.25, "its layer classifier.0 was 'Dropout(p=0.5)', and is 'Dropout(p=0.25)'"),
        ("num_classes", 90_000, "says num_classes 90,000, but the checkpoint's classifier.6.weight has shape (10, 64)"),
    ],
)
def test_the_command_refuses_an_altered_config_in_one_line_and_changes_nothing(
    trained_run, tmp_path, capsys, name, value, message
):
    folder = tmp_path / "run"
    shutil.copytree(trained_run, folder)
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, name: value}))
    before = {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()}
    assert main(["train", "--resume", str(folder)]) == 1
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1
    assert {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()} == before


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="there are no named pipes")
def test_a_pipe_in_the_place_of_config_does_not_hang(tmp_path):
    os.mkfifo(tmp_path / "config.json")
    with pytest.raises(ValueError, match=r"config\.json is a pipe or a device, not a file"):
        read_config(tmp_path, tmp_path)
