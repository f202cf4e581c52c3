"""``npalexnet train``: what a run leaves, what is refused, and how it is stopped and goes on."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

import npalexnet as na
from npalexnet.cli import main, train
from npalexnet.data import FolderDataset, open_data
from npalexnet.inference.classifier import Classifier
from npalexnet.inference.validation import ValidationSet
from npalexnet.training import Progress
from npalexnet.training.checkpoint import load_checkpoint, save_checkpoint
from npalexnet.weights import load_weights
from tests.data.pictures import fill, noise
from tests.networks import TINY
from tests.training.small import assert_same_end

ROOT = Path(__file__).parent.parent.parent
pytestmark = pytest.mark.usefixtures("blank_figures")


@pytest.fixture(autouse=True)
def threads():
    before = na.get_num_threads()
    yield
    na.set_num_threads(before)


def narrow_training(*arguments, before=""):
    """A process that trains the narrow network."""
    code = before + (
        "import sys, pytest; from tests.networks import narrow; narrow(pytest.MonkeyPatch())\n"
        "from tests.fakes.figures import leave_blank; leave_blank(setattr)\n"
        "from npalexnet.cli import main; sys.exit(main(sys.argv[1:]))"
    )
    return subprocess.Popen(
        [sys.executable, "-c", code, "train", *arguments], cwd=ROOT, text=True, stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )  # fmt: skip


def test_train_writes_a_run_that_predict_can_use(trained_run, capsys):
    assert {path.name for path in trained_run.iterdir() if not path.name.startswith("events")} == {
        "config.json", "confusion.csv", "confusion.png", "curves.png", "filters.png", "last.safetensors",
        "metrics.jsonl", "previous.safetensors", "weights.safetensors",
    }  # fmt: skip
    assert main(["predict", str(trained_run), str(ROOT / "docs" / "ankle-boot.png"), "--top", "10"]) == 0
    first, *lines = capsys.readouterr().out.splitlines()
    assert first.endswith("ankle-boot.png")
    probabilities = [float(line.split()[0]) for line in lines]
    assert len(lines) == 10
    assert probabilities == sorted(probabilities, reverse=True)
    assert sum(probabilities) == pytest.approx(100, abs=0.6)


def test_too_little_space_is_said_before_training(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr("shutil.disk_usage", lambda folder: SimpleNamespace(free=1_000_000))
    assert main(["train", *TINY, "--out", str(tmp_path / "run")]) == 1
    assert "needs 1866 MB of free space, but has 1 MB" in capsys.readouterr().err


@pytest.mark.skipif(os.name == "nt", reason="there is no RLIMIT_FSIZE")
def test_without_room_for_a_checkpoint_training_says_so_and_fails_at_its_end_but_keeps_the_weights(tmp_path):
    limit = "import resource; resource.setrlimit(resource.RLIMIT_FSIZE, (25_000_000,) * 2)\n"  # weights: 17, both: 35
    process = narrow_training(*TINY, "--out", str(tmp_path / "run"), before=limit)
    out, err = process.communicate()
    assert process.returncode == 1
    assert "can't write a checkpoint: " in out
    assert err.startswith("npalexnet train: error: can't write ")
    assert load_weights(tmp_path / "run" / "weights.safetensors")[1]["steps"] == 2


def test_diverging_training_says_so_and_suggests_what_to_do(narrow, tmp_path, capsys):
    assert main(["train", *TINY, "--lr", "1e30", "--out", str(tmp_path / "run")]) == 1
    assert "training has diverged; try a smaller learning rate" in capsys.readouterr().err


@pytest.mark.skipif(os.name == "nt", reason="Ctrl-C is sent as a POSIX signal")
def test_ctrl_c_stops_after_the_step_and_keeps_what_was_learned(tmp_path):
    process = narrow_training("--batch-size", "2", "--out", str(tmp_path / "run"))
    metrics = tmp_path / "run" / "metrics.jsonl"
    deadline = time.monotonic() + 60
    while not (metrics.exists() and metrics.read_text().count("\n") >= 2) and time.monotonic() < deadline:
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 130, err
    assert "Stopping after this step" in err
    assert "Traceback" not in err
    steps = metrics.read_text().count("\n")
    assert f"Stopped after step {steps} of 1000; what was learned is kept." in out
    state, metadata = load_weights(tmp_path / "run" / "weights.safetensors")
    assert metadata["steps"] == steps
    assert not np.array_equal(state["layers.0.weight"], na.AlexNet(10).state_dict()["layers.0.weight"])
    assert (tmp_path / "run" / "curves.png").exists()


@pytest.mark.skipif(os.name == "nt", reason="Ctrl-C is sent as a POSIX signal")
def test_ctrl_c_before_the_first_step_leaves_no_folder(narrow, tmp_path, capsys, monkeypatch):
    model, before = train._model, signal.getsignal(signal.SIGINT)

    def interrupted(*arguments):
        os.kill(os.getpid(), signal.SIGINT)
        return model(*arguments)

    monkeypatch.setattr(train, "_model", interrupted)
    assert main(["train", *TINY, "--out", str(tmp_path / "runs" / "1")]) == 130
    assert list(tmp_path.iterdir()) == []
    assert "Nothing was learned" in capsys.readouterr().out
    assert signal.getsignal(signal.SIGINT) is before


@pytest.mark.skipif(os.name == "nt", reason="Ctrl-C is sent as a POSIX signal")
def test_a_second_ctrl_c_interrupts(tmp_path, capsys, monkeypatch):
    def interrupted(*arguments):
        os.kill(os.getpid(), signal.SIGINT)
        os.kill(os.getpid(), signal.SIGINT)
        raise AssertionError("it went on")

    monkeypatch.setattr(train, "_model", interrupted)
    assert main(["train", *TINY, "--out", str(tmp_path / "runs" / "1")]) == 130
    assert "npalexnet train: interrupted" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


@pytest.fixture
def interrupted(narrow, tmp_path, monkeypatch):
    """Return a function that begins a tiny run with further options, and stops it after a step; its folder."""

    def begin(*options):
        on_step_end = Progress.on_step_end

        def interrupt(self, step):
            on_step_end(self, step)
            os.kill(os.getpid(), signal.SIGINT)

        with monkeypatch.context() as patch:
            patch.setattr(Progress, "on_step_end", interrupt)
            assert main(["train", *TINY, *options, "--out", str(tmp_path / "run")]) == 130
        return tmp_path / "run"

    return begin


def test_a_resumed_run_ends_with_the_bits_of_one_that_never_stopped(trained_run, interrupted):
    folder = interrupted()
    assert main(["train", "--resume", str(folder), "--workers", "2", "--threads", "1"]) == 0
    assert json.loads((folder / "config.json").read_text())["workers"] == 2
    assert_same_end(folder, trained_run)


@pytest.mark.parametrize(("convolution", "elsewhere"), [("winograd", "im2col"), ("im2col", "winograd")])
def test_a_resumed_run_computes_convolutions_as_it_began(interrupted, tmp_path, convolution, elsewhere):
    whole = tmp_path / "whole"
    assert main(["train", *TINY, "--convolution", convolution, "--out", str(whole)]) == 0
    folder = interrupted("--convolution", convolution)
    if convolution == "im2col":  # as runs were before there was a choice
        config = json.loads((folder / "config.json").read_text())
        del config["convolution"]
        (folder / "config.json").write_text(json.dumps(config))
        tensors, metadata = load_checkpoint(folder / "last.safetensors")
        del metadata["configuration"]["convolution"]
        save_checkpoint(folder / "last.safetensors", tensors, metadata)
    with na.convolution_algorithm(elsewhere):
        assert main(["train", "--resume", str(folder)]) == 0
    assert_same_end(folder, whole)
    for path in (folder, whole):
        assert json.loads((path / "config.json").read_text())["convolution"] == convolution


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--resume", "{run}", "--convolution", "im2col"], "--convolution can't be changed"),
        (["--resume", "{run}", "--lr", "0.1", "--batch-size", "8"], "--batch-size, --lr can't be changed"),
        (["--resume", "{tmp}"], "is not the folder of a run, it holds no config.json"),
        (["--resume", "{run}/weights.safetensors"], "it holds weights alone; start from them with --weights"),
        (["--epochs", "1", "--steps", "2"], "--epochs and --steps don't go together"),
        (["--data", "{tmp}/nothing"], "does not exist"),
        (["--num-classes", "9"], "--num-classes must be at least 10"),
        (["--freeze", "conv1", "--out", "{tmp}/new"], "freeze expects names of parts"),
        (["--weights", "{tmp}/none", "--out", "{tmp}/new"], "No such file"),
    ],
)
def test_options_that_do_not_fit_are_refused_and_leave_nothing(trained_run, tmp_path, capsys, arguments, message):
    before = {path: path.stat().st_mtime_ns for path in trained_run.iterdir()}
    assert main(["train", *(argument.format(run=trained_run, tmp=tmp_path) for argument in arguments)]) == 1
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1
    assert list(tmp_path.iterdir()) == []
    assert {path: path.stat().st_mtime_ns for path in trained_run.iterdir()} == before


def test_fine_tuning_loads_what_fits_freezes_parts_and_says_what_is_new(trained_run, tmp_path, capsys):
    folder = tmp_path / "tuned"
    tuned = ["--weights", str(trained_run), "--freeze", "layers", "classifier.1", "--num-classes", "12"]
    assert main(["train", *TINY, *tuned, "--out", str(folder)]) == 0
    assert "the last layer is new, for other classes" in capsys.readouterr().out
    before, _ = load_weights(trained_run / "weights.safetensors")
    after, metadata = load_weights(folder / "weights.safetensors")
    same = {name for name in before if before[name].shape == after[name].shape and (before[name] == after[name]).all()}
    assert same == {name for name in before if name.startswith(("layers.", "classifier.1."))}
    assert after["classifier.6.bias"].shape == (12,)
    assert metadata["classes"][9:] == ["Ankle boot", "unused 10", "unused 11"]
    assert "optimizer.4.momentum_buffer" not in load_checkpoint(folder / "last.safetensors")[0]  # four are trained
    assert main(["predict", str(folder), str(ROOT / "docs" / "ankle-boot.png")]) == 0


def test_a_run_keeps_the_split_that_it_drew_and_its_data_from_any_working_directory(
    narrow, tmp_path, monkeypatch, capsys
):
    fill(tmp_path / "pictures" / "train", cat=5, dog=5)
    monkeypatch.chdir(tmp_path)
    assert main(["train", "--data", "pictures", "--batch-size", "4", "--out", "run"]) == 0
    split = json.loads((tmp_path / "run" / "split.json").read_text())
    for i in range(3):  # before the others, by name
        noise().save(tmp_path / "pictures" / "train" / "cat" / f"0-{i}.png")
    monkeypatch.chdir(ROOT)
    assert main(["train", "--resume", str(tmp_path / "run"), "--epochs", "2"]) == 0
    assert json.loads((tmp_path / "run" / "split.json").read_text()) == split
    for data in ([], ["--data", str(tmp_path / "pictures")]):
        capsys.readouterr()
        assert main(["evaluate", str(tmp_path / "run"), *data]) == 0
        assert f"pictures: {len(split['val'])} validation images of 2 classes" in capsys.readouterr().out
    validation = ValidationSet.open(None, Classifier.load(tmp_path / "run"))
    assert [validation.dataset.name(i) for i in range(len(validation))] == [
        str(tmp_path / name) for name in split["val"]
    ]
    (tmp_path / "pictures").rename(tmp_path / "moved")
    assert main(["train", "--resume", str(tmp_path / "run"), "--data", str(tmp_path / "moved"), "--epochs", "3"]) == 0
    assert json.loads((tmp_path / "run" / "config.json").read_text())["data"] == str(tmp_path / "moved")
    assert main(["evaluate", str(tmp_path / "run")]) == 0  # whether or not the best weights are from before
    assert f"moved: {len(split['val'])} validation images of 2 classes" in capsys.readouterr().out
    (tmp_path / "moved" / split["val"][0].partition("/")[2]).rename(tmp_path / "elsewhere.png")
    assert main(["evaluate", str(tmp_path / "run")]) == 1
    assert "lacks 1 of the pictures that the run's split names" in capsys.readouterr().err


def test_a_run_on_some_of_its_pictures_keeps_the_split_of_these_and_goes_on_with_them(narrow, tmp_path):
    pictures, run = str(tmp_path / "pictures"), tmp_path / "run"
    fill(tmp_path / "pictures" / "train", cat=10, dog=10)
    few = ["--train-images", "4", "--validation-images", "1"]
    assert main(["train", "--data", pictures, "--batch-size", "4", *few, "--out", str(run)]) == 0
    split, whole = json.loads((run / "split.json").read_text()), open_data(pictures).split()
    assert split == {"train": [whole["train"][i] for i in (0, 4, 9, 13)], "val": whole["val"][:1]}  # four of eighteen
    assert main(["train", "--resume", str(run), "--epochs", "2"]) == 0
    assert json.loads((run / "split.json").read_text()) == split


def test_a_list_of_labels_is_kept_for_resume_and_evaluate(narrow, tmp_path, monkeypatch, capsys):
    fill(tmp_path / "all", mixed=12)
    lines = [f"{i:03}.png,{'cat' if i % 2 else 'dog'}\n" for i in range(12)]
    (tmp_path / "labels.csv").write_text("file,label\n" + "".join(lines))
    monkeypatch.chdir(tmp_path)
    few = ["--batch-size", "4", "--out", "run"]
    assert main(["train", "--data", "all/mixed", "--labels", "labels.csv", *few]) == 0
    found = "Found a list of pictures, {}: 12 pictures of 2 classes, 2 of them held out for validation"
    assert capsys.readouterr().out.splitlines()[0] == found.format("labels.csv")
    config = json.loads((tmp_path / "run" / "config.json").read_text())
    assert config["labels"] == str(tmp_path / "labels.csv")
    split = json.loads((tmp_path / "run" / "split.json").read_text())
    classes = {f"{i:03}.png": i % 2 for i in range(12)}
    monkeypatch.chdir(ROOT)
    assert main(["train", "--resume", str(tmp_path / "run"), "--epochs", "2"]) == 0
    assert capsys.readouterr().out.count(found.format(tmp_path / "labels.csv")) == 1
    assert json.loads((tmp_path / "run" / "split.json").read_text()) == split
    assert main(["evaluate", str(tmp_path / "run")]) == 0
    assert capsys.readouterr().out.count("Found a list of pictures") == 1
    own = ValidationSet.open(None, Classifier.load(tmp_path / "run"))
    assert [own.dataset.name(i).rpartition("mixed/")[2] for i in range(2)] == [Path(name).name for name in split["val"]]
    assert own.labels.tolist() == [1 - classes[Path(name).name] for name in split["val"]]  # cat is 0
    (tmp_path / "all").rename(tmp_path / "moved")
    (tmp_path / "labels.csv").rename(tmp_path / "moved.csv")
    moved = ["--data", str(tmp_path / "moved" / "mixed"), "--labels", str(tmp_path / "moved.csv")]
    assert main(["train", "--resume", str(tmp_path / "run"), "--epochs", "3", *moved]) == 0
    assert main(["evaluate", str(tmp_path / "run")]) == 0
    assert json.loads((tmp_path / "run" / "config.json").read_text())["labels"] == str(tmp_path / "moved.csv")


@pytest.mark.parametrize("command", ["evaluate", "look"])
def test_evaluate_and_look_take_a_list_of_labels(narrow, trained_run, tmp_path, command, capsys):
    (tmp_path / "labels.csv").write_text("none.png,cat\n")
    assert main([command, str(trained_run), "--labels", str(tmp_path / "labels.csv")]) == 1
    assert f"none of the 1 pictures that {tmp_path}/labels.csv lists is in {tmp_path}" in capsys.readouterr().err


def test_a_split_that_windows_wrote_is_the_same_elsewhere(narrow, tmp_path, monkeypatch, capsys):
    fill(tmp_path / "pictures", cat=5, dog=5)
    with monkeypatch.context() as windows:
        windows.setattr(FolderDataset, "name", lambda self, i: "C:" + self.paths[i].replace("/", "\\"))
        data = ["--data", str(tmp_path / "pictures"), "--batch-size", "4"]
        assert main(["train", *data, "--out", str(tmp_path / "run")]) == 0
    assert f"Found the folders of classes in {tmp_path}/pictures: 10 pictures" in capsys.readouterr().out
    split = json.loads((tmp_path / "run" / "split.json").read_text())
    names = [*split["train"], *split["val"]]
    assert sorted(names) == sorted(
        f"C:{tmp_path}/pictures/{name}/00{i}.png" for name in ("cat", "dog") for i in range(5)
    )
    own = ValidationSet.open(None, Classifier.load(tmp_path / "run"))
    assert [f"C:{own.dataset.name(i)}" for i in range(len(own))] == split["val"]


def test_an_archive_is_trained_on_and_evaluated(narrow, tmp_path, capsys):
    fill(tmp_path / "pictures", cat=5, dog=5)
    shutil.make_archive(str(tmp_path / "pictures"), "zip", tmp_path, "pictures")
    shutil.rmtree(tmp_path / "pictures")
    data = ["--data", str(tmp_path / "pictures.zip"), "--batch-size", "4"]
    assert main(["train", *data, "--out", str(tmp_path / "run")]) == 0
    assert main(["train", "--resume", str(tmp_path / "run"), "--epochs", "2"]) == 0
    capsys.readouterr()
    assert main(["evaluate", str(tmp_path / "run")]) == 0
    assert "pictures.zip: 2 validation images of 2 classes" in capsys.readouterr().out


def test_weights_of_the_same_classes_in_another_unicode_form_keep_their_last_layer(narrow, tmp_path, capsys):
    for folder, name in (
        ("one", "caf\N{LATIN SMALL LETTER E WITH ACUTE}"),
        ("other", "cafe\N{COMBINING ACUTE ACCENT}"),
    ):
        fill(tmp_path / folder, **{name: 3, "dog": 3})
    few = ["--batch-size", "4", "--steps", "1"]
    assert main(["train", "--data", str(tmp_path / "one"), *few, "--out", str(tmp_path / "1")]) == 0
    capsys.readouterr()
    weights = ["--weights", str(tmp_path / "1"), "--out", str(tmp_path / "2")]
    assert main(["train", "--data", str(tmp_path / "other"), *few, *weights]) == 0
    assert "the last layer is new" not in capsys.readouterr().out


def test_a_run_without_its_checkpoints_is_not_begun_again_over_its_weights(narrow, trained_run, tmp_path, capsys):
    folder = tmp_path / "run"
    shutil.copytree(trained_run, folder)
    for name in ("last", "previous"):
        (folder / f"{name}.safetensors").unlink()
    before = {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()}
    assert main(["train", "--resume", str(folder)]) == 1
    assert f"it holds weights, but no checkpoint; begin another run with them by --weights {folder}" in (
        capsys.readouterr().err
    )
    assert {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()} == before


def test_a_complete_run_says_so_and_why_and_nothing_else(narrow, trained_run, tmp_path, capsys):
    folder = tmp_path / "run"
    shutil.copytree(trained_run, folder)
    assert main(["train", "--resume", str(folder)]) == 0
    assert capsys.readouterr().out.splitlines()[-1] == "It is complete: all of its 2 steps were taken."
    patient = ["--batch-size", "8", "--patience", "1", "--epochs", "9", "--lr", "1e-12", "--out", str(tmp_path / "2")]
    for arguments in ([*TINY, *patient], ["--resume", str(tmp_path / "2")]):
        assert main(["train", *arguments]) == 0
    out = capsys.readouterr().out
    assert "no better for 1 evaluation: that is where the patience ends" in out
    assert out.splitlines()[-1] == "It is complete: its patience ended after step 2."


def test_a_run_that_was_killed_before_its_first_checkpoint_begins_again_to_the_same_end(trained_run, tmp_path, capsys):
    folder = tmp_path / "killed"
    folder.mkdir()
    (folder / "config.json").write_bytes((trained_run / "config.json").read_bytes())
    (folder / "metrics.jsonl").write_text('{"step": 1, "images": 4, "loss": 9.0, "accuracy": 0.0, "lr": 1.0}\n')
    assert main(["train", "--resume", str(folder)]) == 0
    assert "It begins again: it was stopped before its first checkpoint." in capsys.readouterr().out
    state, expected = (load_weights(path / "weights.safetensors")[0] for path in (folder, trained_run))
    for name, values in expected.items():
        np.testing.assert_array_equal(state[name], values)
    losses = []
    for path in (folder, trained_run):
        lines = [json.loads(line) for line in (path / "metrics.jsonl").read_text().splitlines()]
        losses.append([(line["step"], line.get("loss")) for line in lines])
    assert losses[0] == losses[1]


@pytest.mark.skipif(os.name == "nt", reason="there are no POSIX signals")
@pytest.mark.parametrize("name", ["SIGTERM", "SIGHUP", "SIGUSR1"])
def test_a_signal_stops_as_ctrl_c_does_with_its_own_exit_status(narrow, trained_run, tmp_path, monkeypatch, name):
    on_step_end, number = Progress.on_step_end, getattr(signal, name)

    def send(self, step):
        on_step_end(self, step)
        os.kill(os.getpid(), number)

    with monkeypatch.context() as patch:
        patch.setattr(Progress, "on_step_end", send)
        assert main(["train", *TINY, "--out", str(tmp_path / "run")]) == 128 + number
    assert main(["train", "--resume", str(tmp_path / "run")]) == 0
    assert_same_end(tmp_path / "run", trained_run)


@pytest.mark.skipif(os.name == "nt", reason="there is no /dev/full")
@pytest.mark.parametrize(
    ("error", "status"),
    [(BrokenPipeError(32, "Broken pipe"), 0), (OSError(28, "No space left on device"), 1), (None, 1)],
)
def test_output_that_can_not_be_printed_is_an_error_after_training_to_the_end_unless_the_reader_has_left(
    narrow, tmp_path, monkeypatch, error, status
):
    class Full:
        def write(self, text):
            raise error

        flush = isatty = lambda self: False

    monkeypatch.setattr(sys, "stdout", None if error is None else Full())
    assert main(["train", *TINY, "--out", str(tmp_path / "run")]) == status
    assert load_weights(tmp_path / "run" / "weights.safetensors")[1]["steps"] == 2


def test_the_weights_alone_are_kept_where_that_is_asked_for_and_it_is_said_which(narrow, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main(["train", *TINY, "--keep", "weights"]) == 0
    out = capsys.readouterr().out
    assert (
        "GB of disk: two checkpoints to resume from, and the weights (at the end the weights alone stay, 0.02 G" in out
    )
    assert "The weights are those of epoch 1, step 2 of 2 (accuracy " in out
    assert out.count(": there was one validation.") == 1
    assert (tmp_path / "runs" / "1" / "weights.safetensors").exists()
    assert not list((tmp_path / "runs" / "1").glob("*t.safetensors"))
    assert main(["train", "--resume", "last"]) == 1
    assert "runs/1 can't be resumed: it holds weights, but no checkpoint" in capsys.readouterr().err
