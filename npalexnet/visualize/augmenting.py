"""What augmentation makes of pictures."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from npalexnet.data.datasets import Picture
    from npalexnet.data.statistics import Statistics


def augmentations(pictures: Sequence[Picture], statistics: Statistics | None = None, *, seed: int = 0) -> Figure:
    """Show what the 2012 recipe makes of pictures: a row for each, step by step.

    Parameters
    ----------
    pictures : sequence of PIL.Image or ndarray of uint8, (H, W) or (H, W, 3)
    statistics : Statistics, optional
        Where the directions of the colour noise come from; by default these pictures.
    seed : int
        Of the draws.
    """
    from matplotlib.figure import Figure
    from PIL import Image

    from npalexnet.alexnet import IMAGE_SIZE
    from npalexnet.data import ArrayDataset, ColourNoise, MiddleSquare, RandomCrop, Statistics

    if not len(pictures):
        raise ValueError("there is no picture to show")
    rng = np.random.default_rng(seed)
    images = [Image.fromarray(picture) if isinstance(picture, np.ndarray) else picture for picture in pictures]
    images = [image.convert("RGB") for image in images]
    squares = np.stack([np.asarray(MiddleSquare(256)(image, rng)) for image in images])  # (N, 256, 256, 3)
    if statistics is None:
        statistics = Statistics.fit(ArrayDataset(squares, np.zeros(len(squares), np.int64), ["picture"]))
    crop, noise = RandomCrop(IMAGE_SIZE), ColourNoise(statistics.eigenvalues, statistics.eigenvectors)
    figure = Figure(figsize=(12, 1.45 * len(images) + 0.4), dpi=80, layout="constrained")
    grid = figure.subplots(len(images), 8, squeeze=False)
    for row, image, square in zip(grid, images, squares.astype(np.float32) / 255, strict=True):
        part, other = crop(square, rng), crop(square, rng)
        noisy = noise(part, rng)
        shown: dict[str, Any] = {
            "the picture": image,
            "its middle square,\n256 x 256": square,
            "a random part,\n227 x 227": part,
            "another": other,
            "the first,\nmirrored": part[:, ::-1],
            "the first,\nwith colour noise": noisy,
            "and that noise five\ntimes as strong": part + 5 * (noisy - part),
            "another noise": noise(part, rng),
        }
        for axes, (title, array) in zip(row, shown.items(), strict=True):
            axes.imshow(np.clip(array, 0, 1) if isinstance(array, np.ndarray) else array)
            axes.set_axis_off()
            axes.set_title(title if image is images[0] else "", size=8)
    return figure
