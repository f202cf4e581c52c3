"""What is done to a picture on its way into the network, step by step.

Each step is a small frozen dataclass, called as ``step(x, rng)``. Those in `ON_PICTURES` get and give a PIL picture,
all others an array of float32, (H, W, 3), red, green and blue from 0 to 1. `Pipeline` puts them together. `rng`, a
NumPy generator, is where chance comes from.

"The paper" is A. Krizhevsky, I. Sutskever and G. Hinton, *ImageNet Classification with Deep Convolutional Neural
Networks*, 2012. It speaks of 224 pixels; its network's geometry needs 227.
"""

from __future__ import annotations

import base64
from dataclasses import dataclass, fields
from math import isfinite
from typing import TYPE_CHECKING, Any, Self

import numpy as np

if TYPE_CHECKING:
    from PIL.Image import Image

Triple = tuple[float, float, float]


class Transform:
    """What all steps have in common: they go to JSON and come back."""

    def __call__(self, x: Any, rng: np.random.Generator) -> Any:
        """Return the step's result for a picture, or array, which is not changed."""
        raise NotImplementedError

    def to_json(self) -> dict[str, Any]:
        """Return the step's name and numbers, ready for JSON."""
        values = {field.name: getattr(self, field.name) for field in fields(self)}  # type: ignore[arg-type]
        return {"name": NAME_IN_FILES[type(self)], **values}

    @classmethod
    def from_json(cls, values: dict[str, Any]) -> Self:
        """Return a step from its numbers; those that don't fit raise TypeError or ValueError."""
        return cls(**values)


@dataclass(frozen=True)
class ResizeCenterCrop(Transform):
    """Scales a picture until its shorter side has `size` pixels, and takes the square in the middle.

    The paper, section 2: "rescaled the image such that the shorter side was of length 256, and then cropped out the
    central 256 x 256 patch". Both are done at once, bilinearly, over more pixels where the picture gets smaller. What
    lies outside of the square is never computed.
    """

    size: int = 256

    def __post_init__(self) -> None:
        _check_size(self.size)

    def __call__(self, picture: Image, rng: np.random.Generator) -> Image:
        """Return a square picture."""
        from PIL import Image, ImageOps

        return ImageOps.fit(picture, (self.size, self.size), Image.Resampling.BILINEAR)


@dataclass(frozen=True)
class CenterCrop(Transform):
    """Takes the square in the middle.

    For looking at one part of a picture in evaluation; training takes a `RandomCrop`.
    """

    size: int = 227

    def __post_init__(self) -> None:
        _check_size(self.size)

    def __call__(self, x: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """(H, W, 3) -> (size, size, 3)."""
        down, right = _room(x, self.size)
        return _crop(x, down // 2, right // 2, self.size)


@dataclass(frozen=True)
class RandomCrop(Transform):
    """Takes a square at a random place, every place as probable as any other.

    The paper, section 4.1, first form of data augmentation: "extracting random 224 x 224 patches ... from the
    256 x 256 images".
    """

    size: int = 227

    def __post_init__(self) -> None:
        _check_size(self.size)

    def __call__(self, x: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """(H, W, 3) -> (size, size, 3)."""
        down, right = _room(x, self.size)
        return _crop(x, int(rng.integers(down + 1)), int(rng.integers(right + 1)), self.size)


@dataclass(frozen=True)
class RandomHorizontalFlip(Transform):
    """Swaps left and right, with probability `p`.

    The paper, section 4.1, first form of data augmentation: "(and their horizontal reflections)".
    """

    p: float = 0.5

    def __post_init__(self) -> None:
        if not 0 <= self.p <= 1:
            raise ValueError(f"p must be from 0 to 1, got {self.p!r}")

    def __call__(self, x: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """(H, W, 3) -> (H, W, 3)."""
        return x[:, ::-1] if rng.random() < self.p else x


@dataclass(frozen=True)
class PCAColorJitter(Transform):
    """Shifts all pixels of a picture by one random colour, along the directions in which the data's colours vary.

    The paper, section 4.1, second form of data augmentation: to each pixel [p1, p2, p3] [a1 l1, a2 l2, a3 l3]^T is
    added, where p and l are the eigenvectors and eigenvalues of the 3 x 3 covariance of the data's RGB values, and each
    a is drawn from N(0, sigma^2) once for each use of a picture.

    Here l is an eigenvalue's square root, the standard deviation in its direction, as it is in the program of the
    paper's first author (``color_stdevs`` in cuda-convnet2): an eigenvalue itself is a square of colours, so what it
    adds would depend on whether these are counted to 1 or to 255.

    Parameters
    ----------
    eigenvalues : three floats
        See `Statistics`.
    eigenvectors : three rows of three floats
        The columns are the vectors, in the order of the eigenvalues.
    sigma : float
        The paper's 0.1.
    """

    eigenvalues: Triple
    eigenvectors: tuple[Triple, Triple, Triple]
    sigma: float = 0.1

    def __post_init__(self) -> None:
        object.__setattr__(self, "eigenvalues", _triple("eigenvalues", self.eigenvalues))
        if not isinstance(self.eigenvectors, list | tuple) or len(self.eigenvectors) != 3:
            raise ValueError(f"eigenvectors must be three rows, got {self.eigenvectors!r}")
        object.__setattr__(self, "eigenvectors", tuple(_triple("eigenvectors", row) for row in self.eigenvectors))
        if min(self.eigenvalues) < 0 or not self.sigma >= 0:
            raise ValueError(f"eigenvalues and sigma must not be negative, got {self.eigenvalues}, {self.sigma!r}")

    def __call__(self, x: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """(H, W, 3) -> (H, W, 3)."""
        shares = rng.normal(0, self.sigma, 3) * np.sqrt(self.eigenvalues)
        shift = (np.array(self.eigenvectors) * shares).sum(axis=1)  # of red, green and blue
        return x + shift.astype(np.float32)


@dataclass(frozen=True)
class Normalize(Transform):
    """Takes the mean colour off, and divides by the deviation: ``(x - mean) / std``, colour by colour.

    The paper, section 2, takes only a mean off, and has colours from 0 to 255. To divide as well brings every data
    set's numbers to the magnitude that initialisations and learning rates reckon with.
    """

    mean: Triple
    std: Triple = (1.0, 1.0, 1.0)

    def __post_init__(self) -> None:
        object.__setattr__(self, "mean", _triple("mean", self.mean))
        object.__setattr__(self, "std", _triple("std", self.std))
        if min(self.std) <= 0:
            raise ValueError(f"std must be above 0, got {self.std}")

    def __call__(self, x: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """(..., 3) -> (..., 3)."""
        y = x - np.array(self.mean, np.float32)
        y /= np.array(self.std, np.float32)
        return y


@dataclass(frozen=True, eq=False)
class SubtractMeanImage(Transform):
    """Takes the training pictures' mean off, pixel by pixel.

    The paper, section 2: "subtracting the mean activity over the training set from each pixel". So it comes before a
    crop.

    Parameters
    ----------
    image : ndarray of float32, (H, W, 3)
        The mean of pictures of this size, from 0 to 1.
    """

    image: np.ndarray

    def __post_init__(self) -> None:
        if self.image.ndim != 3 or self.image.shape[2] != 3 or not np.isfinite(self.image).all():
            raise ValueError(f"image must be finite numbers of shape (H, W, 3), got shape {self.image.shape}")
        object.__setattr__(self, "image", self.image.astype(np.float32))

    def __call__(self, x: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """(H, W, 3) -> (H, W, 3)."""
        if x.shape != self.image.shape:
            raise ValueError(f"the mean image has shape {self.image.shape}, the picture {x.shape}")
        return x - self.image

    def to_json(self) -> dict[str, Any]:
        """Return the image as text: its numbers' bytes, little-endian, in base64."""
        numbers = base64.b64encode(self.image.astype("<f4").tobytes()).decode("ascii")
        return {"name": type(self).__name__, "shape": self.image.shape, "float32": numbers}

    @classmethod
    def from_json(cls, values: dict[str, Any]) -> Self:
        """Read what `to_json` gave."""
        numbers = np.frombuffer(base64.b64decode(values["float32"], validate=True), "<f4")
        return cls(numbers.reshape(values["shape"]))


@dataclass(frozen=True)
class TenCrop(Transform):
    """Takes ten squares: the four corners and the middle, then their mirror images in the same order.

    The paper, section 4.1: the network's predictions for the ten are averaged.
    """

    size: int = 227

    def __post_init__(self) -> None:
        _check_size(self.size)

    def __call__(self, x: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """(H, W, 3) -> (10, size, size, 3)."""
        down, right = _room(x, self.size)
        places = ((0, 0), (0, right), (down, 0), (down, right), (down // 2, right // 2))
        five = np.stack([_crop(x, top, left, self.size) for top, left in places])
        return np.concatenate([five, five[:, :, ::-1]])


ON_PICTURES = (ResizeCenterCrop,)
BY_NAME: dict[str, type[Transform]] = {  # in files: these names stay, whatever the classes are called
    "MiddleSquare": ResizeCenterCrop,
    "CentreCrop": CenterCrop,
    "RandomCrop": RandomCrop,
    "Mirror": RandomHorizontalFlip,
    "ColourNoise": PCAColorJitter,
    "Normalize": Normalize,
    "SubtractMeanImage": SubtractMeanImage,
    "TenCrop": TenCrop,
}
NAME_IN_FILES = {kind: name for name, kind in BY_NAME.items()}


def _check_size(size: Any) -> None:
    if not isinstance(size, int) or isinstance(size, bool) or size < 1:
        raise ValueError(f"size must be a whole number above 0, got {size!r}")


def _triple(name: str, values: Any) -> Triple:
    if not (
        isinstance(values, list | tuple)
        and len(values) == 3
        and all(isinstance(value, int | float) and isfinite(value) for value in values)
    ):
        raise ValueError(f"{name} must be finite numbers, three in a row, for red, green and blue, got {values!r}")
    return (float(values[0]), float(values[1]), float(values[2]))


def _room(x: np.ndarray, size: int) -> tuple[int, int]:
    """Return by how many pixels a square of `size` can move down and right."""
    height, width = x.shape[:2]
    if height < size or width < size:
        raise ValueError(f"no square of {size} pixels fits into a picture of {height} x {width}")
    return height - size, width - size


def _crop(x: np.ndarray, top: int, left: int, size: int) -> np.ndarray:
    return x[top : top + size, left : left + size]
