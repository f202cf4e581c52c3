"""What a run must have in common with its checkpoint to go on, and what a checkpoint must hold."""

import numpy as np
import pytest

import npalexnet as na
from npalexnet import backend
from npalexnet.data import Pipeline, RandomHorizontalFlip
from npalexnet.training import CheckpointError, Run
from npalexnet.training.checkpoint import load_checkpoint, save_checkpoint
from npalexnet.training.schedules import Plateau, StepDecay, WarmUp
from tests.training.small import small_network, trainer_of

SHORT = {"count": 16, "epochs": 1}


def mirrored(trainer):
    trainer.train.pipeline = Pipeline([*trainer.train.pipeline.transforms, RandomHorizontalFlip()])


def mirrored_validation(trainer):
    trainer.validation.pipeline = Pipeline([*trainer.validation.pipeline.transforms, RandomHorizontalFlip()])


def loader_with(name, value):
    return lambda trainer: setattr(trainer.train, name, value)


def smoothed(label_smoothing):
    return {"criterion": na.CrossEntropyLoss(label_smoothing=label_smoothing)}


@pytest.mark.parametrize(
    ("began", "settings", "change", "message"),
    [
        ({}, {"accumulate": 2}, None, "its accumulate was 1, and is 2"),
        ({}, {"dtype": "bfloat16"}, None, "its dtype was 'float32', and is 'bfloat16'"),
        ({}, {"dtype": "float16"}, None, "its dtype was 'float32', and is 'float16'"),
        ({}, {}, mirrored, "its preparation of images was"),
        (
            {},
            {"model": small_network(dropout=0.3)},
            None,
            r"its layer 3 was 'Dropout\(p=0\.2\)', and is 'Dropout\(p=0\.3\)'",
        ),
        (smoothed(0.1), {}, None, r"its label_smoothing was 0\.1, and is 0\.0"),
        ({}, {}, loader_with("shuffle", False), "its shuffle was True, and is False"),
        ({}, {}, loader_with("drop_last", True), "its drop_last was False, and is True"),
        ({"validation": 8}, {"validation": 8}, mirrored_validation, "its preparation of validation images was"),
        (
            {"schedule": StepDecay(0.1, 2)},
            {"schedule": StepDecay(0.1, 2, gamma=0.5)},
            None,
            r"its schedule's gamma was 0\.1, and is 0\.5",
        ),
        (
            {"schedule": Plateau(0.1)},
            {"schedule": Plateau(0.1, patience=3)},
            None,
            "its schedule's patience was 2, and is 3",
        ),
        (
            {"schedule": WarmUp(Plateau(0.1), 2)},
            {"schedule": WarmUp(Plateau(0.1, threshold=0.5), 2)},
            None,
            r"its schedule's threshold was 0\.0001, and is 0\.5",
        ),
        (
            {"schedule": Plateau(0.1)},
            {"schedule": Plateau(0.1, reductions=9)},
            None,
            "its schedule's reductions was 3, and is 9",
        ),
    ],
)
def test_a_run_does_not_go_on_with_other_settings_of_its_steps_or_other_pictures(
    tmp_path, began, settings, change, message
):
    trainer_of(run=Run(tmp_path / "run"), **SHORT, **began).fit()
    trainer = trainer_of(run=Run.reopen(tmp_path / "run"), **SHORT, **settings)
    if change is not None:
        change(trainer)
    weights = trainer.model.state_dict()
    with pytest.raises(ValueError, match=message):
        trainer.resume()
    assert trainer.state.step == 0
    assert all(np.array_equal(weights[name], values) for name, values in trainer.model.state_dict().items())


def test_a_run_does_not_go_on_with_other_rounding_of_matrix_products(tmp_path):
    trainer_of(run=Run(tmp_path / "run"), **SHORT).fit()
    before = backend.get_float32_matmul_precision()
    backend.set_float32_matmul_precision("high")
    try:
        with pytest.raises(ValueError, match="its float32_matmul_precision was 'highest', and is 'high'"):
            trainer_of(run=Run.reopen(tmp_path / "run"), **SHORT).resume()
    finally:
        backend.set_float32_matmul_precision(before)


# --- a checkpoint whose checksums are right, and whose content is not ------------------------------------------------


@pytest.fixture(scope="module")
def two_steps(tmp_path_factory):
    """Tensors and description of a checkpoint with a validation, by a plateau."""
    folder = tmp_path_factory.mktemp("two") / "run"
    trainer_of(run=Run(folder), count=32, epochs=1, validation=8, schedule="plateau").fit()
    return folder, *load_checkpoint(folder / "last.safetensors")


def resumed(two_steps, change):
    """Return the error of going on from a checkpoint that was changed, beside a good older one."""
    folder, tensors, metadata = two_steps
    tensors, metadata = dict(tensors), copied(metadata)
    change(tensors, metadata)
    for name in ("last.safetensors", "previous.safetensors"):
        (folder / name).unlink(missing_ok=True)
    save_checkpoint(folder / "last.safetensors", *two_steps[1:])
    save_checkpoint(folder / "last.safetensors", tensors, metadata)
    trainer = trainer_of(run=Run.reopen(folder), count=32, epochs=1, validation=8, schedule="plateau")
    with pytest.raises(ValueError, match=r"last\.safetensors|goes on as it began|already") as caught:
        trainer.resume()
    assert trainer.state.step == 0
    return caught.value


def copied(value):
    if isinstance(value, dict):
        return {key: copied(item) for key, item in value.items()}
    return [copied(item) for item in value] if isinstance(value, list) else value


def without(name):
    return lambda tensors, metadata: metadata.pop(name)


def changed(value, *path):
    def change(tensors, metadata):
        for key in path[:-1]:
            metadata = metadata[key]
        metadata[path[-1]] = value

    return change


def spoilt(name, value):
    def change(tensors, metadata):
        tensors[name] = tensors[name].copy()
        tensors[name].flat[3] = value

    return change


VELOCITY, RNG = "optimizer.0.momentum_buffer", ("generators", "3._generator")
FAULTS = {
    "step NaN": (changed(float("nan"), "step"), "step must be a whole number of at least 0, got NaN"),
    "step huge": (changed(10**30, "step"), "step must be a whole number"),
    "step 1": (changed(1, "step"), "step must be 2 after 1 epochs and 0 batches, got 1"),
    "tested_step": (changed(9, "tested_step"), "tested_step must be at most 2, the step, got 9"),
    "batch null": (changed(None, "batch"), "batch must be a whole number of at least 0, got null"),
    "bad_evaluations": (changed("x", "bad_evaluations"), 'bad_evaluations must be .*, got "x"'),
    "best": (changed([1], "best"), r"best must be a list of 2, or null, got \[1\]"),
    "best NaN": (changed([0.5, float("nan")], "best"), r"best\[1\] must be a finite number, got NaN"),
    "best below 0": (changed([-5.0, 0.1], "best"), r"best must be an error and a loss of at least 0, got"),
    "images": (changed(7, "images"), "images must be 32 after 1 epochs and 0 batches, got 7"),
    "a weight NaN": (spoilt("model.4.bias", np.nan), r"the tensor model\.4\.bias must be finite, got inf"),
    "a velocity infinite": (spoilt("optimizer.0.momentum_buffer", np.inf), r"the tensor optimizer\.0.* must be finite"),
    "no best": (without("best"), "it lacks best"),
    "no lines": (without("lines"), "it lacks lines"),
    "another field": (changed(1, "setp"), 'it has an unknown field "setp": did you mean step?'),
    "no configuration": (changed({}, "configuration"), "configuration lacks images"),
    "a setting is missing": (lambda t, m: m["configuration"].pop("shuffle"), "configuration lacks shuffle"),
    "momentum": (changed(0.5, "param_groups", 0, "momentum"), "param_groups are not those of the optimizer"),
    "no params": (changed([], "param_groups", 0, "params"), "param_groups are not those of the optimizer"),
    "lr": (changed("x", "param_groups", 0, "lr"), r"param_groups\[0\]\.lr must be a finite number"),
    "schedule": (changed("x", "schedule", "bad"), 'schedule can\'t be used: bad must be a whole number .*, got "x"'),
    "schedule's fields": (changed({}, "schedule"), "schedule can't be used"),
    "scaler": (changed({"scale": -1}, "scaler"), r"scaler\.scale must be a finite number, above 0, got -1"),
    "generator": (changed("MT19937", *RNG, "bit_generator"), r"generators\.3\._generator can't be used"),
    "generator's state": (changed(-1, *RNG, "state", "state"), r'"3\._generator"\.state\.state must be'),
    "no velocity": (lambda t, m: t.pop(VELOCITY), f"the tensor {VELOCITY} is missing, a velocity"),
    "no velocities": (lambda t, m: [t.pop(name) for name in list(t) if "momentum" in name], "is missing, a velocity"),
    "velocities of integers": (lambda t, m: t.update({VELOCITY: t[VELOCITY].astype("int32")}), "must be float32 of"),
    "an unknown tensor": (lambda t, m: t.update({"more": t[VELOCITY]}), "there is an unknown tensor more"),
}  # fmt: skip


@pytest.mark.parametrize(("change", "message"), FAULTS.values(), ids=FAULTS)
def test_a_checkpoint_of_another_content_is_refused_by_its_field_and_the_older_one_is_offered(
    two_steps, change, message
):
    error = resumed(two_steps, change)
    assert isinstance(error, CheckpointError)
    assert error.args[0].startswith(str(two_steps[0] / "last.safetensors"))
    with pytest.raises(CheckpointError, match=message):
        raise error
    assert "the one before it, of step 2, is good: go on from there with --resume" in str(error)


@pytest.mark.parametrize("dtype", ["int32", "float64", "bool"])
def test_a_checkpoint_with_weights_of_another_dtype_is_refused(two_steps, dtype):
    folder, tensors, metadata = two_steps
    trainer = trainer_of(run=Run.reopen(folder), count=32, epochs=1, validation=8, schedule="plateau")
    other = {**tensors, "model.0.bias": tensors["model.0.bias"].astype(dtype)}
    with pytest.raises(ValueError, match=rf"0\.bias must be float32, got {dtype}"):
        trainer.state.restore(other, metadata)
    assert trainer.state.step == 0


def test_checkpoints_from_before_all_settings_were_recorded_go_on(two_steps):
    folder, tensors, metadata = two_steps
    configuration = dict(metadata["configuration"])
    for name in (
        "label_smoothing", "float32_matmul_precision", "shuffle", "drop_last", "preparation of held-out images",
        "held-out batch_size", "layer", "schedule's",
    ):  # fmt: skip
        del configuration[name]
    trainer = trainer_of(run=Run.reopen(folder), count=32, epochs=1, validation=8, schedule="plateau")
    trainer.state.restore(tensors, {**metadata, "configuration": configuration})
    assert trainer.state.finished
