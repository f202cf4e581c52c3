"""A trained network with what is needed to use it: its classes, and the preprocessing of its pictures."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from npalexnet import backend
from npalexnet.alexnet import VARIANTS, AlexNet, described_variant
from npalexnet.data.arguments import check_pictures
from npalexnet.data.pipeline import LARGEST_SIZE, Pipeline, ten_cropped
from npalexnet.data.transforms import Normalize, ResizeCenterCrop, SubtractMeanImage
from npalexnet.fields import FieldError
from npalexnet.terminal import shown
from npalexnet.training.evaluation import log_probabilities
from npalexnet.weights import CLASSES, describe_weights, load_weights, weights_file

BATCH_SIZE = 16  # pictures that are classified at once
LAST_WEIGHT = "classifier.6.weight"


@dataclass(frozen=True)
class Classifier:
    """The network of a run, in eval mode.

    Attributes
    ----------
    path : Path
        The weights file.
    model : AlexNet
        With a logit for each class.
    classes : list of str
        The classes' names.
    pipeline : Pipeline
        The preprocessing of pictures.
    metadata : dict
        The metadata of the weights file.
    """

    path: Path
    model: AlexNet
    classes: list[str]
    pipeline: Pipeline
    metadata: dict[str, Any]

    @property
    def names(self) -> list[str]:
        """The classes' names as they can be printed, see `npalexnet.terminal.shown`."""
        return [shown(name) for name in self.classes]

    @classmethod
    def load(cls, path: str | Path, device: str = "cpu") -> Classifier:
        """Load the network of a run.

        Parameters
        ----------
        path : str or Path
            The run's folder, or its weights file.
        device : str
            The network's device.

        Raises
        ------
        OSError, ValueError
            If there is no weights file, or it is damaged.
        """
        path = weights_file(path)
        shapes, metadata = describe_weights(path)
        classes, variant = _classes(path, metadata.get("classes")), _variant(path, metadata)
        pipeline = _pipeline(path, metadata, variant)
        _check_last_layer(path, classes, shapes.get(LAST_WEIGHT))
        state, _ = load_weights(path)
        model = AlexNet(len(classes), init="torch", variant=variant)
        try:
            model.load_state_dict(state)
        except (ValueError, TypeError) as error:
            raise ValueError(f"{path}: {error}") from None
        return cls(path, model.to(device).eval(), classes, pipeline, metadata)

    def inputs(self, pictures: Sequence[Any], *, ten_crop: bool = False) -> np.ndarray:
        """Return pictures as the network's input.

        Parameters
        ----------
        pictures : sequence of PIL.Image, or of uint8 arrays (H, W) or (H, W, 3)
            N pictures of any sizes.
        ten_crop : bool
            Whether to take ten crops of each: see `npalexnet.data.ten_cropped`.

        Returns
        -------
        ndarray of float32, (N, 3, 227, 227), or for ten-crop (N, 10, 3, 227, 227); or of the variant's own size

        Raises
        ------
        TypeError, ValueError
            If they are no such pictures: paths, say.
        """
        check_pictures(pictures)
        pipeline = ten_cropped(self.pipeline) if ten_crop else self.pipeline
        rng = np.random.default_rng(0)  # not used: a pipeline for evaluation is deterministic
        return np.stack([pipeline(picture, rng) for picture in pictures])

    def seen(self, picture: Any) -> np.ndarray:
        """Return the part of a picture that the network sees, in its original colours: uint8 (227, 227, 3)."""
        steps = [step for step in self.pipeline.transforms if not isinstance(step, Normalize | SubtractMeanImage)]
        x = Pipeline(steps)(picture, np.random.default_rng(0))  # (3, 227, 227), from 0 to 1
        return (255 * x.transpose(1, 2, 0)).round().astype(np.uint8)

    def log_probabilities(self, inputs: np.ndarray) -> np.ndarray:
        """Return the logarithms of the classes' probabilities for each picture.

        Parameters
        ----------
        inputs : ndarray of float32
            From `inputs`, computed in one batch; the probabilities of ten crops are averaged.

        Returns
        -------
        ndarray of float64, (N, K)

        Raises
        ------
        ValueError
            If they are not finite.
        """
        device = backend.get_device(self.model.device or "cpu")
        found = log_probabilities(self.model, device.from_host(inputs))
        self.check_finite(found)
        return found

    def check_finite(self, outputs: np.ndarray) -> None:
        """Raise a ValueError unless the network's outputs are finite."""
        if not np.isfinite(outputs).all():
            raise ValueError(f"the weights in {self.path} are not finite: they come from training that diverged")


def _classes(path: Path, classes: Any) -> list[str]:
    if not isinstance(classes, list) or not classes:
        raise ValueError(f"{path} does not name its classes, got {classes!r:.80}")
    try:
        return CLASSES.check(classes, "classes")
    except FieldError as error:
        raise ValueError(f"{path} does not name its classes: {error}") from None


def _check_last_layer(path: Path, classes: Sequence[str], shape: tuple[int, ...] | None) -> None:
    """Raise a ValueError unless the last layer has as many outputs as there are classes, before memory is taken."""
    if shape is None or len(shape) != 2:
        raise ValueError(f"{path} holds no {LAST_WEIGHT} of two dimensions")
    if shape[0] != len(classes):
        must = f"{LAST_WEIGHT} must have shape {(len(classes), shape[1])}, got {shape}"
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
