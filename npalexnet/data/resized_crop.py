"""Random crops of random size and shape."""

from __future__ import annotations

from dataclasses import dataclass
from math import exp, isfinite, log, sqrt
from typing import TYPE_CHECKING, Any

import numpy as np

from npalexnet.checks import integer, number
from npalexnet.data.transforms import Transform

if TYPE_CHECKING:
    from PIL.Image import Image

ATTEMPTS = 10  # as torchvision has it: a shape that doesn't fit into the picture is drawn again


@dataclass(frozen=True)
class RandomResizedCrop(Transform):
    """Crops a rectangle of random area, shape and place, and scales it to a square, as torchvision does.

    Parameters
    ----------
    size : int
        Pixels along each side of the result.
    scale : two floats
        From which to which part of the picture's area the rectangle has; all parts equally probable.
    ratio : two floats
        From which to which number its width is, divided by its height; their logarithms equally probable.

    References
    ----------
    C. Szegedy et al., "Going Deeper with Convolutions", 2015, section 6: from 8 % to 100 % of the area, from 3/4 to
    4/3. pytorch/vision, ``torchvision/transforms/transforms.py``: ten attempts, then the middle.
    """

    size: int = 227
    scale: tuple[float, float] = (0.08, 1.0)
    ratio: tuple[float, float] = (3 / 4, 4 / 3)

    def __post_init__(self) -> None:
        checked = {
            "size": integer("size", self.size, 1),
            "scale": _range("scale", self.scale, most=1.0),
            "ratio": _range("ratio", self.ratio, most=1e6),
        }
        for name, value in checked.items():
            object.__setattr__(self, name, value)

    def __call__(self, picture: Image, rng: np.random.Generator) -> Image:
        """Return a square picture."""
        from PIL import Image

        left, top, width, height = self.rectangle(*picture.size, rng)
        box = (left, top, left + width, top + height)
        return picture.crop(box).resize((self.size, self.size), Image.Resampling.BILINEAR)

    def rectangle(self, width: int, height: int, rng: np.random.Generator) -> tuple[int, int, int, int]:
        """Return a rectangle's left, top, width and height, in a picture of so many pixels."""
        for _ in range(ATTEMPTS):
            area = width * height * rng.uniform(*self.scale)
            shape = exp(rng.uniform(log(self.ratio[0]), log(self.ratio[1])))
            w, h = round(sqrt(area * shape)), round(sqrt(area / shape))
            if 0 < w <= width and 0 < h <= height:
                return int(rng.integers(width - w + 1)), int(rng.integers(height - h + 1)), w, h
        w = min(width, max(1, round(height * self.ratio[1])))  # as much of the middle as has an allowed shape
        h = min(height, max(1, round(width / self.ratio[0])))
        return (width - w) // 2, (height - h) // 2, w, h


def _range(name: str, values: Any, most: float) -> tuple[float, float]:
    if isinstance(values, list | tuple) and len(values) == 2 and all(isfinite(number(name, v)) for v in values):
        least, greatest = map(float, values)
        if 0 < least <= greatest <= most:
            return least, greatest
    raise ValueError(f"{name} must be two numbers above 0 and at most {most:g}, the smaller one first, got {values!r}")
