"""The state of training between two steps: all that decides what comes next, and what a checkpoint holds of it."""

from __future__ import annotations

import copy
import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from npalexnet import backend
from npalexnet.data.datasets import Dataset, picture_key
from npalexnet.data.loader import DataLoader
from npalexnet.fields import FieldError
from npalexnet.layers.layer import Layer
from npalexnet.optim.grad_scaler import GradScaler
from npalexnet.optim.sgd import SGD
from npalexnet.training.agreement import (
    DESCRIPTION,
    LAYER,
    MODEL,
    OPTIMIZER,
    PARAMETER_GROUPS,
    VALIDATION_DATA,
    check_configuration,
    check_loadable,
    check_tensors,
)
from npalexnet.training.metrics import Metrics
from npalexnet.training.schedules import Schedule

_COUNTERS = {  # their names here and in checkpoints
    "step": "step", "images": "images", "epoch": "epoch", "batch": "batch", "validated_step": "tested_step",
    "bad_evaluations": "bad_evaluations", "weights_missing": "weights_missing",
}  # fmt: skip


@dataclass
class TrainingState:
    """What a step reads and changes, and how far training has come."""

    model: Layer
    optimizer: SGD
    schedule: Schedule
    scaler: GradScaler
    train: DataLoader
    validation: DataLoader | None
    settings: dict[str, Any]  # what else decides the steps and must not change on the way, ready for JSON
    steps: int  # in all
    patience: int | None = None  # evaluations in a row without a better one after which training ends
    step: int = 0  # steps taken
    images: int = 0  # training images seen
    epoch: int = 0  # whole epochs
    batch: int = 0  # the next one of this epoch
    validated_step: int = 0  # the step of the last validation
    bad_evaluations: int = 0  # evaluations in a row that were no better than the best one
    best: tuple[float, float] | None = None  # 1 - accuracy, and loss, of the best evaluation
    weights_missing: bool = False  # whether the weights of the best evaluation could not be written
    torn: bool = False  # whether an error came amid an update of the parameters: they are of no step
    evaluations: list[Metrics] = field(default_factory=list)  # of this process
    data: dict[str, Any] = field(default_factory=dict)  # see `begin`
    lengths: list[int] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.base_lrs = [group["lr"] for group in self.optimizer.param_groups]
        self.biases_alone = [all(name.endswith("bias") for name in names) for names in self._names_in_groups()]

    @property
    def out_of_patience(self) -> bool:
        """Whether `patience` evaluations in a row were no better."""
        return self.patience is not None and self.bad_evaluations >= self.patience

    @property
    def finished(self) -> bool:
        """Whether all steps were taken, or the patience is at its end, and the model as it is was validated."""
        return self.validated_step == self.step and (self.step >= self.steps or self.out_of_patience)

    @property
    def epoch_is_over(self) -> bool:
        """Whether a validation comes next, not a step."""
        return self.batch == len(self.train) or (self.step >= self.steps and self.validated_step < self.step)

    @property
    def position(self) -> tuple[int, ...]:
        """What differs between any two moments at which a checkpoint may be written."""
        return self.step, self.epoch, self.batch, self.validated_step

    @property
    def is_best(self) -> bool:
        """Whether the model, as it is, had the best evaluation, or there was none to compare with."""
        return self.best is None or (self.bad_evaluations == 0 and self.validated_step == self.step)

    def begin(self) -> None:
        """Note which data training begins with: checkpoints name these, and `check_data` holds on to their number."""
        self.data, self.lengths = self._data(), self._lengths()

    def check_data(self) -> None:
        """Raise a ValueError if a data set has another length than when training began."""
        if self.lengths and self.lengths != (now := self._lengths()):
            raise ValueError(
                f"the data sets must not change while a network is trained: they had {self.lengths} images, for "
                f"training and validation, and have {now}; go on with the images as they were"
            )

    def _lengths(self) -> list[int]:
        return [len(loader.dataset) for loader in (self.train, self.validation) if loader is not None]

    def _data(self) -> dict[str, Any]:
        return {
            "images": len(self.train.dataset),
            "data (names and labels)": _fingerprint(self.train.dataset),
            VALIDATION_DATA: None if self.validation is None else _fingerprint(self.validation.dataset),
        }

    def end_epoch(self) -> float:
        """Note that steps were validated, and begin the next epoch after a whole one; returns the epochs so far."""
        batches = len(self.train)
        epochs = self.epoch + (1 if self.batch == batches else self.batch / batches)
        self.validated_step = self.step
        if self.batch == batches:
            self.epoch, self.batch = self.epoch + 1, 0
        return epochs

    def add_evaluation(self, metrics: Metrics) -> bool:
        """Take note of an evaluation; returns whether it is the best one so far."""
        self.evaluations.append(metrics)
        found = (1 - metrics.top1, metrics.loss)
        better = self.best is None or found < self.best
        self.best, self.bad_evaluations = (found, 0) if better else (self.best, self.bad_evaluations + 1)
        return better

    def set_learning_rate(self) -> float:
        """Give the optimizer the rates of the next step; returns its first group's rate."""
        factors = self.schedule.factor(self.step), self.schedule.bias_factor(self.step)
        for group, lr, biases in zip(self.optimizer.param_groups, self.base_lrs, self.biases_alone, strict=True):
            group["lr"] = lr * factors[biases]
        return self.optimizer.param_groups[0]["lr"]

    def generators(self) -> dict[str, Any]:
        """Return the states of the model's random generators, ready for JSON."""
        return {name: rng.bit_generator.state for name, rng in self.model.named_generators()}

    def restore_generators(self, states: Mapping[str, Any]) -> None:
        """Restore what `generators` returned."""
        for name, rng in self.model.named_generators():
            rng.bit_generator.state = states[name]

    def configuration(self) -> dict[str, Any]:
        """Return the settings that a checkpoint must agree with."""
        loader, validation = self.train, self.validation
        groups = [
            {name: value for name, value in {**group, "lr": lr}.items() if name != "params"}
            for group, lr in zip(self.optimizer.param_groups, self.base_lrs, strict=True)
        ]
        return {
            "variant": getattr(self.model, "variant", None),  # first, for all else may follow from it
            **self._data(),
            "classes": list(loader.dataset.classes),
            "preparation of images": _preparation(loader),
            "optimizer": groups,
            "batch_size": loader.batch_size,
            "seed": loader.seed,
            **self.settings,
            "frozen": [name for name, parameter in self.model.named_parameters() if not parameter.requires_grad],
            "schedule": self.schedule.name,
            "schedule's": self.schedule.settings(),
            "float32_matmul_precision": backend.get_float32_matmul_precision(),
            "shuffle": loader.shuffle,
            "drop_last": loader.drop_last,
            "preparation of held-out images": None if validation is None else _preparation(validation),
            "held-out batch_size": None if validation is None else validation.batch_size,
            LAYER: {name: repr(layer) for name, layer in self.model.named_leaves()},
            PARAMETER_GROUPS: self._names_in_groups(),
        }

    def _names_in_groups(self) -> list[list[str]]:
        """Return the names of the parameters in each of the optimizer's groups."""
        names = {parameter: name for name, parameter in self.model.named_parameters()}
        return [[names.get(parameter, "") for parameter in group["params"]] for group in self.optimizer.param_groups]

    def capture(self, *, copy: bool = True) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
        """Return a checkpoint's tensors (without `copy`, as they are in memory) and its metadata, ready for JSON."""
        optimizer = self.optimizer.state_dict(copy=copy)
        tensors = {f"{MODEL}{name}": array for name, array in self.model.state_dict(copy=copy).items()}
        for number, velocities in optimizer["state"].items():
            tensors |= {f"{OPTIMIZER}{number}.{name}": array for name, array in velocities.items()}
        return tensors, {
            **{key: getattr(self, name) for name, key in _COUNTERS.items()},
            "best": None if self.best is None else list(self.best),
            "steps": self.steps,
            "param_groups": optimizer["param_groups"],
            "schedule": self.schedule.state_dict(),
            "scaler": self.scaler.state_dict(),
            "generators": self.generators(),
            "configuration": {**self.configuration(), **self.data},
        }

    def check(self, tensors: Mapping[str, np.ndarray], metadata: Mapping[str, Any]) -> None:
        """Check what `restore` will be given; nothing is changed.

        Raises
        ------
        FieldError
            If `capture` can't have returned that.
        ValueError
            If it comes from another network or other settings.
        """
        DESCRIPTION.check(metadata)
        configuration = json.loads(json.dumps(self.configuration()))
        check_configuration(metadata["configuration"], configuration, without=(LAYER, PARAMETER_GROUPS))
        if metadata["step"] > self.steps:
            raise ValueError(f"{metadata['step']} steps were taken already, so there can't be {self.steps} in all")
        here, there = sorted(self.generators()), sorted(metadata["generators"])
        if here != there:
            names = (", ".join(names) or "none" for names in (here, there))
            raise FieldError("generators must be those of {}, got {}".format(*names))
        check_configuration(metadata["configuration"], configuration, without=(LAYER,))
        check_tensors(tensors, self.model, self.optimizer, metadata)
        check_configuration(metadata["configuration"], configuration)
        accumulate = self.settings["accumulate"]
        steps = metadata["epoch"] * -(-len(self.train) // accumulate) + -(-metadata["batch"] // accumulate)
        if metadata["step"] != steps or metadata["batch"] > len(self.train):
            raise FieldError(f"step must be {steps} after {_place(metadata)}, got {metadata['step']}")
        size, pictures = self.train.batch_size, len(self.train.dataset)
        whole, part = (min(batches * size, pictures) for batches in (len(self.train), metadata["batch"]))
        if metadata["images"] != (images := metadata["epoch"] * whole + part):
            raise FieldError(f"images must be {images} after {_place(metadata)}, got {metadata['images']}")
        if metadata["best"] is not None and min(metadata["best"]) < 0:
            raise FieldError(f"best must be an error and a loss of at least 0, got {metadata['best']}")
        if metadata["tested_step"] > metadata["step"]:
            raise FieldError(f"tested_step must be at most {metadata['step']}, the step, got {metadata['tested_step']}")
        check_loadable(self.schedule, metadata["schedule"], "schedule")
        check_loadable(self.scaler, metadata["scaler"], "scaler")
        for name, rng in self.model.named_generators():
            try:
                copy.deepcopy(rng).bit_generator.state = metadata["generators"][name]
            except (ValueError, TypeError, KeyError) as error:
                raise FieldError(f"generators.{name} can't be used: {error}") from None

    def restore(self, tensors: Mapping[str, np.ndarray], metadata: Mapping[str, Any]) -> None:
        """Restore what `capture` returned; the errors are those of `check`, and nothing is changed then."""
        self.check(tensors, metadata)
        weights = {name.removeprefix(MODEL): array for name, array in tensors.items() if name.startswith(MODEL)}
        self.model.load_state_dict(weights)
        velocities: dict[int, dict[str, np.ndarray]] = {}
        for full, array in tensors.items():
            if full.startswith(OPTIMIZER):
                _, number, name = full.split(".")
                velocities.setdefault(int(number), {})[name] = array
        self.optimizer.load_state_dict({"state": velocities, "param_groups": metadata["param_groups"]})
        self.schedule.load_state_dict(metadata["schedule"])
        self.scaler.load_state_dict(metadata["scaler"])
        self.restore_generators(metadata["generators"])
        for name, key in _COUNTERS.items():
            setattr(self, name, metadata[key])
        self.best = None if metadata["best"] is None else tuple(metadata["best"])


def _fingerprint(dataset: Dataset) -> str:
    """Return a hash of the images' labels and names, without the folders above their class's."""
    names = "\n".join(picture_key(dataset.name(i)) for i in range(len(dataset)))
    return _hash(dataset.labels.tobytes() + names.encode("utf-8", "surrogateescape"))


def _preparation(loader: DataLoader) -> str:
    """Return a hash of how a loader's images are prepared."""
    return _hash(json.dumps(loader.pipeline.to_json(), sort_keys=True).encode())


def _place(metadata: Mapping[str, Any]) -> str:
    return f"{metadata['epoch']} epochs and {metadata['batch']} batches"


def _hash(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()[:16]
