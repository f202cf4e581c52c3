"""The state of a `Trainer` between two steps: all that decides what comes next."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from npalexnet.data.datasets import Dataset, picture_key
from npalexnet.training.checkpoint import CheckpointError

if TYPE_CHECKING:
    from npalexnet.training.trainer import Trainer

_MODEL, _OPTIMIZER = "model.", "optimizer."  # begin the names of tensors
_COUNTERS = ("step", "images", "epoch", "batch", "tested_step", "bad_evaluations")


def configuration(trainer: Trainer) -> dict[str, Any]:
    """Return the settings that decide what comes next, and that a checkpoint must agree with."""
    loader = trainer.train
    groups = [
        {name: value for name, value in {**group, "lr": lr}.items() if name != "params"}
        for group, lr in zip(trainer.optimizer.param_groups, trainer.base_lrs, strict=True)
    ]
    return {
        "images": len(loader.dataset),
        "classes": list(loader.dataset.classes),
        "data (names and labels)": _fingerprint(loader.dataset),
        "held-out data (names and labels)": None if trainer.val is None else _fingerprint(trainer.val.dataset),
        "preparation of images": _short(json.dumps(loader.pipeline.to_json(), sort_keys=True).encode()),
        "optimizer": groups,
        "batch_size": loader.batch_size,
        "seed": loader.seed,
        "accumulate": trainer.accumulate,
        "clip_norm": trainer.stepper.clip_norm,
        "dtype": trainer.dtype,
        "frozen": [name for name, parameter in trainer.model.named_parameters() if not parameter.requires_grad],
        "schedule": trainer.schedule.name,
    }


def _fingerprint(dataset: Dataset) -> str:
    """A hash of the images' names, without the folders above their class's, and of their labels."""
    names = "\n".join(picture_key(dataset.name(i)) for i in range(len(dataset)))
    return _short(dataset.labels.tobytes() + names.encode("utf-8", "surrogateescape"))


def _short(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()[:16]


def capture(trainer: Trainer) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    """Return the tensors and, ready for JSON, the rest."""
    optimizer = trainer.optimizer.state_dict()
    tensors = {f"{_MODEL}{name}": array for name, array in trainer.model.state_dict().items()}
    for number, velocities in optimizer["state"].items():
        tensors |= {f"{_OPTIMIZER}{number}.{name}": array for name, array in velocities.items()}
    return tensors, {
        **{name: getattr(trainer, name) for name in _COUNTERS},
        "best": trainer.best,
        "steps": trainer.steps,
        "param_groups": optimizer["param_groups"],
        "schedule": trainer.schedule.state_dict(),
        "scaler": trainer.stepper.scaler.state_dict(),
        "generators": generator_states(trainer),
        "configuration": configuration(trainer),
    }


def generator_states(trainer: Trainer) -> dict[str, Any]:
    """Return where the generators of random numbers in the model are, ready for JSON."""
    return {name: rng.bit_generator.state for name, rng in trainer.model.named_generators()}


def restore(trainer: Trainer, tensors: Mapping[str, np.ndarray], about: Mapping[str, Any]) -> None:
    """Put a trainer into a state that `capture` returned.

    Raises
    ------
    ValueError
        If it is one of another network or other settings.
    """
    before = about["configuration"]
    for name, value in configuration(trainer).items():
        if name in before and before[name] != value:
            raise ValueError(f"a run goes on as it began, but its {name} was {before[name]!r}, and is {value!r}")
    if about["step"] > trainer.steps:
        raise ValueError(f"{about['step']} steps were taken already, so there can't be {trainer.steps} in all")
    here, there = set(generator_states(trainer)), set(about["generators"])
    if here != there:
        raise CheckpointError(f"the checkpoint knows the generators {sorted(there)}, the model has {sorted(here)}")
    weights = {name.removeprefix(_MODEL): array for name, array in tensors.items() if name.startswith(_MODEL)}
    trainer.model.load_state_dict(weights)
    velocities: dict[int, dict[str, np.ndarray]] = {}
    for full, array in tensors.items():
        if full.startswith(_OPTIMIZER):
            _, number, name = full.split(".")
            velocities.setdefault(int(number), {})[name] = array
    trainer.optimizer.load_state_dict({"state": velocities, "param_groups": about["param_groups"]})
    trainer.schedule.load_state_dict(about["schedule"])
    trainer.stepper.scaler.load_state_dict(about["scaler"])
    restore_generators(trainer, about["generators"])
    for name in _COUNTERS:
        setattr(trainer, name, about[name])
    trainer.best = None if about["best"] is None else tuple(about["best"])


def restore_generators(trainer: Trainer, states: Mapping[str, Any]) -> None:
    """Put the generators in the model where `generator_states` found them."""
    for name, rng in trainer.model.named_generators():
        rng.bit_generator.state = states[name]
