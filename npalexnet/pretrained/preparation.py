"""How pictures are prepared for weights that don't say so, and which classes they know: what goes with each variant."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from importlib.resources import files
from pathlib import Path
from typing import Any

from npalexnet.alexnet import VARIANTS
from npalexnet.checks import number
from npalexnet.data.pipeline import Pipeline
from npalexnet.data.transforms import CenterCrop, Normalize, ResizeCenterCrop, SubtractMeanImage, Triple
from npalexnet.fields import FieldError, Kind, List, Record, Text, parse_json
from npalexnet.files import open_regular
from npalexnet.weights import CLASSES, MOST_CLASSES

IMAGENET_CLASSES = 1000
SHORTER_SIDE = 256  # pixels, in the sources of all that are given here
# Of ImageNet's colours, red, green and blue. In torchvision's transforms/_presets.py they go from 0 to 1; in Caffe's
# models/bvlc_googlenet/train_val.prototxt from 0 to 255, blue first, and a standard deviation is not divided by.
_TORCHVISIONS = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
_CAFFES = ((123 / 255, 117 / 255, 104 / 255), (1 / 255,) * 3)
_MEAN_AND_STD = dict.fromkeys(VARIANTS, _CAFFES) | {"torchvision": _TORCHVISIONS}
_UNKNOWN = {"seed"}  # whose weights were trained on anything
_MOST_BYTES = 20_000_000


def preparation(variant: str, mean: Sequence[float] | None = None, std: Sequence[float] | None = None) -> Pipeline:
    """Return the preprocessing for weights trained on ImageNet: the middle of 256 pixels, and `colors`.

    Parameters and errors are those of `colors`.
    """
    mean_and_std = colors(variant, mean, std)
    size = VARIANTS[variant].image_size
    middle = [ResizeCenterCrop(size)] if variant in _UNKNOWN else [ResizeCenterCrop(SHORTER_SIDE), CenterCrop(size)]
    return Pipeline([*middle, Normalize(*mean_and_std)])


def colors(
    variant: str, mean: Sequence[float] | None = None, std: Sequence[float] | None = None
) -> tuple[Triple, Triple]:
    """Return the mean and the standard deviation, of colours from 0 to 1, by which a variant's weights were trained.

    torchvision's take standardised colours; Caffe's and the paper's colours from 0 to 255 less their mean.

    Parameters
    ----------
    variant : str
        A key of `VARIANTS`.
    mean, std : sequence of three floats, optional
        Other ones for red, green and blue: of colours from 0 to 1 or, if one of `mean` is above 1, from 0 to 255.

    Raises
    ------
    ValueError, TypeError
        If they are not three numbers; or if one is missing for "seed", with which none goes.
    """
    if variant in _UNKNOWN and (mean is None or std is None):
        raise ValueError(
            f"no preparation of pictures goes with the variant {variant}: give both the mean and the standard "
            "deviation of the colours, --mean R G B --std R G B"
        )
    usual_mean, usual_std = _MEAN_AND_STD[variant]
    own_mean, own_std = _three("mean", mean), _three("std", std)
    scale = 255.0 if own_mean and max(own_mean) > 1 else 1.0
    return (
        usual_mean if own_mean is None else _divided(own_mean, scale),
        usual_std if own_std is None else _divided(own_std, scale),
    )


def has_usual_colors(variant: str) -> bool:
    """Whether pictures are always prepared in one way for a variant's weights, if they say nothing else."""
    return variant not in _UNKNOWN


def own_colors(metadata: Mapping[str, Any]) -> tuple[Triple, Triple] | None:
    """Return the mean and the standard deviation that a file of weights states; None if it states no such pair."""
    try:
        steps = Pipeline.from_json(metadata["pipeline"]).transforms
    except (KeyError, ValueError):
        return None
    normalize = [step for step in steps if isinstance(step, Normalize)]
    subtracts = any(isinstance(step, SubtractMeanImage) for step in steps)
    return (normalize[0].mean, normalize[0].std) if len(normalize) == 1 and not subtracts else None


def _three(name: str, values: Sequence[float] | None) -> Triple | None:
    if values is None:
        return None
    if not isinstance(values, list | tuple) or len(values) != 3:
        raise ValueError(f"{name} must be three numbers, for red, green and blue, got {values!r:.80}")
    red, green, blue = (number(name, value) for value in values)
    return red, green, blue


def _divided(values: Triple, scale: float) -> Triple:
    red, green, blue = (value / scale for value in values)
    return red, green, blue


def imagenet_classes() -> list[str]:
    """Return the names of ImageNet's 1,000 classes, in the order of the outputs: "tench", ..., "toilet tissue"."""
    return files("npalexnet.pretrained").joinpath("imagenet.txt").read_text("utf-8").splitlines()


def classes_of(outputs: int) -> list[str]:
    """Return the classes of weights that don't name them: ImageNet's for 1,000 outputs, else numbers."""
    return imagenet_classes() if outputs == IMAGENET_CLASSES else [f"class {number}" for number in range(outputs)]


def read_classes(path: str | Path) -> list[str]:
    """Return the classes' names in a file, in the order of the outputs.

    Parameters
    ----------
    path : str or Path
        A text with one a line; or JSON, a list or ``{"0": "tench", ...}``, also ``{"0": ["n01440764", "tench"], ...}``
        as Keras has it.

    Raises
    ------
    OSError, ValueError
        If it can't be read, or holds none.
    """
    with open_regular(path) as file:
        content = file.read(_MOST_BYTES + 1)
    try:
        if len(content) > _MOST_BYTES:
            raise FieldError(f"it has more than {_MOST_BYTES:,} bytes")
        if content.lstrip()[:1] in (b"[", b"{"):
            names = _from_json(parse_json(content))
        else:
            names = [line.strip() for line in content.decode("utf-8-sig").splitlines() if line.strip()]
        return CLASSES.check(names, "classes")
    except (FieldError, UnicodeDecodeError) as error:
        raise ValueError(f"{path} does not list classes, one a line: {error}") from None


def _from_json(value: object) -> object:
    if not isinstance(value, dict):
        return value
    by_number = Record({str(n): Kind() for n in range(min(len(value), MOST_CLASSES))}).check(value)
    names = [by_number[str(n)] for n in range(len(by_number))]
    if all(isinstance(name, list) and len(name) == 2 for name in names):
        names = [List(Text(), 2, 2).check(name)[1] for name in names]
    return names
