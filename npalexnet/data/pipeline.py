"""Transforms put together: from a picture to the network's input."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from npalexnet.alexnet import IMAGE_SIZE
from npalexnet.data.statistics import Statistics
from npalexnet.data.transforms import (
    BY_NAME,
    ON_PICTURES,
    CenterCrop,
    Normalize,
    PCAColorJitter,
    RandomCrop,
    RandomHorizontalFlip,
    ResizeCenterCrop,
    SubtractMeanImage,
    TenCrop,
    Transform,
)

if TYPE_CHECKING:
    from npalexnet.data.datasets import Picture

RECIPES = ("simple", "paper")


class Pipeline:
    """Steps that are applied one after the other.

    Parameters
    ----------
    transforms : sequence of Transform
        Those on pictures first, those on arrays after them; between the two the picture becomes float32, (H, W, 3),
        from 0 to 1.
    """

    def __init__(self, transforms: Sequence[Transform]) -> None:
        on_pictures = [isinstance(transform, ON_PICTURES) for transform in transforms]
        if on_pictures != sorted(on_pictures, reverse=True):
            names = ", ".join(type(transform).__name__ for transform in transforms)
            raise ValueError(f"transforms on pictures must come before those on arrays, got {names}")
        self.transforms = tuple(transforms)
        self._on_pictures = self.transforms[: sum(on_pictures)]
        self._on_arrays = self.transforms[sum(on_pictures) :]

    def __call__(self, picture: Picture, rng: np.random.Generator) -> np.ndarray:
        """Return a picture as the network's input.

        Parameters
        ----------
        picture : PIL.Image, or ndarray of uint8, (H, W) or (H, W, 3)
        rng : Generator
            Where chance comes from.

        Returns
        -------
        ndarray of float32, (3, H, W), or (10, 3, H, W) with `TenCrop`; channels last in memory.
        """
        from PIL import Image

        image = Image.fromarray(picture) if isinstance(picture, np.ndarray) else picture
        for transform in self._on_pictures:
            image = transform(image, rng)
        x = np.asarray(image.convert("RGB"), np.float32) / 255
        for transform in self._on_arrays:
            x = transform(x, rng)
        return np.moveaxis(np.ascontiguousarray(x), -1, -3)

    @cached_property
    def output_shape(self) -> tuple[int, ...]:
        """The shape of what a call returns, found out with a blank picture."""
        return self(np.zeros((8, 8), np.uint8), np.random.default_rng(0)).shape

    def to_json(self) -> list[dict[str, Any]]:
        """Return the steps as lists, dicts, numbers and strings, ready for JSON."""
        return [transform.to_json() for transform in self.transforms]

    @classmethod
    def from_json(cls, steps: Any) -> Pipeline:
        """Return the pipeline that `to_json` described.

        Raises
        ------
        ValueError
            If this is no such description.
        """
        if not isinstance(steps, list) or not all(isinstance(step, dict) for step in steps):
            raise ValueError(f"a pipeline's description must be a list of dicts, got {steps!r:.200}")
        transforms = []
        for step in steps:
            values = dict(step)
            name = values.pop("name", None)
            if name not in BY_NAME:
                raise ValueError(f"a pipeline's steps are {', '.join(BY_NAME)}, got {name!r}")
            try:
                transforms.append(BY_NAME[name].from_json(values))
            except (TypeError, ValueError, KeyError) as error:
                raise ValueError(f"the step {name} can't be made of {values!r:.200}: {error}") from None
        return cls(transforms)


def training_pipeline(statistics: Statistics, recipe: str = "simple") -> Pipeline:
    """Return what is done to pictures that are trained on.

    Parameters
    ----------
    statistics : Statistics
        Of the training pictures. With a mean image of 256 x 256, "paper" takes the mean off pixel by pixel, else
        colour by colour.
    recipe : {"simple", "paper"}
        "simple": the middle square, scaled to 227 x 227. "paper": the middle square scaled to 256 x 256, of which a
        random part of 227 x 227 is taken, mirrored or not, with colour noise. Both end with about zero mean and unit
        deviation.
    """
    _check_recipe(recipe)
    if recipe == "simple":
        return evaluation_pipeline(statistics, recipe)
    noise = PCAColorJitter(statistics.eigenvalues, statistics.eigenvectors)
    before, normalize = _mean_subtraction(statistics)
    return Pipeline([ResizeCenterCrop(256), *before, RandomCrop(IMAGE_SIZE), RandomHorizontalFlip(), noise, normalize])


def evaluation_pipeline(statistics: Statistics, recipe: str = "simple") -> Pipeline:
    """Return what is done to pictures that are to be named; nothing of it is left to chance. See also `ten_cropped`.

    Parameters
    ----------
    statistics : Statistics
        Of the training pictures.
    recipe : {"simple", "paper"}
        That of the training. "paper": the middle 227 x 227 of 256 x 256.
    """
    _check_recipe(recipe)
    if recipe == "simple":
        return Pipeline([ResizeCenterCrop(IMAGE_SIZE), Normalize(statistics.mean, statistics.std)])
    before, normalize = _mean_subtraction(statistics)
    return Pipeline([ResizeCenterCrop(256), *before, CenterCrop(IMAGE_SIZE), normalize])


def ten_cropped(pipeline: Pipeline) -> Pipeline:
    """Return the pipeline that takes ten crops where the given one takes the middle of a picture.

    They are the corners and the middle, and the mirror images of these five; the network's answers to them are
    averaged. Of a pipeline that crops nothing, the middle square is scaled to 256 x 256 for this, instead of to the
    network's size.

    Raises
    ------
    ValueError
        If the pipeline takes no part of a picture in whose place ten can be taken.

    References
    ----------
    A. Krizhevsky, I. Sutskever and G. Hinton, "ImageNet Classification with Deep Convolutional Neural Networks", 2012,
    section 4.1.
    """
    steps: list[Transform] = []
    if any(isinstance(step, CenterCrop | TenCrop) for step in pipeline.transforms):
        steps = [TenCrop(step.size) if isinstance(step, CenterCrop) else step for step in pipeline.transforms]
    else:
        for step in pipeline.transforms:
            steps += [ResizeCenterCrop(256), TenCrop(step.size)] if isinstance(step, ResizeCenterCrop) else [step]
    if not any(isinstance(step, TenCrop) for step in steps):
        names = ", ".join(type(step).__name__ for step in pipeline.transforms)
        raise ValueError(f"ten crops need a pipeline with a ResizeCenterCrop or a CenterCrop, got {names or 'none'}")
    return Pipeline(steps)


def _mean_subtraction(statistics: Statistics) -> tuple[list[Transform], Normalize]:
    """Return what takes the mean off: a step before the crop, if it is done pixel by pixel, and the last step."""
    if statistics.mean_image is None:
        return [], Normalize(statistics.mean, statistics.std)
    return [SubtractMeanImage(statistics.mean_image)], Normalize((0.0, 0.0, 0.0), statistics.std)


def _check_recipe(recipe: str) -> None:
    if recipe not in RECIPES:
        raise ValueError(f"recipe must be one of {', '.join(RECIPES)}, got {recipe!r}")
