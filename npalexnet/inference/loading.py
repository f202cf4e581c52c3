"""From a file of weights to a network that can be used: its classes, and the preprocessing of its pictures."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from npalexnet.alexnet import VARIANTS, AlexNet, described_variant
from npalexnet.data.pipeline import LARGEST_SIZE, Pipeline
from npalexnet.data.transforms import Normalize, ResizeCenterCrop, Transform
from npalexnet.fields import FieldError
from npalexnet.pretrained.figures import LAST, figure_of
from npalexnet.pretrained.opening import is_own, open_weights
from npalexnet.pretrained.preparation import classes_of, preparation
from npalexnet.weights import CLASSES, describe_weights, load_weights, weights_file


class Network(NamedTuple):
    """A network, and what is needed to use it."""

    path: Path
    model: AlexNet
    classes: list[str]
    pipeline: Pipeline
    metadata: dict[str, Any]


def load_network(
    path: str | Path,
    variant: str | None = None,
    classes: Sequence[str] | None = None,
    mean: Sequence[float] | None = None,
    std: Sequence[float] | None = None,
) -> Network:
    """Return the network in a run's folder or in a file of weights; see `Classifier.load`."""
    path = weights_file(path)
    if variant is not None:
        described_variant(variant)
    return (_own if is_own(path) else _other)(path, variant, classes, mean, std)


def _own(path: Path, variant: str | None, classes: Any, mean: Any, std: Any) -> Network:
    """Return a network that this package has written, with a description."""
    shapes, metadata = describe_weights(path)
    stated, known = _variant(path, metadata), _classes(path, metadata.get("classes"))
    if variant not in (None, stated):
        raise ValueError(f"{path} holds weights of the variant {stated}, not {variant}")
    pipeline = _pipeline(path, metadata, stated)
    last = f"{figure_of(stated).names[LAST]}.weight"
    _check_last_layer(path, known, last, shapes.get(last))
    if classes is not None:
        known = _given(path, classes, len(known))
    state, _ = load_weights(path)
    return Network(path, _filled(path, stated, state, len(known)), known, _changed(pipeline, mean, std), metadata)


def _other(path: Path, variant: str | None, classes: Any, mean: Any, std: Any) -> Network:
    """Return a network from a file of another program, or of this one in another format."""
    weights = open_weights(path, variant)
    if weights.found.new:
        raise ValueError(
            f"{path} holds {len(weights.found.state)} tensors of the AlexNet {weights.variant}, but not "
            f"{weights.found.missing}: train that, npalexnet train --weights {path}"
        )
    outputs = len(weights.found.state[f"{figure_of(weights.variant).names[LAST]}.bias"])
    known = weights.classes
    if classes is not None:
        known = _given(path, classes, outputs)
    elif known is None:
        known = classes_of(outputs)
    elif len(known) != outputs:
        raise ValueError(f"{path} names {len(known):,} classes, but has {outputs:,} outputs")
    if "pipeline" in weights.metadata:
        pipeline = _changed(_pipeline(path, weights.metadata, weights.variant), mean, std)
    else:
        try:
            pipeline = preparation(weights.variant, mean, std)
        except (ValueError, TypeError) as error:
            raise ValueError(f"{path} does not say how pictures are prepared, and {error}") from None
    metadata = {**weights.metadata, "variant": weights.variant}
    return Network(path, _filled(path, weights.variant, weights.found.state, outputs), known, pipeline, metadata)


def _filled(path: Path, variant: str, state: Any, outputs: int) -> AlexNet:
    model = AlexNet(outputs, init="torch", variant=variant)
    try:
        model.load_state_dict(state)
    except (ValueError, TypeError) as error:
        raise ValueError(f"{path}: {error}") from None
    return model


def _given(path: Path, classes: Sequence[str], outputs: int) -> list[str]:
    if len(classes) != outputs:
        given = "1 class is" if len(classes) == 1 else f"{len(classes):,} classes are"
        raise ValueError(f"{path} has {outputs:,} outputs, but {given} given")
    return CLASSES.check(list(classes), "classes")


def _changed(pipeline: Pipeline, mean: Any, std: Any) -> Pipeline:
    """Return a pipeline with another mean or standard deviation, if they are given."""
    if mean is None and std is None:
        return pipeline
    steps: list[Transform] = []
    for step in pipeline.transforms:
        if isinstance(step, Normalize):
            given = preparation("seed", step.mean if mean is None else mean, step.std if std is None else std)
            step = given.transforms[-1]
        steps.append(step)
    return Pipeline(steps)


def _classes(path: Path, classes: Any) -> list[str]:
    if not isinstance(classes, list) or not classes:
        raise ValueError(f"{path} does not name its classes, got {classes!r:.80}")
    try:
        return CLASSES.check(classes, "classes")
    except FieldError as error:
        raise ValueError(f"{path} does not name its classes: {error}") from None


def _check_last_layer(path: Path, classes: Sequence[str], name: str, shape: tuple[int, ...] | None) -> None:
    """Raise a ValueError unless the last layer has as many outputs as there are classes, before memory is taken."""
    if shape is None or len(shape) != 2:
        raise ValueError(f"{path} holds no {name} of two dimensions")
    if shape[0] != len(classes):
        must = f"{name} must have shape {(len(classes), shape[1])}, got {shape}"
        raise ValueError(f"{path} names {len(classes):,} class{'es' * (len(classes) != 1)}: {must}")


def _variant(path: Path, metadata: dict[str, Any]) -> str:
    """Return which AlexNet a weights file is for; older files, which don't say so, are for the default."""
    name = metadata.get("variant", "seed")
    try:
        described_variant(name)
    except ValueError as error:
        raise ValueError(f"{path} is for another network: {error}") from None
    return str(name)


def _pipeline(path: Path, metadata: dict[str, Any], variant: str) -> Pipeline:
    """Return the preprocessing that a weights file describes: a pipeline or, in older files, mean and std alone."""
    if "pipeline" in metadata:
        try:
            pipeline = Pipeline.from_json(metadata["pipeline"])
            *_, height, width = pipeline.output_shape
            sides = VARIANTS[variant].sizes
            if height not in sides or width not in sides:
                most = "or more" if sides[-1] > LARGEST_SIZE else f"to {sides[-1]} x {sides[-1]}"
                sizes = f"{sides[0]} x {sides[0]} {most}"
                raise ValueError(f"a pipeline must end with images of {sizes}, got {height} x {width}")
            return pipeline
        except ValueError as error:
            raise ValueError(f"{path} does not say how pictures are prepared: {error}") from None
    if not {"mean", "std"} & set(metadata):
        raise ValueError(f"{path} does not say how pictures are prepared: it gives neither a pipeline nor mean and std")
    mean_and_std: Any = metadata.get("mean"), metadata.get("std")
    try:
        return Pipeline([ResizeCenterCrop(VARIANTS[variant].image_size), Normalize(*mean_and_std)])
    except (TypeError, ValueError) as error:
        raise ValueError(f"{path} does not say how pictures are prepared: {error}") from None
