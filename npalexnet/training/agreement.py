"""What a checkpoint must hold, and what it must have in common with the training that goes on from it."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from npalexnet.fields import Bool, FieldError, Float, Int, Kind, List, Nullable, Record, Text, table
from npalexnet.layers.layer import Layer
from npalexnet.optim.sgd import SGD
from npalexnet.training.steps import is_finite

MODEL, OPTIMIZER, VELOCITY = "model.", "optimizer.", "momentum_buffer"  # in the names of tensors
VALIDATION_DATA = "held-out data (names and labels)"
LAYER, PARAMETER_GROUPS = "layer", "parameters in each group"  # said last: of another network, others say more
UNRECORDED = {"convolution": "im2col"}  # in the configurations of older runs: there was no choice
_RECORDED = (  # in all configurations
    "images", "classes", "data (names and labels)", VALIDATION_DATA, "preparation of images", "optimizer",
    "batch_size", "seed", "accumulate", "clip_norm", "dtype", "frozen", "schedule",
)  # fmt: skip
_LATER = (  # in all but those of older runs
    "variant", "convolution", "label_smoothing", "float32_matmul_precision", "shuffle", "drop_last",
    "preparation of held-out images", "held-out batch_size", LAYER, "schedule's",
)  # fmt: skip
_LATEST = (PARAMETER_GROUPS,)  # in those of the newest runs
_BITS_64, _BITS_128 = Int(0, 2**64 - 1), Int(0, 2**128 - 1)
_GENERATOR = Record(  # NumPy's PCG64
    {
        "bit_generator": Text(32), "state": Record({"state": _BITS_128, "inc": _BITS_128}), "has_uint32": Int(0, 1),
        "uinteger": _BITS_64,
    }
)  # fmt: skip
_GROUP = Record(
    {"params": List(Int()), "lr": Float(0), "momentum": Float(0), "weight_decay": Float(0), "nesterov": Bool()}
)
_SCALER = Record(
    {}, optional={"scale": Float(0, above=True), "growth_factor": Float(1, above=True),
    "backoff_factor": Float(0, 1, above=True), "growth_interval": Int(1), "_growth_tracker": Int()},
)  # fmt: skip
DESCRIPTION = Record(
    {
        "step": Int(), "images": Int(), "epoch": Int(), "batch": Int(), "tested_step": Int(),
        "bad_evaluations": Int(), "weights_missing": Bool(), "best": Nullable(List(Float(), 2, 2)), "steps": Int(1),
        "param_groups": List(_GROUP, 1), "schedule": Record({}, others=Kind()), "scaler": _SCALER,
        "generators": table(_GENERATOR),
        "configuration": Record(dict.fromkeys(_RECORDED, Kind()), optional=dict.fromkeys((*_LATER, *_LATEST), Kind())),
    },
    optional={"lines": Int()},
)  # fmt: skip


def check_configuration(
    configuration: Mapping[str, Any], now: Mapping[str, Any], *, without: Sequence[str] = ()
) -> None:
    """Raise a ValueError that names the first setting in which a checkpoint's configuration is not that of now."""
    before = {**UNRECORDED, **configuration}
    if LAYER in before:
        for name in _LATER:
            if name not in before:
                raise FieldError(f"configuration lacks {name}")
    for name, value in now.items():
        if name in without or name not in before or before[name] == value:
            continue
        was, what = before[name], name.replace("held-out", "validation")
        if isinstance(was, dict) and isinstance(value, dict):
            key = next(key for key in [*value, *was] if was.get(key) != value.get(key))
            was, value, what = was.get(key), value.get(key), f"{what} {key}"
        raise ValueError(f"a run goes on as it began, but its {what} was {was!r:.300}, and is {value!r:.300}")


def check_tensors(tensors: Mapping[str, np.ndarray], model: Layer, optimizer: SGD, metadata: Mapping[str, Any]) -> None:
    """Raise a ValueError unless the tensors are all weights of the model, and all velocities, and nothing else."""
    own = dict(model.named_parameters())
    weights = {name.removeprefix(MODEL): array for name, array in tensors.items() if name.startswith(MODEL)}
    faults = [f"{name} is missing" for name in own if name not in weights]
    faults += [f"{name} is unexpected" for name in weights if name not in own]
    for name in [name for name in own if name in weights]:
        if weights[name].shape != own[name].shape:
            faults.append(f"{name} must have shape {own[name].shape}, got {weights[name].shape}")
        elif weights[name].dtype != own[name].dtype:
            faults.append(f"{name} must be {own[name].dtype}, got {weights[name].dtype}")
    if faults:
        raise ValueError(f"the checkpoint's tensors don't fit the model: {'; '.join(faults[:8])}")
    for name, array in tensors.items():  # none such is ever written
        if array.dtype.kind == "f" and not is_finite(array):
            raise FieldError(f"the tensor {name} must be finite, got infinities or NaN")
    groups = optimizer.state_dict()["param_groups"]
    given = [{**group, "lr": None} for group in metadata["param_groups"]]
    if given != [{**group, "lr": None} for group in groups]:
        raise FieldError("param_groups are not those of the optimizer in configuration")
    trained = {parameter for parameter in model.parameters() if parameter.requires_grad}
    velocities = {name: array for name, array in tensors.items() if not name.startswith(MODEL)}
    parameters = [(parameter, group["momentum"]) for group in optimizer.param_groups for parameter in group["params"]]
    missing = []
    for number, (parameter, momentum) in enumerate(parameters):
        name = f"{OPTIMIZER}{number}.{VELOCITY}"
        if name not in velocities:
            missing += [name] * (parameter in trained and momentum > 0)
            continue
        array = velocities.pop(name)
        if array.shape != parameter.shape or array.dtype != parameter.dtype:
            must = f"{parameter.dtype} of shape {parameter.shape}"
            raise FieldError(f"the tensor {name} must be {must}, got {array.dtype} of shape {array.shape}")
    if velocities:
        raise FieldError(f"there is an unknown tensor {next(iter(velocities))}")
    none_yet = not any(name.startswith(OPTIMIZER) for name in tensors)  # float16's first steps may have been left out
    if missing and not (none_yet and (metadata["step"] == 0 or metadata["scaler"])):
        raise FieldError(f"the tensor {missing[0]} is missing, a velocity")


def check_loadable(owner: Any, state: Mapping[str, Any], name: str) -> None:
    """Raise a `FieldError` unless a copy of a schedule, or of a GradScaler, can load a state."""
    try:
        copy.deepcopy(owner).load_state_dict(state)
    except (ValueError, TypeError, KeyError) as error:
        raise FieldError(f"{name} can't be used: {error}") from None
