"""What is kept where training, or the writing of its files, goes wrong."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from npalexnet.data import LoadError, Subset
from npalexnet.training import Callback, DivergedError, Run
from npalexnet.training.checkpoint import load_checkpoint
from npalexnet.training.interrupt import Interrupted
from npalexnet.weights import load_weights
from tests.training.small import assert_same_end, metrics, same, trainer_of

ROOT = Path(__file__).parent.parent.parent


class Torn(Subset):
    """A picture of it can't be loaded."""

    def __getitem__(self, index):
        if index == self.torn:
            raise OSError("it is torn")
        return super().__getitem__(index)


def test_best_weights_that_could_not_be_written_are_written_at_the_end_if_they_are_still_there(tmp_path, monkeypatch):
    settings = {"epochs": 2, "validation": 8}
    trainer = trainer_of(run=Run(tmp_path), **settings)

    def full(run, state, **metadata):
        raise OSError(28, "No space left on device")

    def stop():
        if trainer.state.step == 4:
            trainer.state.best = (1.0, np.inf)  # so that the second evaluation is the best one
        return False

    monkeypatch.setattr(Run, "save_weights", full)
    with pytest.raises(OSError, match="No space left"):
        trainer.fit(should_stop=stop)
    monkeypatch.undo()
    for _ in range(2):
        again = trainer_of(run=Run.reopen(tmp_path), **settings)
        again.resume()
        assert again.fit()
        state, metadata = load_weights(tmp_path / "weights.safetensors")
        assert same(state, dict(sorted(trainer.model.state_dict().items())))
        assert metadata["steps"] == 6


def test_without_room_for_a_checkpoint_the_weights_are_written_at_a_stop_all_the_same(tmp_path, monkeypatch):
    trainer = trainer_of(run=Run(tmp_path), validation=8)
    monkeypatch.setattr(Run, "save_checkpoint", lambda *a: (_ for _ in ()).throw(OSError(28, "No space left")))
    with pytest.raises(OSError, match="No space left"):
        trainer.fit(should_stop=lambda: trainer.state.step == 2)
    assert load_weights(tmp_path / "weights.safetensors")[1]["steps"] == 2


@pytest.mark.parametrize("part", ["train", "validation"])
def test_a_picture_that_can_not_be_loaded_ends_training_with_all_that_was_learned_until_then(tmp_path, part):
    """In the second of three batches that make a step: the first has drawn from dropout's generator already."""
    settings = {"batch_size": 4, "accumulate": 3, "validation": 12}
    whole = trainer_of(run=Run(tmp_path / "whole"), **settings)
    whole.fit()
    trainer, callback, lines = trainer_of(run=Run(tmp_path / "run"), **settings), Callback(), []
    callback.on_message = lines.append
    dataset = getattr(trainer, part).dataset
    dataset.__class__, dataset.torn = Torn, whole.train.order(0)[18] if part == "train" else 5
    with pytest.raises(LoadError, match=f"image {dataset.torn} can't be loaded: it is torn"):
        trainer.fit(callback)
    step = {"train": 1, "validation": 4}[part]
    assert f"The checkpoint of step {step} is kept in {tmp_path / 'run'}/; go on from there with --resume" in lines[0]
    assert load_weights(tmp_path / "run" / "weights.safetensors")[1]["steps"] == step
    again = trainer_of(run=Run.reopen(tmp_path / "run"), **settings)
    again.resume()
    assert again.fit()
    assert_same_end(tmp_path / "run", tmp_path / "whole")


@pytest.mark.parametrize("first", [True, False], ids=["none before", "some before"])
def test_best_weights_that_could_not_be_written_are_not_forgotten_when_the_run_goes_on(tmp_path, monkeypatch, first):
    """Nothing is learned, so the first evaluation is the best one; or, of two, the second one is made so."""
    settings = {"epochs": 3, "validation": 8, "lr": 1e-12}
    trainer = trainer_of(run=Run(tmp_path), **settings)
    save = Run.save_weights

    def full(run, state, **metadata):
        if first or trainer.state.step == 6:
            raise OSError(28, "No space left on device")
        save(run, state, **metadata)

    monkeypatch.setattr(Run, "save_weights", full)

    def stop():
        if trainer.state.step == 4:
            trainer.state.best = (1.0, np.inf)
        return trainer.state.step >= 7

    with pytest.raises(OSError, match=r"No space left|could not be written"):
        trainer.fit(should_stop=stop)
    monkeypatch.undo()
    again = trainer_of(run=Run.reopen(tmp_path), **settings)
    again.resume()
    with pytest.raises(OSError, match="the weights of the best evaluation could not be written when it was made"):
        again.fit()
    assert load_weights(tmp_path / "weights.safetensors")[1]["steps"] == (9 if first else 3)


def limited(folder, size):
    """Train in a process that can't write files larger than `size`."""
    code = (
        "import resource, sys; resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[2]),) * 2)\n"
        "from npalexnet.training import Run, Progress; from tests.training.small import trainer_of\n"
        "trainer_of(run=Run(sys.argv[1]), validation=12).fit(Progress())"
    )
    return subprocess.run(
        [sys.executable, "-c", code, str(folder), str(size)], cwd=ROOT, capture_output=True, text=True, check=False
    )


@pytest.mark.skipif(os.name == "nt", reason="there is no RLIMIT_FSIZE")
def test_on_a_disk_without_room_for_a_checkpoint_training_says_so_goes_on_and_ends_with_the_error(tmp_path):
    done = limited(tmp_path / "run", 90_000)  # metrics and weights fit; weights and velocities don't
    assert done.returncode == 1
    assert done.stdout.count("can't write a checkpoint: ") == 3  # before the first validation, and after both
    assert "training goes on, there is no checkpoint yet" in done.stdout
    assert "OSError: can't write" in done.stderr
    assert len(metrics(tmp_path / "run")) == 8  # six steps and two validations
    assert load_weights(tmp_path / "run" / "weights.safetensors")[1]["steps"] in (3, 6)
    assert not [path for path in (tmp_path / "run").iterdir() if path.name.startswith(".")]


def test_a_disk_that_fills_up_and_is_emptied_again_costs_nothing(tmp_path, monkeypatch):
    trainer_of(run=Run(tmp_path / "whole"), validation=12).fit()
    run, lines = Run(tmp_path / "run"), []
    trainer = trainer_of(run=run, validation=12, checkpoint_every=1)
    fsync = os.fsync

    def full_at_steps_2_to_4(descriptor):
        if 2 <= trainer.state.step <= 4:
            raise OSError(28, "No space left on device")
        fsync(descriptor)

    monkeypatch.setattr(os, "fsync", full_at_steps_2_to_4)
    callback = Callback()
    callback.on_message = lines.append
    assert trainer.fit(callback)
    assert "can't write a checkpoint: [Errno 28] No space left on device; training goes on" in lines[0]
    assert lines[0].endswith("the checkpoint of step 1 is kept")
    assert_same_end(tmp_path / "run", tmp_path / "whole")


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_training_that_diverges_keeps_the_last_good_checkpoint_and_says_where(tmp_path):
    trainer = trainer_of(run=Run(tmp_path / "run"), validation=12)

    def spoil():
        if trainer.state.step == 4:
            trainer.model[4].weight.data[0, 0] = np.inf
        return False

    with pytest.raises(DivergedError, match=r"the checkpoint of step 3 is kept in .*run/"):
        trainer.fit(should_stop=spoil)
    tensors, metadata = load_checkpoint(tmp_path / "run" / "last.safetensors")
    assert metadata["step"] == 3
    assert all(np.isfinite(values).all() for values in tensors.values())


def test_weights_that_are_not_finite_are_never_saved(tmp_path):
    trainer = trainer_of(run=Run(tmp_path / "run"), checkpoint_every=1)
    step = trainer.stepper.optimizer.step

    def spoiled():
        step()
        if trainer.state.step == 1:
            trainer.model[4].weight.data[0, 0] = np.nan

    trainer.stepper.optimizer.step = spoiled
    with pytest.raises(DivergedError, match=r"4\.weight is not finite after 2 steps.*of step 1 is kept"):
        trainer.fit()
    assert load_checkpoint(tmp_path / "run" / "last.safetensors")[1]["step"] == 1


def test_metrics_that_can_not_be_written_are_told_once_not_at_each_step(tmp_path, monkeypatch):
    run, lines, callback = Run(tmp_path / "run"), [], Callback()
    callback.on_message = lines.append
    monkeypatch.setattr(run._log, "flush", lambda **k: (_ for _ in ()).throw(OSError(28, "No space left on device")))
    with pytest.raises(OSError, match="No space left"):
        trainer_of(run=run).fit(callback)
    assert [line.split(":")[0] for line in lines] == ["can't write the metrics"] + 3 * ["can't write a checkpoint"]


TINY_DISK = """
import sys
from npalexnet.training import Progress, Run
from npalexnet.training.checkpoint import load_newest
from tests.training.small import trainer_of

try:
    trainer_of(run=Run(sys.argv[1]), validation=12, checkpoint_every=1).fit(Progress())
except OSError as error:
    print("ended:", error)
run = Run.reopen(sys.argv[1])
path, tensors, metadata = load_newest(run.folder)
print("good:", path.name, "of step", metadata["step"])
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


@pytest.mark.parametrize(
    ("error", "where"),
    [
        (MemoryError, "forward"), (RuntimeError, "forward"), (KeyboardInterrupt, "forward"), (KeyError, "step"),
        (BrokenPipeError, "validation"), (SystemExit, "validation"), (KeyError, "schedule"),
    ],
)  # fmt: skip
def test_whatever_ends_training_the_state_after_the_last_whole_step_is_saved_first(tmp_path, monkeypatch, error, where):
    settings = {"batch_size": 8, "count": 16, "accumulate": 2, "validation": 8, "schedule": "plateau", "epochs": 3}
    whole = trainer_of(run=Run(tmp_path / "whole"), **settings)
    whole.fit()
    trainer, callback = trainer_of(run=Run(tmp_path / "run"), **settings), Callback()

    def fail(*arguments):
        if trainer.state.step == 2:
            raise error("planted")

    if where == "forward":  # of the third step, after dropout has drawn
        forward = trainer.model[4].compute
        monkeypatch.setattr(trainer.model[4], "compute", lambda *a: (fail(), forward(*a))[1])
    elif where == "step":
        callback.on_step_end = fail
    elif where == "schedule":
        report = trainer.state.schedule.report
        monkeypatch.setattr(trainer.state.schedule, "report", lambda found: (fail(), report(found))[1])
    else:
        callback.on_validation_end = fail
    with pytest.raises(error, match="planted"):
        trainer.fit(callback)
    monkeypatch.undo()
    monkeypatch.setattr(Run, "_draw", lambda *a: None)
    assert load_checkpoint(tmp_path / "run" / "last.safetensors")[1]["step"] == 2
    assert load_weights(tmp_path / "run" / "weights.safetensors")[0]
    again = trainer_of(run=Run.reopen(tmp_path / "run"), **settings)
    again.resume()
    assert again.fit()
    assert_same_end(tmp_path / "run", tmp_path / "whole")


def test_an_error_amid_an_update_of_the_parameters_leaves_the_last_good_checkpoint(tmp_path, monkeypatch):
    monkeypatch.setattr(Run, "_draw", lambda *a: None)
    trainer = trainer_of(run=Run(tmp_path / "run"), checkpoint_every=1)
    step = trainer.stepper.optimizer.step

    def torn():
        step()
        if trainer.state.step == 2:
            raise MemoryError

    trainer.stepper.optimizer.step = torn
    with pytest.raises(MemoryError):
        trainer.fit()
    tensors, metadata = load_checkpoint(tmp_path / "run" / "last.safetensors")
    assert metadata["step"] == 2
    name = "model.4.weight"
    assert not np.array_equal(tensors[name], trainer.model.state_dict()["4.weight"])


def test_interrupted_at_once_nothing_is_saved_and_the_way_to_go_on_is_told(tmp_path, monkeypatch):
    monkeypatch.setattr(Run, "_draw", lambda *a: None)
    trainer, callback, lines = trainer_of(run=Run(tmp_path / "run"), checkpoint_every=2), Callback(), []
    callback.on_message = lines.append

    def interrupt(step):
        if step.number == 3:
            raise Interrupted

    callback.on_step_end = interrupt
    with pytest.raises(Interrupted):
        trainer.fit(callback)
    assert load_checkpoint(tmp_path / "run" / "last.safetensors")[1]["step"] == 2
    assert lines[-1].startswith(f"The checkpoint of step 2 is kept in {tmp_path / 'run'}/; go on from there with")


def test_a_checkpoint_is_written_without_copies_of_what_it_holds(tmp_path):
    trainer = trainer_of(run=Run(tmp_path / "run"), steps=1)
    trainer.fit()
    tensors, _ = trainer.state.capture(copy=False)
    assert np.shares_memory(tensors["model.4.weight"], trainer.model[4].weight.data)
    assert not np.shares_memory(trainer.state.capture()[0]["model.4.weight"], trainer.model[4].weight.data)


class Shrinking(Subset):
    """A data set whose length changes."""

    def __len__(self):
        return getattr(self, "length", super().__len__())


@pytest.mark.parametrize(("part", "length"), [("train", 0), ("train", 24), ("train", 39), ("validation", 4)])
def test_a_data_set_that_changes_ends_training_and_the_run_goes_on_with_it_as_it_was(
    tmp_path, monkeypatch, part, length
):
    monkeypatch.setattr(Run, "_draw", lambda *a: None)
    settings = {"count": 40, "batch_size": 8, "validation": 8, "epochs": 2}
    trainer_of(run=Run(tmp_path / "whole"), **settings).fit()
    trainer, callback = trainer_of(run=Run(tmp_path / "run"), **settings), Callback()
    loader = getattr(trainer, part)
    loader.dataset = Shrinking(loader.dataset, range(len(loader.dataset)))
    callback.on_step_end = lambda step: step.number == 3 and setattr(loader.dataset, "length", length)
    with pytest.raises(ValueError, match=r"they had \[40, 8\] images, for training and validation, and have"):
        trainer.fit(callback)
    again = trainer_of(run=Run.reopen(tmp_path / "run"), **settings)
    again.resume()
    assert again.state.step == 3
    assert again.fit()
    assert_same_end(tmp_path / "run", tmp_path / "whole")
