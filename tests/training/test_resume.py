"""Stopped and killed runs that go on end with the bits of one that never stopped."""

import json
import os
import random
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest

import npalexnet as na
from npalexnet.data import LoadError, Subset
from npalexnet.training import CheckpointError, DivergedError, Observer, Run
from npalexnet.training.checkpoint import load_checkpoint
from npalexnet.weights import load_weights
from tests.training.small import same, small_network, trainer_of

ROOT = Path(__file__).parent.parent.parent
VARIANTS = {
    "plain": {},
    "plateau": {"schedule": "plateau", "val": 12, "patience": 50},
    "accumulated and clipped": {"batch_size": 4, "accumulate": 3, "clip_norm": 0.5, "schedule": "cosine"},
    "float16": {"dtype": "float16"},
    "within a pass": {"epochs": None, "steps": 7, "val": 12},
}


def metrics(folder):
    lines = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    return [{name: value for name, value in line.items() if name != "seconds"} for line in lines]


def assert_same_end(folder, other):
    """Weights, velocities, counters, generators and metrics are the same bits."""
    assert metrics(folder) == metrics(other)
    tensors, about = load_checkpoint(folder / "last.safetensors")
    expected, expected_about = load_checkpoint(other / "last.safetensors")
    assert same(tensors, expected)
    assert about == expected_about
    assert same(load_weights(folder / "weights.safetensors")[0], load_weights(other / "weights.safetensors")[0])


def after(steps):
    """A function for `should_stop` that says so once a trainer has taken so many steps."""
    return lambda trainer: lambda: trainer.step >= steps


@pytest.mark.parametrize("settings", VARIANTS.values(), ids=VARIANTS)
@pytest.mark.filterwarnings("ignore:overflow")
def test_a_run_that_is_stopped_after_each_step_ends_as_one_that_never_was(tmp_path, settings):
    whole = trainer_of(run=Run(tmp_path / "whole"), **settings)
    assert whole.fit()
    assert (tmp_path / "whole" / "last.safetensors").exists()
    folder = tmp_path / "stopped"
    for step in range(1, whole.steps + 1):
        run = Run.reopen(folder) if folder.exists() else Run(folder)
        trainer = trainer_of(small_network(seed=step), run=run, **settings)  # the weights come from the checkpoint
        if step > 1:
            trainer.resume()
        else:
            trainer = trainer_of(run=run, **settings)
        complete = trainer.fit(should_stop=after(step)(trainer))
        assert not complete or trainer.step == whole.steps
    trainer = trainer_of(run=Run.reopen(folder), **settings)
    trainer.resume()
    assert trainer.fit()  # the test after the last step, which the last stop left out
    assert_same_end(folder, tmp_path / "whole")


def test_a_test_that_was_left_out_is_made_when_the_run_goes_on(tmp_path):
    trainer = trainer_of(run=Run(tmp_path / "run"), val=12, epochs=1)
    answers = iter([False] * 5)
    trainer.fit(should_stop=lambda: next(answers, True))
    assert (trainer.step, trainer.tested_step) == (3, 0)
    again = trainer_of(run=Run.reopen(tmp_path / "run"), val=12, epochs=1)
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
        ({"val": 8}, r"its held-out data \(names and labels\) was None, and is '"),
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
    assert trainer.step == 0
    assert (tmp_path / "run" / "metrics.jsonl").read_bytes() == before


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
    assert trainer.step == 0


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
    trainer.fit(should_stop=lambda: trainer.step >= 5)
    os.truncate(tmp_path / "run" / "last.safetensors", 1000)
    again = trainer_of(run=Run.reopen(tmp_path / "run"))
    with pytest.raises(CheckpointError, match=r"cut short.*of step 4, is good: .* --resume .*previous\.safetensors"):
        again.resume()
    again.resume(tmp_path / "run" / "previous.safetensors")
    assert again.step == 4
    assert again.fit()
    assert_same_end(tmp_path / "run", tmp_path / "whole")


def test_going_on_from_the_checkpoint_before_never_overwrites_the_last_good_one(tmp_path, monkeypatch):
    trainer = trainer_of(run=Run(tmp_path), checkpoint_every=1)
    trainer.fit(should_stop=lambda: trainer.step >= 5)
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


class Torn(Subset):
    """A picture of it can't be loaded."""

    def __getitem__(self, index):
        if index == self.torn:
            raise OSError("it is torn")
        return super().__getitem__(index)


def test_going_on_from_the_checkpoint_before_with_damaged_metrics_leaves_all_as_it_was(tmp_path):
    trainer = trainer_of(run=Run(tmp_path), checkpoint_every=1)
    trainer.fit(should_stop=lambda: trainer.step >= 5)
    (tmp_path / "metrics.jsonl").write_bytes(b"")
    again = trainer_of(run=Run.reopen(tmp_path), checkpoint_every=1)
    with pytest.raises(CheckpointError, match="has fewer lines than the 4 of the checkpoint"):
        again.resume(tmp_path / "previous.safetensors")
    assert [load_checkpoint(tmp_path / f"{name}.safetensors")[1]["step"] for name in ("last", "previous")] == [5, 4]


def test_a_damaged_last_checkpoint_that_is_named_offers_the_one_before_too(tmp_path):
    trainer = trainer_of(run=Run(tmp_path), checkpoint_every=1)
    trainer.fit(should_stop=lambda: trainer.step >= 5)
    os.truncate(tmp_path / "last.safetensors", 1000)
    with pytest.raises(CheckpointError, match=r"of step 4, is good: .* --resume .*previous\.safetensors"):
        trainer_of(run=Run.reopen(tmp_path)).resume(tmp_path / "last.safetensors")


def test_a_run_is_not_trained_from_the_beginning_where_its_resume_was_forgotten(tmp_path):
    trainer = trainer_of(run=Run(tmp_path), val=8)
    trainer.fit(should_stop=lambda: trainer.step >= 4)
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    with pytest.raises(ValueError, match=r"has a checkpoint, and would be overwritten: call the trainer's resume\(\)"):
        trainer_of(run=Run.reopen(tmp_path), val=8).fit()
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before
    assert trainer.fit()


@pytest.mark.parametrize("first", [True, False], ids=["none before", "some before"])
def test_best_weights_that_could_not_be_written_are_not_forgotten_when_the_run_goes_on(tmp_path, monkeypatch, first):
    """Nothing is learnt, so the first evaluation is the best one; or, of two, the second one is made so."""
    settings = {"epochs": 3, "val": 8, "lr": 1e-12}
    trainer = trainer_of(run=Run(tmp_path), **settings)
    save = Run.save_weights

    def full(run, state, **about):
        if first or trainer.step == 6:
            raise OSError(28, "No space left on device")
        save(run, state, **about)

    monkeypatch.setattr(Run, "save_weights", full)

    def stop():
        if trainer.step == 4:
            trainer.best = (1.0, np.inf)
        return trainer.step >= 7

    with pytest.raises(OSError, match=r"No space left|could not be written"):
        trainer.fit(should_stop=stop)
    monkeypatch.undo()
    again = trainer_of(run=Run.reopen(tmp_path), **settings)
    again.resume()
    with pytest.raises(OSError, match="the weights of the best evaluation could not be written when it was made"):
        again.fit()
    assert load_weights(tmp_path / "weights.safetensors")[1]["steps"] == (9 if first else 3)


@pytest.mark.parametrize("part", ["train", "val"])
def test_a_picture_that_can_not_be_loaded_ends_training_with_all_that_was_learnt_until_then(tmp_path, part):
    """In the second of three batches that make a step: the first has drawn from dropout's generator already."""
    settings = {"batch_size": 4, "accumulate": 3, "val": 12}
    whole = trainer_of(run=Run(tmp_path / "whole"), **settings)
    whole.fit()
    trainer, observer, lines = trainer_of(run=Run(tmp_path / "run"), **settings), Observer(), []
    observer.say = lines.append
    dataset = getattr(trainer, part).dataset
    dataset.__class__, dataset.torn = Torn, whole.train.order(0)[18] if part == "train" else 5
    with pytest.raises(LoadError, match=f"image {dataset.torn} can't be loaded: it is torn"):
        trainer.fit(observer)
    step = {"train": 1, "val": 4}[part]
    assert f"The checkpoint of step {step} is kept in {tmp_path / 'run'}/; go on from there with --resume" in lines[0]
    assert load_weights(tmp_path / "run" / "weights.safetensors")[1]["steps"] == step
    again = trainer_of(run=Run.reopen(tmp_path / "run"), **settings)
    again.resume()
    assert again.fit()
    assert_same_end(tmp_path / "run", tmp_path / "whole")


# --- killed ----------------------------------------------------------------------------------------------------------


def child(folder, *event):
    return subprocess.Popen([sys.executable, "-m", "tests.training.child", str(folder), *map(str, event)], cwd=ROOT)


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    folder = tmp_path_factory.mktemp("kill") / "whole"
    assert child(folder).wait(60) == 0
    return folder


@pytest.mark.skipif(os.name == "nt", reason="there is no SIGKILL")
def test_killed_at_each_moment_of_a_checkpoint_a_run_goes_on_to_the_same_end(undisturbed, tmp_path):
    """Each process dies one file operation later than the one before it, so that all moments are met."""
    folder, kills = tmp_path / "run", 0
    for event in range(1, 14):
        kills += child(folder, event).wait(60) == -signal.SIGKILL
    assert kills >= 9
    assert child(folder).wait(60) == 0
    assert_same_end(folder, undisturbed)
    assert not [path for path in folder.iterdir() if path.name.startswith(".")]


@pytest.mark.skipif(os.name == "nt", reason="there is no SIGKILL")
def test_killed_at_random_moments_a_run_goes_on_to_the_same_end(undisturbed, tmp_path):
    folder, moments, kills = tmp_path / "run", random.Random(0), 0
    for _ in range(3):
        process = child(folder)
        deadline, begun = time.monotonic() + 30, folder.exists()
        while not folder.exists() and time.monotonic() < deadline:
            time.sleep(0.01)
        time.sleep(moments.uniform(0.0, 0.3) + 0.4 * begun)
        process.kill()
        kills += process.wait(60) == -signal.SIGKILL
    assert kills
    assert child(folder).wait(60) == 0
    assert_same_end(folder, undisturbed)


# --- what can't be written -------------------------------------------------------------------------------------------


def limited(folder, size):
    """Train in a process that can't write files larger than `size`."""
    code = (
        "import resource, sys; resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[2]),) * 2)\n"
        "from npalexnet.training import Run, Progress; from tests.training.small import trainer_of\n"
        "trainer_of(run=Run(sys.argv[1]), val=12).fit(Progress())"
    )
    return subprocess.run(
        [sys.executable, "-c", code, str(folder), str(size)], cwd=ROOT, capture_output=True, text=True, check=False
    )


@pytest.mark.skipif(os.name == "nt", reason="there is no RLIMIT_FSIZE")
def test_on_a_disk_without_room_for_a_checkpoint_training_says_so_goes_on_and_ends_with_the_error(tmp_path):
    done = limited(tmp_path / "run", 90_000)  # metrics and weights fit; weights and velocities don't
    assert done.returncode == 1
    assert done.stdout.count("can't write a checkpoint: ") == 3  # before the first test, and after both
    assert "training goes on, there is no checkpoint yet" in done.stdout
    assert "OSError: can't write" in done.stderr
    assert len(metrics(tmp_path / "run")) == 8  # six steps and two tests
    assert load_weights(tmp_path / "run" / "weights.safetensors")[1]["steps"] in (3, 6)
    assert not [path for path in (tmp_path / "run").iterdir() if path.name.startswith(".")]


def test_a_disk_that_fills_up_and_is_emptied_again_costs_nothing(tmp_path, monkeypatch):
    trainer_of(run=Run(tmp_path / "whole"), val=12).fit()
    run, lines = Run(tmp_path / "run"), []
    trainer = trainer_of(run=run, val=12, checkpoint_every=1)
    fsync = os.fsync

    def full_at_steps_2_to_4(descriptor):
        if 2 <= trainer.step <= 4:
            raise OSError(28, "No space left on device")
        fsync(descriptor)

    monkeypatch.setattr(os, "fsync", full_at_steps_2_to_4)
    observer = Observer()
    observer.say = lines.append
    assert trainer.fit(observer)
    assert "can't write a checkpoint: [Errno 28] No space left on device; training goes on" in lines[0]
    assert lines[0].endswith("the checkpoint of step 1 is kept")
    assert_same_end(tmp_path / "run", tmp_path / "whole")


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_training_that_diverges_keeps_the_last_good_checkpoint_and_says_where(tmp_path):
    trainer = trainer_of(run=Run(tmp_path / "run"), val=12)

    def spoil():
        if trainer.step == 4:
            trainer.model[4].weight.data[0, 0] = np.inf
        return False

    with pytest.raises(DivergedError, match=r"the checkpoint of step 3 is kept in .*run/"):
        trainer.fit(should_stop=spoil)
    tensors, about = load_checkpoint(tmp_path / "run" / "last.safetensors")
    assert about["step"] == 3
    assert all(np.isfinite(values).all() for values in tensors.values())


def test_weights_that_are_not_finite_are_never_saved(tmp_path):
    trainer = trainer_of(run=Run(tmp_path / "run"), checkpoint_every=1)
    step = trainer.optimizer.step

    def spoiled():
        step()
        if trainer.step == 1:
            trainer.model[4].weight.data[0, 0] = np.nan

    trainer.optimizer.step = spoiled
    with pytest.raises(DivergedError, match=r"4\.weight is not finite after 2 steps.*of step 1 is kept"):
        trainer.fit()
    assert load_checkpoint(tmp_path / "run" / "last.safetensors")[1]["step"] == 1


def test_a_run_whose_patience_ended_is_not_trained_further(tmp_path):
    settings = {"epochs": 8, "val": 8, "patience": 1, "lr": 1e-12}
    trainer_of(run=Run(tmp_path / "run"), **settings).fit()
    before = metrics(tmp_path / "run")
    again = trainer_of(run=Run.reopen(tmp_path / "run"), **settings)
    again.resume()
    assert again.step < again.steps
    assert again.fit()
    assert metrics(tmp_path / "run") == before


def test_metrics_that_can_not_be_written_are_told_once_not_at_each_step(tmp_path, monkeypatch):
    run, lines, observer = Run(tmp_path / "run"), [], Observer()
    observer.say = lines.append
    monkeypatch.setattr(run._log, "flush", lambda **k: (_ for _ in ()).throw(OSError(28, "No space left on device")))
    with pytest.raises(OSError, match="No space left"):
        trainer_of(run=run).fit(observer)
    assert [line.split(":")[0] for line in lines] == ["can't write the metrics"] + 3 * ["can't write a checkpoint"]


TINY_DISK = """
import sys
from npalexnet.training import Progress, Run
from npalexnet.training.checkpoint import load_newest
from tests.training.small import trainer_of

try:
    trainer_of(run=Run(sys.argv[1]), val=12, checkpoint_every=1).fit(Progress())
except OSError as error:
    print("ended:", error)
run = Run.reopen(sys.argv[1])
path, tensors, about = load_newest(run.folder)
print("good:", path.name, "of step", about["step"])
"""


def test_on_a_real_disk_that_is_full_the_last_good_checkpoint_stays(tmp_path):
    """A file system of 250 KB, in a name space of its own: one checkpoint fits beside the metrics, two don't."""
    mount = 'mount -t tmpfs -o size=250k tmpfs "$1" && shift && exec "$@"'
    command = ["unshare", "-rm", "sh", "-c", mount, "sh", str(tmp_path)]
    try:
        subprocess.run([*command, "true"], check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError) as error:
        pytest.skip(f"no file system can be mounted here: {error}")
    program = [sys.executable, "-c", TINY_DISK, str(tmp_path / "run")]
    done = subprocess.run([*command, *program], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert any("No space left on device" in line and "the checkpoint of step 1 is kept" in line for line in lines)
    assert lines[-2].startswith("ended: can't write")
    assert lines[-1] == "good: last.safetensors of step 1"
