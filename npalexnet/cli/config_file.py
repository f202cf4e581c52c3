"""``config.json``, the options with which a run began: what it must hold."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from npalexnet.alexnet import VARIANTS
from npalexnet.backend import names_device
from npalexnet.cli.training_options import DEFAULTS, IN_FILES, KEPT, PRECISIONS
from npalexnet.data.pipeline import AUGMENTATIONS, PIXELS
from npalexnet.fields import Bool, Choice, Float, Int, List, Nullable, Record, Text, read_json
from npalexnet.layers.algorithm_choice import NAMES
from npalexnet.layers.init import SCHEMES
from npalexnet.training.checkpoint import LAST, PREVIOUS
from npalexnet.training.recipes import RECIPES
from npalexnet.training.run import CONFIG, METRICS, SPLIT
from npalexnet.training.schedules import SCHEDULES
from npalexnet.weights import MOST_CLASSES


@dataclass(frozen=True)
class _Device(Text):
    """The name of a device."""

    def _fits(self, value: Any) -> bool:
        return super()._fits(value) and names_device(value)

    def _expects(self) -> str:
        return "cpu, cuda, cuda:N or auto"


_COUNT, _NUMBER, _COLOR = Nullable(Int(1)), Float(0), Nullable(List(Float(), 3, 3))
_FIELDS = {
    "data": Nullable(Text()), "strict": Bool(), "recipe": Choice(tuple(RECIPES)), "workers": Int(1), "epochs": _COUNT,
    "steps": _COUNT, "batch_size": Int(1), "accumulate": Int(1), "lr": Float(0, above=True),
    "schedule": Choice(tuple(SCHEDULES)), "warmup": Nullable(Int()), "momentum": _NUMBER, "weight_decay": _NUMBER,
    "clip_norm": Nullable(Float(0, above=True)), "patience": _COUNT, "dropout": Float(0, 1), "init": Choice(SCHEMES),
    "seed": Int(), "weights": Nullable(Text()), "freeze": List(Text()), "num_classes": Nullable(Int(1, MOST_CLASSES)),
    "train_images": _COUNT, "validation_images": _COUNT, "precision": Choice(PRECISIONS),
    "convolution": Nullable(Choice(NAMES)), "checkpoint_every": _COUNT, "device": _Device(),
    "keep": Choice(KEPT), "labels": Nullable(Text()), "variant": Choice(tuple(VARIANTS)), "mean": _COLOR, "std": _COLOR,
    "augment": Choice(AUGMENTATIONS), "pixels": Choice(PIXELS), "bias_lr_factor": _NUMBER, "bias_decay_factor": _NUMBER,
}  # fmt: skip
_LATER = {  # in all but older runs
    "convolution", "keep", "labels", "variant", "mean", "std", "augment", "pixels", "bias_lr_factor",
    "bias_decay_factor",
}  # fmt: skip
CONFIG_FIELDS = Record(
    {IN_FILES.get(name, name): kind for name, kind in _FIELDS.items() if name not in _LATER},
    optional={name: _FIELDS[name] for name in DEFAULTS if name in _LATER},
)


def read_config(folder: Path, path: Path) -> dict[str, Any]:
    """Return the options with which the run in `folder`, named as `path`, began; a ValueError if it can't go on."""
    if not path.exists():
        raise ValueError(f"{path} does not exist: there is no run to resume")
    if not path.is_dir() and not (folder / CONFIG).exists():
        raise ValueError(
            f"{path} can't be resumed: it is not a checkpoint in the folder of a run, there is no {CONFIG} beside it"
        )
    if not (folder / CONFIG).exists():
        raise ValueError(
            f"{path} can't be resumed: {folder} is not the folder of a run, it holds no {CONFIG}. If its training was "
            f"stopped before that was written, nothing was learned: remove the folder, and begin again with npalexnet "
            f"train --out {folder} and the options as before"
        )
    try:
        config: dict[str, Any] = read_json(folder / CONFIG, CONFIG_FIELDS)
    except ValueError as error:
        if any((folder / name).exists() for name in (LAST, PREVIOUS, METRICS, SPLIT)):
            raise
        raise ValueError(
            f"{path} can't be resumed: {folder} is not the folder of a run, or its {CONFIG} is damaged ({error}); "
            "begin with the weights of another program by --weights"
        ) from None
    return config
