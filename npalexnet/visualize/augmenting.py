"""Figures of preprocessing: augmentation in training, crops in evaluation."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from npalexnet.alexnet import IMAGE_SIZE
from npalexnet.data import transforms as T
from npalexnet.data.arguments import as_image
from npalexnet.data.datasets import ArrayDataset
from npalexnet.data.statistics import Statistics
from npalexnet.visualize.figures import new_figure

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from npalexnet.data.datasets import Picture

SIDE = 256  # of the square that the crops are taken from


def augmentations(pictures: Sequence[Picture], statistics: Statistics | None = None, *, seed: int = 0) -> Figure:
    """Show the paper's augmentation of pictures step by step, a row for each.

    Parameters
    ----------
    pictures : sequence of PIL.Image or ndarray of uint8, (H, W) or (H, W, 3)
    statistics : Statistics, optional
        For the principal components of the colour noise; by default measured on these pictures.
    seed : int
        Of the random crops and colours.
    """
    if not len(pictures):
        raise ValueError("there is no picture to show")
    rng = np.random.default_rng(seed)
    images = [as_image(picture).convert("RGB") for picture in pictures]
    squares = np.stack([np.asarray(T.ResizeCenterCrop(SIDE)(image, rng)) for image in images])  # (N, 256, 256, 3)
    if statistics is None:
        statistics = Statistics.fit(ArrayDataset(squares, np.zeros(len(squares), np.int64), ["picture"]))
    crop, noise = T.RandomCrop(IMAGE_SIZE), T.PCAColorJitter(statistics.eigenvalues, statistics.eigenvectors)
    figure = new_figure(12, 1.45 * len(images) + 0.4, dpi=80)
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
            _show(axes, title if image is images[0] else "", array)
    return figure


def evaluation_crops(picture: Picture, statistics: Statistics) -> Figure:
    """Show the preprocessing of a picture for prediction: mean subtraction, the centre crop, the ten crops.

    Parameters
    ----------
    picture : PIL.Image or ndarray of uint8, (H, W) or (H, W, 3)
    statistics : Statistics
        Of the training pictures, with their mean picture: ``Statistics.fit(dataset, mean_image=256)``.

    Raises
    ------
    ValueError
        If the statistics have no mean picture of 256 x 256.

    """
    mean = statistics.mean_image
    if mean is None or mean.shape != (SIDE, SIDE, 3):
        raise ValueError(
            f"statistics must have a mean picture of shape {(SIDE, SIDE, 3)}, as Statistics.fit(dataset, "
            f"mean_image={SIDE}) makes it, got {'none' if mean is None else f'one of shape {mean.shape}'}"
        )
    rng = np.random.default_rng(0)  # not used: none of these transforms is random
    image = as_image(picture).convert("RGB")
    square = np.asarray(T.ResizeCenterCrop(SIDE)(image, rng), np.float32) / 255  # (256, 256, 3)
    by_pixel, by_channel = T.SubtractMeanImage(mean)(square, rng), T.Normalize(statistics.mean)(square, rng)
    ten = T.TenCrop(IMAGE_SIZE)(square, rng)  # (10, 227, 227, 3)
    names = "top left", "top right", "bottom left", "bottom right", "middle"
    shown: list[tuple[str, Any]] = [
        ("the picture", image),
        ("its middle square,\n256 x 256", square),
        ("the mean picture", mean),
        ("the square less it,\npixel by pixel", by_pixel / 2 + 0.5),  # from [-1, 1]: 0 is middle grey
        ("the mean colour", np.full((SIDE, SIDE, 3), statistics.mean)),
        ("the square less it,\nchannel by channel", by_channel / 2 + 0.5),
        ("the centre crop,\n227 x 227", T.CenterCrop(IMAGE_SIZE)(square, rng)),
        *zip([*names, *(f"{name},\nmirrored" for name in names)], ten, strict=True),
    ]
    figure = new_figure(9.6, 5.6, dpi=80)
    grid = figure.add_gridspec(3, 6)
    ten_places = [grid[row, column] for row in (1, 2) for column in range(1, 6)]
    places = [*(grid[0, column] for column in range(6)), grid[1:, 0], *ten_places]
    for place, (title, array) in zip(places, shown, strict=True):
        _show(figure.add_subplot(place), title, array)
    return figure


def _show(axes: Axes, title: str, array: Any) -> None:
    """Show a picture, or a float array (H, W, 3), clipped to 0 to 1."""
    axes.imshow(np.clip(array, 0, 1) if isinstance(array, np.ndarray) else array)
    axes.set_axis_off()
    axes.set_title(title, size=8)
