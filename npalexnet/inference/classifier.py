"""A trained network with all that is needed to use it: its classes, and how it wants its pictures."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import isfinite
from pathlib import Path
from typing import Any

import numpy as np

from npalexnet import backend
from npalexnet.alexnet import IMAGE_SIZE, AlexNet
from npalexnet.data.pipeline import Pipeline, ten_cropped
from npalexnet.data.transforms import Normalize, ResizeCenterCrop, SubtractMeanImage
from npalexnet.terminal import shown
from npalexnet.training.evaluation import log_probabilities
from npalexnet.weights import FILE_NAME, load_weights

BATCH_SIZE = 16  # pictures that are prepared and named at once


@dataclass(frozen=True)
class Classifier:
    """The network of a run, in eval mode.

    Attributes
    ----------
    path : Path
        The weights file.
    model : AlexNet
        It has a logit for each class.
    classes : list of str
        Their names.
    pipeline : Pipeline
        What is done to pictures that it is to name.
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
        """The classes' names so that they can be printed, see `npalexnet.files.shown`."""
        return [shown(name) for name in self.classes]

    @classmethod
    def load(cls, path: str | Path, device: str = "cpu") -> Classifier:
        """Read a run's weights.

        Parameters
        ----------
        path : str or Path
            The run's folder, or its weights file.
        device : str
            Where the network is to live.

        Raises
        ------
        OSError, ValueError
            If there is none, or it is damaged.
        """
        path = Path(path)
        if path.is_dir():
            if not (path / FILE_NAME).exists():
                raise ValueError(f"{path} is not the folder of a run: it holds no {FILE_NAME}")
            path = path / FILE_NAME
        state, metadata = load_weights(path)
        metadata = metadata if isinstance(metadata, dict) else {}
        classes = metadata.get("classes")
        if not (isinstance(classes, list) and classes and all(isinstance(name, str) for name in classes)):
            raise ValueError(f"{path} does not name the classes that it tells apart, got {classes!r}")
        pipeline = _pipeline(path, metadata)
        model = AlexNet(len(classes))
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
            Whether each is to be looked at ten times: see `npalexnet.data.ten_cropped`.

        Returns
        -------
        ndarray of float32, (N, 3, 227, 227), or for ten-crop (N, 10, 3, 227, 227)
        """
        pipeline = ten_cropped(self.pipeline) if ten_crop else self.pipeline
        rng = np.random.default_rng(0)  # nothing is left to chance in a pipeline for evaluation
        return np.stack([pipeline(picture, rng) for picture in pictures])

    def seen(self, picture: Any) -> np.ndarray:
        """Return the part of a picture that the network sees, in the picture's colours: uint8 (227, 227, 3)."""
        steps = [step for step in self.pipeline.transforms if not isinstance(step, Normalize | SubtractMeanImage)]
        x = Pipeline(steps)(picture, np.random.default_rng(0))  # (3, 227, 227), from 0 to 1
        return (255 * x.transpose(1, 2, 0)).round().astype(np.uint8)

    def log_probabilities(self, inputs: np.ndarray) -> np.ndarray:
        """Return the logarithm of each picture's share of each class.

        Parameters
        ----------
        inputs : ndarray of float32
            What `inputs` returned; of ten crops, the mean of the shares is taken. They are computed in one batch.

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
        self.check_answers(found)
        return found

    def check_answers(self, found: np.ndarray) -> None:
        """Raise a ValueError unless all numbers of the network's answers are finite."""
        if not np.isfinite(found).all():
            raise ValueError(f"the weights in {self.path} are not finite: they come from training that diverged")


def _pipeline(path: Path, metadata: dict[str, Any]) -> Pipeline:
    """Return what a weights file says that is done to pictures."""
    if "pipeline" in metadata:
        try:
            return Pipeline.from_json(metadata["pipeline"])
        except ValueError as error:
            raise ValueError(f"{path} does not say how pictures are prepared: {error}") from None
    if not {"mean", "std"} & set(metadata):
        raise ValueError(f"{path} does not say how pictures are prepared: it gives neither a pipeline nor mean and std")
    mean: Any = metadata.get("mean")
    std: Any = metadata.get("std")
    if not (_is_colour(mean) and _is_colour(std) and min(std) > 0):
        raise ValueError(f"{path} must give mean and std of three colours each, got {mean!r} and {std!r}")
    return Pipeline([ResizeCenterCrop(IMAGE_SIZE), Normalize(tuple(mean), tuple(std))])


def _is_colour(values: Any) -> bool:
    return (
        isinstance(values, list)
        and len(values) == 3
        and all(isinstance(value, int | float) and isfinite(value) for value in values)
    )
