"""Stopped runs that go on end with the bits of one that never stopped, or do not go on."""

import os
from contextlib import suppress
from pathlib import Path

import pytest

import npalexnet as na
from npalexnet.data import Subset
from npalexnet.training import Callback, CheckpointError, Run
from npalexnet.training.checkpoint import load_checkpoint, save_checkpoint
from npalexnet.training.run import saved_split
from tests.training.small import (
    assert_same_end,
    metrics,
    network_for_winograd,
    same,
    sample,
    small_network,
    trainer_of,
)

VARIANTS = {
    "plain": {},
    "plateau": {"schedule": "plateau", "validation": 12, "patience": 50},
    "accumulated and clipped": {"batch_size": 4, "accumulate": 3, "clip_norm": 0.5, "schedule": "cosine"},
    "float16": {"dtype": "float16"},
    "within an epoch": {"epochs": None, "steps": 7, "validation": 12},
}


def after(steps):
    """A function for `should_stop` that says so once a trainer has taken so many steps."""
    return lambda trainer: lambda: trainer.state.step >= steps


@pytest.mark.parametrize("settings", VARIANTS.values(), ids=VARIANTS)
@pytest.mark.filterwarnings("ignore:overflow")
def test_a_run_that_is_stopped_after_each_step_ends_as_one_that_never_was(tmp_path, settings):
    whole = trainer_of(run=Run(tmp_path / "whole"), **settings)
    assert whole.fit()
    assert (tmp_path / "whole" / "last.safetensors").exists()
    folder = tmp_path / "stopped"
    for step in range(1, whole.state.steps + 1):
        run = Run.reopen(folder) if folder.exists() else Run(folder)
        trainer = trainer_of(small_network(seed=step), run=run, **settings)  # the weights come from the checkpoint
        if step > 1:
            trainer.resume()
        else:
            trainer = trainer_of(run=run, **settings)
        complete = trainer.fit(should_stop=after(step)(trainer))
        assert not complete or trainer.state.step == whole.state.steps
    trainer = trainer_of(run=Run.reopen(folder), **settings)
    trainer.resume()
    assert trainer.fit()  # the validation after the last step, which the last stop left out
    assert_same_end(folder, tmp_path / "whole")


def test_a_validation_that_was_left_out_is_made_when_the_run_goes_on(tmp_path):
    trainer = trainer_of(run=Run(tmp_path / "run"), validation=12, epochs=1)
    answers = iter([False] * 5)
    trainer.fit(should_stop=lambda: next(answers, True))
    assert (trainer.state.step, trainer.state.validated_step) == (3, 0)
    again = trainer_of(run=Run.reopen(tmp_path / "run"), validation=12, epochs=1)
    again.resume()
    assert again.fit()
    assert [("test_loss" in line) for line in metrics(tmp_path / "run")] == [False, False, False, True]


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"batch_size": 4}, "its batch_size was 16, and is 4"),
        ({"count": 41}, "its images was 40, and is 41"),
        ({"seed": 1}, "its seed was 0, and is 1"),
        ({"momentum": 0.5}, r"its optimizer was .*'momentum': 0\.9.* and is .*'momentum': 0\.5"),
        ({"lr": 0.5}, r"its optimizer was .* and is .*'lr': 0\.5"),
        ({"clip_norm": 1.0}, r"its clip_norm was None, and is 1\.0"),
        ({"validation": 8}, r"its validation data \(names and labels\) was None, and is '"),
        ({"schedule": "cosine"}, "its schedule was 'Linear, 20 steps of warm-up', and is 'Cosine"),
        ({"model": small_network().freeze("0")}, r"its frozen was \[\], and is \['0.weight', '0.bias'\]"),
        ({"model": na.Sequential(na.Flatten(), na.Linear(3 * 227 * 227, 10))}, "generators"),
        ({"model": small_network().__class__(*list(small_network())[:4], na.Linear(1568, 9))}, "must have shape"),
    ],
)
def test_a_run_goes_on_as_it_began_or_not_at_all(tmp_path, settings, message):
    trainer_of(run=Run(tmp_path / "run")).fit()
    before = (tmp_path / "run" / "metrics.jsonl").read_bytes()
    trainer = trainer_of(run=Run.reopen(tmp_path / "run"), **settings)
    with pytest.raises(ValueError, match=message):
        trainer.resume()
    assert trainer.state.step == 0
    assert (tmp_path / "run" / "metrics.jsonl").read_bytes() == before


@pytest.mark.parametrize(("convolution", "recorded"), [("winograd", True), ("im2col", True), ("im2col", False)])
def test_a_run_goes_on_with_the_convolutions_with_which_it_began_or_not_at_all(tmp_path, convolution, recorded):
    trainer_of(network_for_winograd(), run=Run(tmp_path / "whole"), convolution=convolution).fit()
    folder = tmp_path / "stopped"
    trainer = trainer_of(network_for_winograd(), run=Run(folder), convolution=convolution)
    trainer.fit(should_stop=after(2)(trainer))
    if not recorded:  # older runs, which were all computed with im2col
        tensors, metadata = load_checkpoint(folder / "last.safetensors")
        del metadata["configuration"]["convolution"]
        save_checkpoint(folder / "last.safetensors", tensors, metadata)
    for other in {"auto", "im2col", "winograd"} - {convolution}:
        trainer = trainer_of(network_for_winograd(), run=Run.reopen(folder), convolution=other)
        with pytest.raises(ValueError, match=f"its convolution was '{convolution}', and is '{other}'"):
            trainer.resume()
    with na.convolution_algorithm("im2col" if convolution == "winograd" else "winograd"):
        trainer = trainer_of(network_for_winograd(), run=Run.reopen(folder), convolution=convolution)
        trainer.resume()
        assert trainer.fit()
    assert_same_end(folder, tmp_path / "whole")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            lambda data: setattr(data, "classes", data.classes[::-1]),
            r"its classes was \['T-shirt.* and is \['Ankle",
        ),
        (lambda data: setattr(data, "labels", data.labels[::-1].copy()), r"its data \(names and labels\) was"),
        (lambda data: setattr(data, "name", lambda i: f"another {i}"), r"its data \(names and labels\) was"),
    ],
)
def test_a_run_does_not_go_on_with_other_data(tmp_path, change, message):
    trainer_of(run=Run(tmp_path / "run")).fit()
    trainer = trainer_of(run=Run.reopen(tmp_path / "run"))
    change(trainer.train.dataset)
    with pytest.raises(ValueError, match=message):
        trainer.resume()
    assert trainer.state.step == 0


def test_a_run_that_was_stopped_before_its_first_checkpoint_is_begun_again_without_its_lines_and_split(tmp_path):
    (tmp_path / "metrics.jsonl").write_text('{"step": 1, "loss": 9.0}\n')
    pictures = sample("train", 40)
    for parts in ((range(30), range(30, 40)), (range(10, 40), range(10))):
        trainer = trainer_of(run=Run.reopen(tmp_path), validation=8, epochs=1)
        trainer.train.dataset, trainer.validation.dataset = (Subset(pictures, part) for part in parts)
        trainer.state.steps = len(trainer.train)
        trainer.fit(should_stop=lambda: True)
        assert saved_split(tmp_path)["val"] == [f"image {i}" for i in parts[1]]
    trainer.fit()
    assert [line["step"] for line in metrics(tmp_path)] == [1, 2, 2]


def test_a_run_does_not_become_shorter_than_it_is(tmp_path):
    trainer_of(run=Run(tmp_path), schedule="constant", epochs=None, steps=4).fit()
    shorter = trainer_of(run=Run.reopen(tmp_path), schedule="constant", epochs=None, steps=3)
    with pytest.raises(ValueError, match="4 steps were taken already, so there can't be 3 in all"):
        shorter.resume()
    assert shorter.state.step == 0


def test_a_finished_run_can_be_made_longer(tmp_path):
    trainer_of(run=Run(tmp_path / "run"), schedule="constant", epochs=1).fit()
    trainer_of(run=Run(tmp_path / "long"), schedule="constant", epochs=2).fit()
    longer = trainer_of(run=Run.reopen(tmp_path / "run"), schedule="constant", epochs=2)
    longer.resume()
    assert longer.fit()
    assert_same_end(tmp_path / "run", tmp_path / "long")


def test_a_damaged_checkpoint_offers_the_one_before_from_which_the_run_ends_the_same(tmp_path):
    trainer_of(run=Run(tmp_path / "whole")).fit()
    trainer = trainer_of(run=Run(tmp_path / "run"), checkpoint_every=1)
    trainer.fit(should_stop=lambda: trainer.state.step >= 5)
    os.truncate(tmp_path / "run" / "last.safetensors", 1000)
    again = trainer_of(run=Run.reopen(tmp_path / "run"))
    with pytest.raises(CheckpointError, match=r"cut short.*of step 4, is good: .* --resume .*previous\.safetensors"):
        again.resume()
    again.resume(tmp_path / "run" / "previous.safetensors")
    assert again.state.step == 4
    assert again.fit()
    assert_same_end(tmp_path / "run", tmp_path / "whole")


def test_going_on_from_the_checkpoint_before_never_overwrites_the_last_good_one(tmp_path, monkeypatch):
    trainer = trainer_of(run=Run(tmp_path), checkpoint_every=1)
    trainer.fit(should_stop=lambda: trainer.state.step >= 5)
    os.truncate(tmp_path / "last.safetensors", 1000)
    again = trainer_of(run=Run.reopen(tmp_path), checkpoint_every=1)
    again.resume(tmp_path / "previous.safetensors")
    good, replace = [], os.replace

    def watched(source, target):
        """Rename, and note of which steps there are good checkpoints: a process may be killed there."""
        replace(source, target)
        if Path(target).suffix == ".safetensors":
            good.append([])
            for name in ("last", "previous"):
                with suppress(CheckpointError, FileNotFoundError):
                    good[-1].append(load_checkpoint(tmp_path / f"{name}.safetensors")[1]["step"])

    monkeypatch.setattr(os, "replace", watched)
    assert again.fit()
    assert good == [[4], [5, 4], [5, 4], [5], [6, 5]]  # the one in the middle is when the weights are written


def test_going_on_from_the_checkpoint_before_with_damaged_metrics_leaves_all_as_it_was(tmp_path):
    trainer = trainer_of(run=Run(tmp_path), checkpoint_every=1)
    trainer.fit(should_stop=lambda: trainer.state.step >= 5)
    (tmp_path / "metrics.jsonl").write_bytes(b"")
    again = trainer_of(run=Run.reopen(tmp_path), checkpoint_every=1)
    with pytest.raises(CheckpointError, match="has fewer lines than the 4 of the checkpoint"):
        again.resume(tmp_path / "previous.safetensors")
    assert [load_checkpoint(tmp_path / f"{name}.safetensors")[1]["step"] for name in ("last", "previous")] == [5, 4]


def test_a_damaged_last_checkpoint_that_is_named_offers_the_one_before_too(tmp_path):
    trainer = trainer_of(run=Run(tmp_path), checkpoint_every=1)
    trainer.fit(should_stop=lambda: trainer.state.step >= 5)
    os.truncate(tmp_path / "last.safetensors", 1000)
    with pytest.raises(CheckpointError, match=r"of step 4, is good: .* --resume .*previous\.safetensors"):
        trainer_of(run=Run.reopen(tmp_path)).resume(tmp_path / "last.safetensors")


def test_a_run_is_not_trained_from_the_beginning_where_its_resume_was_forgotten(tmp_path):
    trainer = trainer_of(run=Run(tmp_path), validation=8)
    trainer.fit(should_stop=lambda: trainer.state.step >= 4)
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    with pytest.raises(ValueError, match=r"has a checkpoint, and would be overwritten: call the trainer's resume\(\)"):
        trainer_of(run=Run.reopen(tmp_path), validation=8).fit()
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before
    assert trainer.fit()


def test_a_run_whose_patience_ended_is_not_trained_further(tmp_path):
    settings = {"epochs": 8, "validation": 8, "patience": 1, "lr": 1e-12}
    trainer_of(run=Run(tmp_path / "run"), **settings).fit()
    before = metrics(tmp_path / "run")
    again = trainer_of(run=Run.reopen(tmp_path / "run"), **settings)
    again.resume()
    assert again.state.step < again.state.steps
    assert again.fit()
    assert metrics(tmp_path / "run") == before


def stopped(folder, steps=5):
    trainer = trainer_of(run=Run(folder), checkpoint_every=1)
    trainer.fit(should_stop=after(steps)(trainer))
    return folder / "metrics.jsonl"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda lines: lines[0].replace(b"accuracy", b"accurbcy"), 'in line 1, it lacks accuracy, but has "accurbcy"'),
        (lambda lines: b"[1]\n", r"in line 1, its content must be an object, got \[1\]"),
        (lambda lines: lines[0].replace(b'"images"', b'"imagws"'), "in line 1, it lacks images"),
        (lambda lines: b'{"step": "x"}\n', 'in line 1, step must be a whole number of at least 0, got "x"'),
        (lambda lines: lines[0].replace(b'"loss": ', b'"loss": 1e999, "x": '), "loss must be .*, got Infinity"),
        (lambda lines: b"\xff" + lines[0], "in line 1, it is no JSON"),
    ],
)
def test_damaged_metrics_are_refused_before_a_step_is_taken_and_moving_them_away_helps(tmp_path, change, message):
    path = stopped(tmp_path / "run")
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(change(lines) + b"".join(lines[1:]))
    before = {file.name: file.read_bytes() for file in path.parent.iterdir()}
    with pytest.raises(CheckpointError, match=message) as caught:
        trainer_of(run=Run.reopen(path.parent)).resume()
    assert str(caught.value).startswith(f"{path} is damaged: in line 1, ")
    assert "move it away: without it the run goes on, and its curves begin anew" in str(caught.value)
    assert {file.name: file.read_bytes() for file in path.parent.iterdir()} == before


class Notes(Callback):
    def __init__(self):
        self.lines = []

    def on_message(self, line):
        self.lines.append(line)


def test_a_run_goes_on_without_its_metrics_and_says_so(tmp_path):
    trainer_of(run=Run(tmp_path / "whole")).fit()
    path = stopped(tmp_path / "run")
    path.unlink()
    notes, trainer = Notes(), trainer_of(run=Run.reopen(path.parent))
    trainer.resume()
    assert trainer.fit(notes)
    assert f"{path} is missing: the run goes on, and its curves begin anew" in notes.lines
    expected = load_checkpoint(tmp_path / "whole" / "last.safetensors")[0]
    assert same(load_checkpoint(path.parent / "last.safetensors")[0], expected)
    assert [line["step"] for line in metrics(path.parent)] == [6]
    again = trainer_of(run=Run.reopen(path.parent))
    again.resume()
    assert again.state.finished
