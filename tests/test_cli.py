import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image, ImageOps

import npalexnet as na
from npalexnet.classifier import Classifier
from npalexnet.cli import main
from npalexnet.data.images import open_picture
from npalexnet.data.sample import load_sample
from npalexnet.held_out import HeldOut
from npalexnet.training import Progress, session
from npalexnet.training.checkpoint import load_checkpoint
from npalexnet.weights import load_weights, save_weights
from tests.networks import save_bright_network

ROOT = Path(__file__).parent.parent
TINY = ["--epochs", "1", "--batch-size", "4", "--train-images", "8", "--test-images", "4"]


@pytest.fixture(autouse=True)
def threads():
    before = na.get_num_threads()
    yield
    na.set_num_threads(before)


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("cli") / "run"
    assert main(["train", *TINY, "--out", str(folder), "--threads", "2"]) == 0
    return folder


def npalexnet(*arguments, **options):
    return subprocess.Popen(
        [sys.executable, "-m", "npalexnet", *arguments], cwd=ROOT, text=True, stdout=subprocess.PIPE,
        stderr=subprocess.PIPE, **options,
    )  # fmt: skip


def test_train_writes_a_run_that_predict_can_use(run, capsys):
    assert {path.name for path in run.iterdir() if not path.name.startswith("events")} == {
        "config.json", "confusion.csv", "confusion.png", "curves.png", "filters.png", "last.safetensors",
        "metrics.jsonl",
        "weights.safetensors",
    }  # fmt: skip
    assert main(["predict", str(run), str(ROOT / "docs" / "ankle-boot.png"), "--top", "10"]) == 0
    first, *lines = capsys.readouterr().out.splitlines()
    assert first.endswith("ankle-boot.png")
    shares = [float(line.split()[0]) for line in lines]
    assert len(lines) == 10
    assert shares == sorted(shares, reverse=True)
    assert sum(shares) == pytest.approx(100, abs=0.6)


def test_a_number_of_threads_in_the_environment_that_is_none_is_refused_before_anything_is_written(tmp_path):
    folder = tmp_path / "run"
    process = npalexnet("train", "--out", str(folder), env={**os.environ, "NPALEXNET_NUM_THREADS": "two"})
    out, err = process.communicate()
    assert process.returncode == 1
    assert out == ""
    assert err == (
        "npalexnet train: error: the environment variable NPALEXNET_NUM_THREADS must be an integer above 0, got 'two'\n"
    )
    assert not folder.exists()


def test_predict_answers_as_often_as_it_is_asked(run, capsys):
    boot = str(ROOT / "docs" / "ankle-boot.png")
    assert main(["predict", str(run), boot, boot, "--top", "1"]) == 0
    assert capsys.readouterr().out.splitlines()[::2] == [boot, boot]


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


def test_predict_prepares_images_as_training_did_and_drops_nothing(run):
    picture = open_picture(ROOT / "docs" / "ankle-boot.png")
    classifier = Classifier.load(run)
    assert not classifier.model.training
    images = load_sample("train")[0][:8]
    square = np.asarray(ImageOps.fit(picture, (227, 227), Image.Resampling.BILINEAR)) / 255
    expected = (square - images.mean() / 255) / (images.std() / 255)
    np.testing.assert_allclose(classifier.inputs([picture])[0], expected.transpose(2, 0, 1), atol=1e-5)
    batch = classifier.inputs([picture] * 2)
    shares = np.exp(classifier.log_probabilities(batch))
    np.testing.assert_array_equal(np.exp(classifier.log_probabilities(batch)), shares)
    np.testing.assert_allclose(shares.sum(axis=1), 1, rtol=1e-6)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"classes": None}, "does not name the classes that it tells apart, got None"),
        ({"classes": []}, "does not name the classes"),
        ({"mean": [0.5, 0.5]}, "must give mean and std of three colours each, got [0.5, 0.5]"),
        ({"std": [0, 1, 1]}, "must give mean and std of three colours"),
        ({"std": None}, "must give mean and std of three colours each, got [0.5, 0.5, 0.5] and None"),
        ({"pipeline": [{"name": "unheard of"}]}, "pipeline"),
        ({"classes": ["one"]}, "classifier.6.weight must have shape (1, 4096), got (10, 4096)"),
    ],
)
def test_weights_that_describe_no_classifier_are_refused_by_name(run, tmp_path, capsys, changes, message):
    state, about = load_weights(run / "weights.safetensors")
    if {"mean", "std"} & set(changes):
        about = {"classes": about["classes"], "mean": [0.5] * 3, "std": [0.5] * 3}  # as weights without a pipeline
    save_weights(tmp_path / "odd.safetensors", state, {**about, **changes})
    assert main(["predict", str(tmp_path / "odd.safetensors"), str(ROOT / "docs" / "ankle-boot.png")]) == 1
    error = capsys.readouterr().err
    assert "odd.safetensors" in error
    assert message in error


def test_weights_that_are_not_finite_give_no_prediction(run, tmp_path, capsys):
    state, about = load_weights(run / "weights.safetensors")
    state["classifier.6.bias"] = np.full_like(state["classifier.6.bias"], np.nan)
    save_weights(tmp_path / "nan.safetensors", state, about)
    assert main(["predict", str(tmp_path / "nan.safetensors"), str(ROOT / "docs" / "ankle-boot.png")]) == 1
    output = capsys.readouterr()
    assert "the weights in" in output.err
    assert "not finite" in output.err
    assert output.out == ""


def test_too_little_space_is_said_before_training(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr("shutil.disk_usage", lambda folder: SimpleNamespace(free=1_000_000))
    assert main(["train", *TINY, "--out", str(tmp_path / "run")]) == 1
    assert "needs 1866 MB of free space, but has 1 MB" in capsys.readouterr().err


@pytest.mark.skipif(os.name == "nt", reason="there is no RLIMIT_FSIZE")
def test_without_room_for_a_checkpoint_training_says_so_and_fails_at_its_end_but_keeps_the_weights(tmp_path):
    limit = "import resource, sys; resource.setrlimit(resource.RLIMIT_FSIZE, (300_000_000,) * 2)\n"
    code = limit + "from npalexnet.cli import main; sys.exit(main(sys.argv[1:]))"
    done = subprocess.run(
        [sys.executable, "-c", code, "train", *TINY, "--out", str(tmp_path / "run")],
        cwd=ROOT, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 1
    assert "can't write a checkpoint: " in done.stdout
    assert done.stderr.startswith("npalexnet train: error: can't write ")
    assert load_weights(tmp_path / "run" / "weights.safetensors")[1]["steps"] == 2


def test_predict_goes_on_after_a_file_that_it_cannot_read(run, tmp_path, capsys):
    (tmp_path / "note.txt").write_text("hello")
    good = str(ROOT / "docs" / "ankle-boot.png")
    assert main(["predict", str(run), str(tmp_path / "note.txt"), good, str(tmp_path / "missing.png")]) == 1
    output = capsys.readouterr()
    assert output.out.startswith(good)
    assert "note.txt is not an image file" in output.err
    assert "missing.png" in output.err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["predict", "{tmp}/nowhere", "x.png"], "No such file or directory"),
        (["evaluate", "{tmp}/nowhere"], "No such file or directory"),
        (["evaluate", "{run}", "--data", "{tmp}/nowhere"], "does not exist"),
        (["look", "{run}", "{tmp}/nothing.png"], "No such file or directory"),
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
def test_a_users_mistake_ends_in_one_clear_line_and_status_1(run, tmp_path, capsys, arguments, message):
    assert main([argument.format(tmp=tmp_path, run=run) for argument in arguments]) == 1
    error = capsys.readouterr().err
    assert error.startswith(f"npalexnet {arguments[0]}: error: ")
    assert message in error
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
        (["train", "--init", "magic"], "argument --init: invalid choice: 'magic'"),
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


@pytest.mark.parametrize("command", ["train", "predict", "evaluate", "look", "summary", "gradcheck", "info"])
def test_help_explains_each_command(capsys, command):
    with pytest.raises(SystemExit) as stopped:
        main([command, "--help"])
    assert stopped.value.code == 0
    help_text = capsys.readouterr().out
    assert f"npalexnet {command}" in help_text
    assert "None" not in help_text


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_diverging_training_says_so_and_suggests_what_to_do(tmp_path, capsys):
    assert main(["train", *TINY, "--lr", "1e30", "--out", str(tmp_path / "run")]) == 1
    assert "training has diverged; try a smaller learning rate" in capsys.readouterr().err


def test_a_missing_extra_is_named_with_the_command_that_brings_it(tmp_path, capsys, monkeypatch):
    monkeypatch.setitem(sys.modules, "safetensors", None)
    assert main(["train", *TINY, "--out", str(tmp_path / "run")]) == 1
    assert "safetensors is not installed; pip install 'npalexnet[train]'" in capsys.readouterr().err
    assert not (tmp_path / "run").exists()


@pytest.mark.skipif(os.name == "nt", reason="Ctrl-C is sent as a POSIX signal")
def test_ctrl_c_stops_after_the_step_and_keeps_what_was_learnt(tmp_path):
    process = npalexnet("train", "--batch-size", "2", "--out", str(tmp_path / "run"))
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
    assert f"Stopped after step {steps} of 1000; what was learnt is kept." in out
    state, about = load_weights(tmp_path / "run" / "weights.safetensors")
    assert about["steps"] == steps
    assert not np.array_equal(state["layers.0.weight"], na.AlexNet(10).state_dict()["layers.0.weight"])
    assert (tmp_path / "run" / "curves.png").exists()


@pytest.mark.skipif(os.name == "nt", reason="Ctrl-C is sent as a POSIX signal")
def test_ctrl_c_before_the_first_step_leaves_no_folder(tmp_path, capsys, monkeypatch):
    model, before = session._model, signal.getsignal(signal.SIGINT)

    def interrupted(*arguments):
        os.kill(os.getpid(), signal.SIGINT)
        return model(*arguments)

    monkeypatch.setattr(session, "_model", interrupted)
    assert main(["train", *TINY, "--out", str(tmp_path / "runs" / "1")]) == 130
    assert list(tmp_path.iterdir()) == []
    assert "Nothing was learnt" in capsys.readouterr().out
    assert signal.getsignal(signal.SIGINT) is before


@pytest.mark.skipif(os.name == "nt", reason="Ctrl-C is sent as a POSIX signal")
def test_a_second_ctrl_c_interrupts(tmp_path, capsys, monkeypatch):
    def interrupted(*arguments):
        os.kill(os.getpid(), signal.SIGINT)
        os.kill(os.getpid(), signal.SIGINT)
        raise AssertionError("it went on")

    monkeypatch.setattr(session, "_model", interrupted)
    assert main(["train", *TINY, "--out", str(tmp_path / "runs" / "1")]) == 130
    assert "npalexnet train: interrupted" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def finished(folder):
    lines = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    for line in lines:
        line.pop("seconds", None)
    return lines, load_checkpoint(folder / "last.safetensors"), load_weights(folder / "weights.safetensors")[0]


def test_a_resumed_run_ends_with_the_bits_of_one_that_never_stopped(run, tmp_path, monkeypatch):
    folder = tmp_path / "run"
    stepped = Progress.stepped

    def interrupt(self, step):
        stepped(self, step)
        os.kill(os.getpid(), signal.SIGINT)

    monkeypatch.setattr(Progress, "stepped", interrupt)
    assert main(["train", *TINY, "--out", str(folder)]) == 130
    monkeypatch.undo()
    assert main(["train", "--resume", str(folder), "--workers", "2", "--threads", "1"]) == 0
    assert json.loads((folder / "config.json").read_text())["workers"] == 2
    (lines, (tensors, about), weights), (found_lines, (found, found_about), found_weights) = map(
        finished, (run, folder)
    )
    assert found_lines == lines
    assert found_about == about
    for expected, values in ((tensors, found), (weights, found_weights)):
        assert expected.keys() == values.keys()
        for name in expected:
            np.testing.assert_array_equal(values[name], expected[name])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
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
def test_training_options_that_do_not_fit_are_refused_and_leave_nothing(run, tmp_path, capsys, arguments, message):
    before = {path: path.stat().st_mtime_ns for path in run.iterdir()}
    assert main(["train", *(argument.format(run=run, tmp=tmp_path) for argument in arguments)]) == 1
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1
    assert list(tmp_path.iterdir()) == []
    assert {path: path.stat().st_mtime_ns for path in run.iterdir()} == before


def test_fine_tuning_loads_what_fits_freezes_parts_and_says_what_is_new(run, tmp_path, capsys):
    folder = tmp_path / "tuned"
    tuned = ["--weights", str(run), "--freeze", "layers", "classifier.1", "--num-classes", "12", "--out", str(folder)]
    assert main(["train", *TINY, *tuned]) == 0
    assert "the last layer is new, for other classes" in capsys.readouterr().out
    before, _ = load_weights(run / "weights.safetensors")
    after, about = load_weights(folder / "weights.safetensors")
    same = {name for name in before if before[name].shape == after[name].shape and (before[name] == after[name]).all()}
    assert same == {name for name in before if name.startswith(("layers.", "classifier.1."))}
    assert after["classifier.6.bias"].shape == (12,)
    assert about["classes"][9:] == ["Ankle boot", "unused 10", "unused 11"]
    assert "optimizer.4.momentum_buffer" not in load_checkpoint(folder / "last.safetensors")[0]  # four are learnt
    assert main(["predict", str(folder), str(ROOT / "docs" / "ankle-boot.png")]) == 0


def test_summary_prints_every_layer_and_the_totals(capsys):
    assert main(["summary", "--batch-size", "2", "--num-classes", "10"]) == 0
    output = capsys.readouterr().out
    assert "2 x 96 x 55 x 55" in output
    assert "classifier.6" in output
    assert "58,322,314" in output


def test_gradcheck_prints_a_table_in_which_all_is_well(capsys):
    assert main(["gradcheck"]) == 0
    output = capsys.readouterr().out
    for layer in ("Conv2d", "MaxPool2d", "Linear", "ReLU", "Dropout", "LocalResponseNorm", "CrossEntropyLoss"):
        assert layer in output
    assert "WRONG" not in output


def test_info_says_which_devices_are_usable_and_why_not(capsys):
    assert main(["info"]) == 0
    output = capsys.readouterr().out
    assert "NumPy" in output
    assert "cuda" in output
    assert "stage" in output


def test_importing_the_package_loads_nothing_heavy():
    code = (
        "import sys, npalexnet, npalexnet.cli\n"
        "heavy = {'torch', 'cupy', 'PIL', 'matplotlib', 'tqdm', 'safetensors'}\n"
        "sys.exit(', '.join(heavy & set(sys.modules)) or 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_a_run_keeps_the_split_that_it_drew_and_its_data_from_any_working_directory(tmp_path, monkeypatch, capsys):
    rng = np.random.default_rng(0)
    for name in ("a", "b"):
        (tmp_path / "pictures" / "train" / name).mkdir(parents=True)
        for i in range(5):
            picture = Image.fromarray(rng.integers(0, 256, (20, 20, 3), dtype=np.uint8))
            picture.save(tmp_path / "pictures" / "train" / name / f"{i}.png")
    monkeypatch.chdir(tmp_path)
    assert main(["train", "--data", "pictures", "--batch-size", "4", "--out", "run"]) == 0
    split = json.loads((tmp_path / "run" / "split.json").read_text())
    for i in range(3):  # before the others, by name
        picture.save(tmp_path / "pictures" / "train" / "a" / f"0-{i}.png")
    monkeypatch.chdir(ROOT)
    assert main(["train", "--resume", str(tmp_path / "run"), "--epochs", "2"]) == 0
    assert json.loads((tmp_path / "run" / "split.json").read_text()) == split
    for data in ([], ["--data", str(tmp_path / "pictures")]):
        capsys.readouterr()
        assert main(["evaluate", str(tmp_path / "run"), *data]) == 0
        assert f"pictures: {len(split['val'])} held-out images of 2 classes" in capsys.readouterr().out
    held_out = HeldOut.open(None, Classifier.load(tmp_path / "run"))
    assert [held_out.dataset.name(i) for i in range(len(held_out))] == [str(tmp_path / name) for name in split["val"]]
    (tmp_path / split["val"][0]).rename(tmp_path / "elsewhere.png")
    assert main(["evaluate", str(tmp_path / "run")]) == 1
    assert "lacks 1 of the pictures that the run's split names" in capsys.readouterr().err


def test_a_run_that_was_killed_before_its_first_checkpoint_begins_again_to_the_same_end(run, tmp_path, capsys):
    folder = tmp_path / "killed"
    folder.mkdir()
    (folder / "config.json").write_bytes((run / "config.json").read_bytes())
    (folder / "metrics.jsonl").write_text('{"step": 1, "images": 4, "loss": 9.0, "accuracy": 0.0, "lr": 1.0}\n')
    assert main(["train", "--resume", str(folder)]) == 0
    assert "It begins again: it was stopped before its first checkpoint." in capsys.readouterr().out
    state, expected = (load_weights(path / "weights.safetensors")[0] for path in (folder, run))
    for name, values in expected.items():
        np.testing.assert_array_equal(state[name], values)
    losses = []
    for path in (folder, run):
        lines = [json.loads(line) for line in (path / "metrics.jsonl").read_text().splitlines()]
        losses.append([(line["step"], line.get("loss")) for line in lines])
    assert losses[0] == losses[1]
