"""Pipelines of transforms: from a picture to the network's input."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from npalexnet.alexnet import IMAGE_SIZE
from npalexnet.data import transforms as T
from npalexnet.data.arguments import as_image
from npalexnet.data.resized_crop import RandomResizedCrop
from npalexnet.data.statistics import Statistics
from npalexnet.fields import Int, Kind, List, Record

if TYPE_CHECKING:
    from npalexnet.data.datasets import Picture

MOST_STEPS, LARGEST_SIZE = 32, 1024  # in files: more would take memory that no network of this project needs
AUGMENTATIONS = ("simple", "crops", "paper", "resized")
PIXELS = ("std", "255")
ON_PICTURES = (T.ResizeCenterCrop, RandomResizedCrop)
BY_NAME: dict[str, type[T.Transform]] = {  # in files: these names stay, whatever the classes are called
    "MiddleSquare": T.ResizeCenterCrop,
    "CentreCrop": T.CenterCrop,
    "RandomCrop": T.RandomCrop,
    "Mirror": T.RandomHorizontalFlip,
    "ColourNoise": T.PCAColorJitter,
    "Normalize": T.Normalize,
    "SubtractMeanImage": T.SubtractMeanImage,
    "TenCrop": T.TenCrop,
    "RandomResizedCrop": RandomResizedCrop,
}
NAME_IN_FILES = {kind: name for name, kind in BY_NAME.items()}


class Pipeline:
    """Applies transforms one after the other.

    Parameters
    ----------
    transforms : sequence of Transform
        The transforms of pictures first, then those of arrays; between the two the picture becomes float32, (H, W, 3),
        from 0 to 1.
    """

    def __init__(self, transforms: Sequence[T.Transform]) -> None:
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
            For the random transforms.

        Returns
        -------
        ndarray of float32, (3, H, W), or (10, 3, H, W) with `TenCrop`; channels last in memory.

        Raises
        ------
        TypeError, ValueError
            If it is no such picture.
        """
        image = as_image(picture)
        for transform in self._on_pictures:
            image = transform(image, rng)
        x = np.asarray(image.convert("RGB"), np.float32) / 255
        for transform in self._on_arrays:
            x = transform(x, rng)
        return np.moveaxis(np.ascontiguousarray(x), -1, -3)

    @cached_property
    def output_shape(self) -> tuple[int, ...]:
        """The shape of a call's result, (3, H, W) or (10, 3, H, W)."""
        return self(np.zeros((8, 8), np.uint8), np.random.default_rng(0)).shape

    def to_json(self) -> list[dict[str, Any]]:
        """Return the transforms' names and parameters, ready for JSON."""
        names = [NAME_IN_FILES.get(type(transform), type(transform).__name__) for transform in self.transforms]
        return [{"name": name, **step.to_json()} for name, step in zip(names, self.transforms, strict=True)]

    @classmethod
    def from_json(cls, steps: Any) -> Pipeline:
        """Return the pipeline that `to_json` described.

        Raises
        ------
        ValueError
            If `steps` is no such description.
        """
        if not isinstance(steps, list) or not all(isinstance(step, dict) for step in steps):
            raise ValueError(f"a pipeline's description must be a list of dicts, got {steps!r:.200}")
        transforms = []
        for step in List(Record({}, others=Kind()), 0, MOST_STEPS).check(steps, "pipeline"):
            values = dict(step)
            name = values.pop("name", None)
            if not isinstance(name, str) or name not in BY_NAME:
                raise ValueError(f"a pipeline's steps are {', '.join(BY_NAME)}, got {name!r:.80}")
            if "size" in values:
                Int(1, LARGEST_SIZE).check(values["size"], f"the size of {name}")
            try:
                transforms.append(BY_NAME[name].from_json(values))
            except (TypeError, ValueError, KeyError, OverflowError) as error:
                raise ValueError(f"the step {name} can't be made of {values!r:.200}: {error}") from None
        return cls(transforms)


def training_pipeline(
    statistics: Statistics, augment: str = "simple", *, pixels: str = "std", image_size: int = IMAGE_SIZE
) -> Pipeline:
    """Return the pipeline for training.

    Parameters
    ----------
    statistics : Statistics
        Of the training pictures. With a mean image of 256 x 256, "crops" and "paper" subtract the mean pixel by
        pixel, else colour by colour.
    augment : {"simple", "crops", "paper", "resized"}
        "simple": the middle square, scaled to 227 x 227. "crops": the middle square, scaled to 256 x 256, then a random
        crop of 227 x 227 and a random horizontal flip. "paper": the same, and PCA colour jitter. "resized": a crop of
        random size and shape, scaled to 227 x 227, and a random horizontal flip.
    pixels : {"std", "255"}
        How large the numbers are, when the mean is subtracted. "std": divided by each colour's standard deviation.
        "255": as they are in the pictures, from 0 to 255, as the paper and Caffe have them.
    image_size : int
        Height and width of the network's images, instead of 227; at most 256 for "crops" and "paper".
    """
    _check(augment, pixels)
    if augment == "simple":
        return evaluation_pipeline(statistics, augment, pixels=pixels, image_size=image_size)
    if augment == "resized":
        normalize = T.Normalize(statistics.mean, _divisor(statistics, pixels))
        return Pipeline([RandomResizedCrop(image_size), T.RandomHorizontalFlip(), normalize])
    jitter = [T.PCAColorJitter(statistics.eigenvalues, statistics.eigenvectors)] if augment == "paper" else []
    before, normalize = _mean_subtraction(statistics, pixels)
    return Pipeline(
        [T.ResizeCenterCrop(256), *before, T.RandomCrop(image_size), T.RandomHorizontalFlip(), *jitter, normalize]
    )


def evaluation_pipeline(
    statistics: Statistics, augment: str = "simple", *, pixels: str = "std", image_size: int = IMAGE_SIZE
) -> Pipeline:
    """Return the pipeline for validation and prediction, which is deterministic. See also `ten_cropped`.

    Parameters
    ----------
    statistics : Statistics
        Of the training pictures.
    augment : {"simple", "crops", "paper", "resized"}
        What training was given. All but "simple": the middle 227 x 227 of 256 x 256.
    pixels : {"std", "255"}
    image_size : int
        As for `training_pipeline`.
    """
    _check(augment, pixels)
    if augment == "simple":
        return Pipeline([T.ResizeCenterCrop(image_size), T.Normalize(statistics.mean, _divisor(statistics, pixels))])
    if augment == "resized":  # whose training pictures have no place in a mean image
        statistics = replace(statistics, mean_image=None)
    before, normalize = _mean_subtraction(statistics, pixels)
    return Pipeline([T.ResizeCenterCrop(256), *before, T.CenterCrop(image_size), normalize])


def ten_cropped(pipeline: Pipeline) -> Pipeline:
    """Return a pipeline with ten crops in the place of the centre crop.

    They are the corners and the middle, and the mirror images of these five; the network's predictions for them are
    averaged. Where there is no centre crop, the middle square is scaled to 256 x 256 instead of to the network's size,
    and the ten crops follow.

    Raises
    ------
    ValueError
        If the pipeline has neither a `CenterCrop` nor a `ResizeCenterCrop`.

    References
    ----------
    A. Krizhevsky, I. Sutskever and G. Hinton, "ImageNet Classification with Deep Convolutional Neural Networks", 2012,
    section 4.1.
    """
    steps: list[T.Transform] = []
    if any(isinstance(step, T.CenterCrop | T.TenCrop) for step in pipeline.transforms):
        steps = [T.TenCrop(step.size) if isinstance(step, T.CenterCrop) else step for step in pipeline.transforms]
    else:
        for step in pipeline.transforms:
            steps += [T.ResizeCenterCrop(256), T.TenCrop(step.size)] if isinstance(step, T.ResizeCenterCrop) else [step]
    if not any(isinstance(step, T.TenCrop) for step in steps):
        names = ", ".join(type(step).__name__ for step in pipeline.transforms)
        raise ValueError(f"ten crops need a pipeline with a ResizeCenterCrop or a CenterCrop, got {names or 'none'}")
    return Pipeline(steps)


def _divisor(statistics: Statistics, pixels: str) -> T.Triple:
    """Return what colours from 0 to 1 are divided by."""
    return statistics.std if pixels == "std" else (1 / 255, 1 / 255, 1 / 255)


def _mean_subtraction(statistics: Statistics, pixels: str) -> tuple[list[T.Transform], T.Normalize]:
    """Return the transforms before the crop, which subtract a mean image if there is one, and the last transform."""
    divisor = _divisor(statistics, pixels)
    if statistics.mean_image is None:
        return [], T.Normalize(statistics.mean, divisor)
    return [T.SubtractMeanImage(statistics.mean_image)], T.Normalize((0.0, 0.0, 0.0), divisor)


def _check(augment: str, pixels: str) -> None:
    if augment not in AUGMENTATIONS:
        raise ValueError(f"augment must be one of {', '.join(AUGMENTATIONS)}, got {augment!r}")
    if pixels not in PIXELS:
        raise ValueError(f"pixels must be one of {', '.join(PIXELS)}, got {pixels!r}")
