"""Transforms: the steps from a picture to the network's input, which `Pipeline` puts together.

Each is a small frozen dataclass, called as ``transform(x, rng)``, where `rng` is a NumPy generator.
`ResizeCenterCrop` takes and returns a PIL image, all others an array of float32, (H, W, 3), red, green and blue from 0
to 1.

"The paper" is A. Krizhevsky, I. Sutskever and G. Hinton, *ImageNet Classification with Deep Convolutional Neural
Networks*, 2012. It speaks of 224 pixels; its network's geometry needs 227.
"""

from __future__ import annotations

import base64
from dataclasses import dataclass, fields
from math import isfinite
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from npalexnet.checks import integer, number

if TYPE_CHECKING:
    from PIL.Image import Image

Triple = tuple[float, float, float]


class Transform:
    """A step, which can be written as JSON and read back."""

    def __call__(self, x: Any, rng: np.random.Generator) -> Any:
        """Return the transformed image; `x` itself is not changed."""
        raise NotImplementedError

    def to_json(self) -> dict[str, Any]:
        """Return the parameters, ready for JSON."""
        return {field.name: getattr(self, field.name) for field in fields(self)}  # type: ignore[arg-type]

    @classmethod
    def from_json(cls, values: dict[str, Any]) -> Self:
        """Return a transform with the parameters that `to_json` gave; wrong ones raise TypeError or ValueError."""
        return cls(**values)


@dataclass(frozen=True)
class _Crop(Transform):
    """What crops have in common: squares of `size` x `size` pixels."""

    size: int = 227

    def __post_init__(self) -> None:
        _set(self, size=integer("size", self.size, 1))

    def _room(self, x: np.ndarray) -> tuple[int, int]:
        """Return by how many pixels a square can move down and right."""
        height, width = x.shape[:2]
        if height < self.size or width < self.size:
            raise ValueError(f"no square of {self.size} pixels fits into a picture of {height} x {width}")
        return height - self.size, width - self.size

    def _square(self, x: np.ndarray, top: int, left: int) -> np.ndarray:
        return x[top : top + self.size, left : left + self.size]


@dataclass(frozen=True)
class ResizeCenterCrop(_Crop):
    """Scales a picture until its shorter side has `size` pixels, and crops the square in the middle.

    The paper, section 2: "rescaled the image such that the shorter side was of length 256, and then cropped out the
    central 256 x 256 patch". Both are done at once, bilinearly, with a wider filter where the picture is scaled down.
    What lies outside of the square is never computed.
    """

    size: int = 256

    def __call__(self, picture: Image, rng: np.random.Generator) -> Image:
        """Return a square picture."""
        from PIL import Image, ImageOps

        return ImageOps.fit(picture, (self.size, self.size), Image.Resampling.BILINEAR)


class CenterCrop(_Crop):
    """Crops the square in the middle: for evaluation, where training takes a `RandomCrop`."""

    def __call__(self, x: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """(H, W, 3) -> (size, size, 3)."""
        down, right = self._room(x)
        return self._square(x, down // 2, right // 2)


class RandomCrop(_Crop):
    """Crops a square at a random place, all places equally probable.

    The paper, section 4.1, first form of data augmentation: "extracting random 224 x 224 patches ... from the
    256 x 256 images".
    """

    def __call__(self, x: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """(H, W, 3) -> (size, size, 3)."""
        down, right = self._room(x)
        return self._square(x, int(rng.integers(down + 1)), int(rng.integers(right + 1)))


class TenCrop(_Crop):
    """Crops ten squares: the four corners and the middle, then their mirror images in the same order.

    The paper, section 4.1: the network's predictions for the ten are averaged.
    """

    def __call__(self, x: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """(H, W, 3) -> (10, size, size, 3)."""
        down, right = self._room(x)
        places = ((0, 0), (0, right), (down, 0), (down, right), (down // 2, right // 2))
        five = np.stack([self._square(x, top, left) for top, left in places])
        return np.concatenate([five, five[:, :, ::-1]])


@dataclass(frozen=True)
class RandomHorizontalFlip(Transform):
    """Mirrors a picture left to right with probability `p`.

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
        if not isinstance(self.eigenvectors, list | tuple) or len(self.eigenvectors) != 3:
            raise ValueError(f"eigenvectors must be three rows, got {self.eigenvectors!r}")
        rows = tuple(_triple("eigenvectors", row) for row in self.eigenvectors)
        _set(self, eigenvalues=_triple("eigenvalues", self.eigenvalues), eigenvectors=rows)
        if min(self.eigenvalues) < 0 or not self.sigma >= 0:
            raise ValueError(f"eigenvalues and sigma must not be negative, got {self.eigenvalues}, {self.sigma!r}")

    def __call__(self, x: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """(H, W, 3) -> (H, W, 3)."""
        along = rng.normal(0, self.sigma, 3) * np.sqrt(self.eigenvalues)  # each eigenvector
        shift = (np.array(self.eigenvectors) * along).sum(axis=1)  # of red, green and blue
        return x + shift.astype(np.float32)


@dataclass(frozen=True)
class Normalize(Transform):
    """Standardises each colour: ``(x - mean) / std``.

    The paper, section 2, subtracts a mean alone, and its colours go from 0 to 255. Dividing by the standard deviation
    as well brings every data set to the scale that initialisations and learning rates are made for.
    """

    mean: Triple
    std: Triple = (1.0, 1.0, 1.0)

    def __post_init__(self) -> None:
        _set(self, mean=_triple("mean", self.mean), std=_triple("std", self.std))
        if np.float32(min(self.std)) <= 0:
            raise ValueError(f"std must be above 0, got {self.std}")

    def __call__(self, x: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """(..., 3) -> (..., 3)."""
        y = x - np.array(self.mean, np.float32)
        y /= np.array(self.std, np.float32)
        return y


@dataclass(frozen=True, eq=False)
class SubtractMeanImage(Transform):
    """Subtracts the training pictures' mean, pixel by pixel, and so comes before a crop.

    The paper, section 2: "subtracting the mean activity over the training set from each pixel".

    Parameters
    ----------
    image : ndarray of float32, (H, W, 3)
        The mean of pictures of this size, from 0 to 1.
    """

    image: np.ndarray

    def __post_init__(self) -> None:
        if self.image.ndim != 3 or self.image.shape[2] != 3 or not np.isfinite(self.image).all():
            raise ValueError(f"image must be finite numbers of shape (H, W, 3), got shape {self.image.shape}")
        _set(self, image=self.image.astype(np.float32))

    def __call__(self, x: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """(H, W, 3) -> (H, W, 3)."""
        if x.shape != self.image.shape:
            raise ValueError(f"the mean image has shape {self.image.shape}, the picture {x.shape}")
        return x - self.image

    def to_json(self) -> dict[str, Any]:
        """Return the image as text: float32, little-endian, in base64."""
        numbers = base64.b64encode(self.image.astype("<f4").tobytes()).decode("ascii")
        return {"shape": self.image.shape, "float32": numbers}

    @classmethod
    def from_json(cls, values: dict[str, Any]) -> Self:
        """Return the transform that `to_json` described."""
        numbers = np.frombuffer(base64.b64decode(values["float32"], validate=True), "<f4")
        return cls(numbers.reshape(values["shape"]))


def _set(transform: Transform, **values: Any) -> None:
    """Set attributes of a frozen dataclass: its arguments as they are after they were checked."""
    for name, value in values.items():
        object.__setattr__(transform, name, value)


def _triple(name: str, values: Any) -> Triple:
    if not (isinstance(values, list | tuple) and len(values) == 3 and all(isfinite(number(name, v)) for v in values)):
        raise ValueError(f"{name} must be three finite numbers, for red, green and blue, got {values!r}")
    red, green, blue = map(float, values)
    if max(abs(red), abs(green), abs(blue)) > 1e30:  # they are used in float32
        raise ValueError(f"{name} must be from -1e30 to 1e30, got {values!r}")
    return red, green, blue
