import errno
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import npalexnet as na
from npalexnet.data import LoadError, Subset
from npalexnet.data.sample import CLASSES
from npalexnet.files import locked
from npalexnet.training import Callback
from npalexnet.training.checkpoint import CheckpointError
from npalexnet.training.run import CONFIG, SPLIT, Run, new_run_folder, saved_split
from npalexnet.weights import load_weights
from tests.training.small import sample, small_network, trainer_of

ROOT = Path(__file__).parent.parent.parent
STATE = {"layers.0.weight": np.random.default_rng(0).standard_normal((4, 3, 5, 5))}


def filled(folder):
    run = Run(folder, {"classes": ["a", "b"]}, grey=True)
    run.record(step=1, images=16, loss=2.3, accuracy=0.1, lr=0.1)
    run.record(step=1, images=16, epoch=1, test_loss=2.2, test_accuracy=0.2)
    run.save_json(CONFIG, {"seed": 0})
    run.save_json(SPLIT, {"train": ["x.jpg"], "val": ["y.jpg"]})
    run.save_weights(STATE, steps=1)
    run.save_curves()
    run.save_confusion(np.eye(2, dtype=int), ["a", "b"])
    run.save_checkpoint(STATE, {"step": 1})
    return run


def test_a_run_leaves_weights_metrics_and_pictures(drawn, tmp_path):
    filled(tmp_path / "deep" / "run")
    folder = tmp_path / "deep" / "run"
    assert {path.name for path in folder.iterdir() if not path.name.startswith("events")} == {
        "config.json", "confusion.csv", "confusion.png", "curves.png", "filters.png", "last.safetensors",
        "metrics.jsonl", "split.json",
        "weights.safetensors",
    }  # fmt: skip
    state, metadata = load_weights(folder / "weights.safetensors")
    np.testing.assert_array_equal(state["layers.0.weight"], STATE["layers.0.weight"])
    assert metadata == {"classes": ["a", "b"], "steps": 1}
    lines = (folder / "metrics.jsonl").read_text().splitlines()
    assert json.loads(lines[1]) == {"step": 1, "images": 16, "epoch": 1, "test_loss": 2.2, "test_accuracy": 0.2}
    assert json.loads((folder / "config.json").read_text()) == {"seed": 0}
    assert json.loads((folder / "split.json").read_text()) == {"train": ["x.jpg"], "val": ["y.jpg"]}
    for name in ("curves.png", "filters.png"):
        with Image.open(folder / name) as picture:
            assert min(picture.size) > 50


def test_a_folder_that_holds_something_is_refused_and_left_alone(tmp_path):
    (tmp_path / "mine.txt").write_text("precious")
    with pytest.raises(ValueError, match="holds something already"):
        Run(tmp_path)
    with pytest.raises(ValueError, match="holds something already"):
        Run(tmp_path / "mine.txt")
    assert [path.name for path in tmp_path.iterdir()] == ["mine.txt"]


def test_the_first_free_number_names_a_run(tmp_path):
    assert new_run_folder(tmp_path) == tmp_path / "1"
    (tmp_path / "1").mkdir()
    (tmp_path / "3").mkdir()
    assert new_run_folder(tmp_path) == tmp_path / "2"


def test_a_run_of_which_nothing_was_learned_goes_with_the_folders_that_were_made_for_it(tmp_path):
    run = Run(tmp_path / "runs" / "1")
    run.save_json(CONFIG, {})
    run.save_json(SPLIT, {})
    assert run.discard_if_empty()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("keep", ["metrics", "file", "folder"])
def test_a_run_with_anything_in_it_stays(tmp_path, keep):
    if keep == "folder":
        (tmp_path / "runs").mkdir()
    run = Run(tmp_path / "runs")
    if keep == "metrics":
        run.record(step=1, loss=1.0)
    elif keep == "file":
        (run.folder / "mine.txt").touch()
    assert not run.discard_if_empty()
    assert run.folder.exists()


def test_numbers_that_json_does_not_have_become_null(tmp_path):
    run = Run(tmp_path / "run")
    run.record(step=1, grad_norm=float("inf"))
    assert json.loads((run.folder / "metrics.jsonl").read_text()) == {"step": 1, "grad_norm": None}


def test_lines_of_steps_that_will_be_taken_again_are_cut_off(tmp_path):
    run = filled(tmp_path / "run")
    before = (run.folder / "metrics.jsonl").read_bytes()
    run.record(step=2, loss=1.0)
    with open(run.folder / "metrics.jsonl", "a") as file:
        file.write('{"step": 3, "lo')  # killed amid a line
    again = Run.reopen(run.folder)
    again.rewind(again.load_checkpoint()[1]["lines"])
    assert (run.folder / "metrics.jsonl").read_bytes() == before
    assert [record["images"] for record in again.records] == [16, 16]


@pytest.mark.parametrize("content", [b"", b'{"step": 1}\n', b'{"step": 1}\n{"step', b'{"step": 1}\nhello\n'])
def test_metrics_with_fewer_lines_than_the_checkpoint_knows_are_refused_and_stay(tmp_path, content):
    run = filled(tmp_path / "run")
    (run.folder / "metrics.jsonl").write_bytes(content)
    with pytest.raises(CheckpointError, match=r"metrics\.jsonl is damaged"):
        Run.reopen(run.folder).rewind(2)
    assert (run.folder / "metrics.jsonl").read_bytes() == content


def test_what_is_no_runs_folder_can_not_be_gone_on_with(tmp_path):
    (tmp_path / "mine").mkdir()
    for name in ("notes.txt", ".last.1-1.tmp.safetensors"):
        (tmp_path / "mine" / name).write_text("mine")
    for folder in ("nowhere", "mine"):
        with pytest.raises(ValueError, match="is not the folder of a run"):
            Run.reopen(tmp_path / folder)
    assert len(list((tmp_path / "mine").iterdir())) == 2


def test_a_line_that_can_not_be_written_is_written_whole_with_the_next_one_that_can(tmp_path, monkeypatch):
    """The disk fills up after half a line."""
    run = Run(tmp_path / "run")
    run.record(step=1)

    class Full:
        def __init__(self, file):
            self._file = file

        def __enter__(self):
            self._file.__enter__()
            return self

        def __exit__(self, *error):
            return self._file.__exit__(*error)

        def __getattr__(self, name):
            return getattr(self._file, name)

        def write(self, content):
            self._file.write(content[: len(content) // 2])
            self._file.flush()
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr("npalexnet.training.metrics_log.open", lambda *a, **k: Full(open(*a, **k)), raising=False)  # noqa: SIM115
    with pytest.raises(OSError, match="No space left"):
        run.record(step=2)
    assert (run.folder / "metrics.jsonl").read_text() == '{"step": 1}\n'
    monkeypatch.undo()
    run.record(step=3)
    assert (run.folder / "metrics.jsonl").read_text() == '{"step": 1}\n{"step": 2}\n{"step": 3}\n'


@pytest.mark.skipif(os.name == "nt", reason="there is no flock")
def test_a_run_that_another_process_is_training_is_left_alone(tmp_path):
    run = filled(tmp_path / "run")
    (run.folder / ".last.1-1.tmp.safetensors").write_text("half of the other one's checkpoint")
    code = "import sys; from npalexnet.training import Run; Run.reopen(sys.argv[1])"

    def reopened_elsewhere():
        command = [sys.executable, "-c", code, str(run.folder)]
        return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)

    with run.locked(), run.locked():
        refused = reopened_elsewhere()
    assert "is in use: another process is training this run" in refused.stderr
    assert (run.folder / ".last.1-1.tmp.safetensors").exists()
    assert reopened_elsewhere().returncode == 0
    assert not (run.folder / ".last.1-1.tmp.safetensors").exists()


def test_a_run_keeps_the_split_of_one_data_set_however_its_parts_were_chosen_and_no_other(tmp_path):
    pictures = sample("train", 30)
    some = Subset(Subset(pictures, range(5)), [3, 1])  # a part of a part, as of ``--validation-images``
    for name, validation in (("drawn", pictures), ("nested", some), ("apart", sample("test", 30))):
        trainer = trainer_of(run=Run(tmp_path / name), validation=8, epochs=1)
        part = [1, 0] if name == "nested" else [1, 3]
        trainer.train.dataset, trainer.validation.dataset = Subset(pictures, range(0, 30, 2)), Subset(validation, part)
        trainer.fit()
    assert saved_split(tmp_path / "apart") is None
    names = [f"image {i}" for i in range(0, 30, 2)]
    for name in ("drawn", "nested"):
        assert saved_split(tmp_path / name) == {"train": names, "val": ["image 1", "image 3"]}


@pytest.mark.skipif(os.name == "nt", reason="there is no flock")
def test_a_trainer_takes_no_step_in_a_run_that_is_in_use_and_holds_its_own_to_the_end(tmp_path):
    trainer, callback = trainer_of(run=Run(tmp_path / "run"), count=16, epochs=1), Callback()

    def on_step_end(step):
        with pytest.raises(BlockingIOError), locked(tmp_path / "run"):
            pass

    callback.on_step_end = on_step_end
    in_use = pytest.raises(ValueError, match="run is in use: another process is training this run")
    with locked(tmp_path / "run"), in_use:
        trainer.fit()
    assert trainer.state.step == 0
    assert list((tmp_path / "run").iterdir()) == []
    assert trainer.fit(callback)
    with locked(tmp_path / "run"):
        pass


def test_the_lines_of_the_metrics_that_a_checkpoint_counts_are_on_the_disk_before_it_is_in_place(tmp_path, monkeypatch):
    run, synced = filled(tmp_path / "run"), []
    metrics, fsync, replace = run.folder / "metrics.jsonl", os.fsync, os.replace

    def watched_fsync(descriptor):
        fsync(descriptor)
        if os.path.samestat(os.fstat(descriptor), metrics.stat()):
            synced.append(metrics.read_text().count("\n"))

    def watched_replace(source, target):
        if Path(target).name == "last.safetensors":
            assert synced == [3]
            synced.append("in place")
        replace(source, target)

    run.record(step=2, loss=1.0)
    monkeypatch.setattr(os, "fsync", watched_fsync)
    monkeypatch.setattr(os, "replace", watched_replace)
    run.save_checkpoint(STATE, {"step": 2})
    assert synced == [3, "in place"]


def test_a_picture_that_can_not_be_loaded_is_what_training_ends_with_even_if_the_disk_is_full(tmp_path, monkeypatch):
    trainer, callback, lines = trainer_of(run=Run(tmp_path / "run")), Callback(), []
    callback.on_message = lines.append
    trainer.train.dataset.indices[trainer.train.order(0)[16]] = 1_000_000  # of the second step; there is no such image

    def full(descriptor):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(LoadError, match="image 1000000 can't be loaded"):
        trainer.fit(callback)
    assert trainer.state.step == 1
    assert len(lines) == 1
    assert re.match("can't write what was learned: .*No space left on device", lines[0])


def test_weights_of_a_library_run_name_their_classes_and_how_pictures_are_prepared_unless_the_run_does(tmp_path):
    for name, metadata in (("plain", {}), ("told", {"classes": ["one", "two"], "pipeline": [], "by": "hand"})):
        model = na.Sequential(*list(small_network())[:4], na.Linear(8 * 14 * 14, 12))
        trainer = trainer_of(model, run=Run(tmp_path / name, metadata), validation=8, epochs=1)
        trainer.fit()
        _, found = load_weights(tmp_path / name / "weights.safetensors")
        assert found["classes"] == metadata.get("classes", [*CLASSES, "unused 10", "unused 11"])
        pipeline = json.loads(json.dumps(trainer.validation.pipeline.to_json()))
        assert found["pipeline"] == metadata.get("pipeline", pipeline)
        assert found.get("by") == metadata.get("by")


def test_a_confusion_with_unused_outputs_and_names_of_strange_bytes_is_written(drawn, tmp_path):
    run = Run(tmp_path / "run")
    run.save_confusion(np.array([[3, 1, 0], [0, 2, 0], [0, 0, 0]]), ["a", os.fsdecode(b"b\xff")])
    header = (tmp_path / "run" / "confusion.csv").read_text(encoding="utf-8").splitlines()[0]
    assert header == r"true class,a,b\xff,unused 2"
    assert (tmp_path / "run" / "confusion.png").stat().st_size > 1000


@pytest.mark.parametrize("error", [ValueError, ImportError, KeyError, MemoryError])
def test_figures_that_can_not_be_drawn_do_not_end_training(tmp_path, monkeypatch, error):
    def fail(*arguments, **settings):
        raise error("planted")

    monkeypatch.setattr("npalexnet.visualize.write_figure", fail)
    assert trainer_of(run=Run(tmp_path / "run"), count=16, validation=8, epochs=1).fit()
    names = {path.name for path in (tmp_path / "run").iterdir() if "events" not in path.name}
    assert {"weights.safetensors", "last.safetensors", "metrics.jsonl", "confusion.csv"} <= names
    assert not [name for name in names if name.endswith(".png")]
