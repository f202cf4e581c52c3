"""Pictures of training and of what was learnt, as matplotlib figures. Needs matplotlib."""

from __future__ import annotations

from collections.abc import Sequence
from math import ceil
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from npalexnet.data.datasets import Picture
    from npalexnet.data.statistics import Statistics

SMOOTHING_STEPS = 25


def filters(weight: np.ndarray, *, grey: bool = False, columns: int = 12) -> Figure:
    """Show a first layer's filters as images.

    Parameters
    ----------
    weight : ndarray
        (O, 3, kH, kW). Each filter is scaled on its own by its largest magnitude: 0 is the middle grey.
    grey : bool
        For a network that saw grey images alone: their three channels are equal, so what a filter does to them is the
        sum of its three, and that is shown. Each by itself keeps the random numbers that it started with.
    columns : int
        Filters in a row.
    """
    from matplotlib.figure import Figure

    if weight.ndim != 4 or weight.shape[1] != 3:
        raise ValueError(f"weight must have shape (O, 3, kH, kW), got {weight.shape}")
    if grey:
        weight = np.broadcast_to(weight.sum(axis=1, keepdims=True), weight.shape)
    count, _, kH, kW = weight.shape
    columns = min(columns, count)
    rows = ceil(count / columns)
    pixels = weight.transpose(0, 2, 3, 1)  # (O, kH, kW, 3)
    largest = np.maximum(np.abs(pixels).max(axis=(1, 2, 3), keepdims=True), 1e-30)
    sheet = np.ones((rows * (kH + 1) - 1, columns * (kW + 1) - 1, 3))  # one white pixel between filters
    for i, image in enumerate(pixels / (2 * largest) + 0.5):
        top, left = i // columns * (kH + 1), i % columns * (kW + 1)
        sheet[top : top + kH, left : left + kW] = image
    figure = Figure(figsize=(0.7 * columns, 0.7 * rows + 0.4), dpi=120, layout="constrained")
    axes = figure.add_subplot()
    axes.imshow(sheet, interpolation="nearest")
    axes.set_axis_off()
    what = f"each scaled on its own{', summed over the colours, which grey images have equal' * grey}"
    axes.set_title(f"The {count} filters of the first convolution, {kH} x {kW} pixels,\n{what}", size=9)
    return figure


def curves(records: Sequence[dict[str, Any]]) -> Figure:
    """Plot loss and accuracy against the images seen.

    Parameters
    ----------
    records : sequence of dict
        The lines of a run's ``metrics.jsonl``: those with "loss" and "accuracy" are training steps, those with
        "test_loss" and "test_accuracy" evaluations.
    """
    from matplotlib.figure import Figure

    steps = [record for record in records if "loss" in record]
    tests = [record for record in records if "test_loss" in record]
    figure = Figure(figsize=(10, 4), dpi=120, layout="constrained")
    for axes, name, label in zip(
        figure.subplots(1, 2), ("loss", "accuracy"), ("cross-entropy loss", "images right (%)"), strict=True
    ):
        scale = 100 if name == "accuracy" else 1
        values = np.array([scale * record[name] for record in steps])
        seen = [record["images"] for record in steps]
        axes.plot(seen, values, color="tab:blue", alpha=0.25, linewidth=0.8, label="training, each batch")
        axes.plot(seen, _moving_average(values), color="tab:blue", label=f"training, mean of {SMOOTHING_STEPS} batches")
        held_out = [scale * record[f"test_{name}"] for record in tests]
        axes.plot([record["images"] for record in tests], held_out, "o-", color="tab:orange", label="held-out images")
        axes.set_xlabel("training images seen")
        axes.set_ylabel(label)
        axes.set_ylim(0, 100 if name == "accuracy" else 1.05 * max([*values, *held_out]))
        axes.grid(alpha=0.3)
        axes.legend(loc="lower right" if name == "accuracy" else "upper right")
    return figure


def _moving_average(values: np.ndarray) -> np.ndarray:
    """Mean of each value and those before it, at most `SMOOTHING_STEPS` together."""
    total = np.concatenate([[0.0], np.cumsum(values)])
    end = np.arange(1, len(values) + 1)
    start = np.maximum(0, end - SMOOTHING_STEPS)
    return (total[end] - total[start]) / (end - start)


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
