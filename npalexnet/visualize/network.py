"""Figures of a network: its filters, and its feature maps for an image."""

from __future__ import annotations

from collections.abc import Sequence
from math import ceil
from typing import TYPE_CHECKING, Any

import numpy as np

from npalexnet import backend
from npalexnet.layers.layer import Layer
from npalexnet.visualize.activations import activations, check_image
from npalexnet.visualize.figures import displayable, image_grid, new_figure, shortened

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def filters(weight: np.ndarray, *, grey: bool = False, columns: int = 12) -> Figure:
    """Show a first layer's filters as images.

    Parameters
    ----------
    weight : ndarray
        (O, 3, kH, kW). Each filter is scaled on its own by its largest magnitude: 0 is middle grey.
    grey : bool
        For a network trained on grey images alone: their three channels are equal, so that only the sum of a filter's
        three channels matters, which is shown. The differences between them are still the initial random numbers.
    columns : int
        Filters in a row.
    """
    if weight.ndim != 4 or weight.shape[1] != 3:
        raise ValueError(f"weight must have shape (O, 3, kH, kW), got {weight.shape}")
    if grey:
        weight = np.broadcast_to(weight.sum(axis=1, keepdims=True), weight.shape)
    count, _, kH, kW = weight.shape
    columns = min(columns, count)
    rows = ceil(count / columns)
    pixels = weight.transpose(0, 2, 3, 1)  # (O, kH, kW, 3)
    largest = np.maximum(np.abs(pixels).max(axis=(1, 2, 3), keepdims=True), 1e-30)
    canvas = np.ones((rows * (kH + 1) - 1, columns * (kW + 1) - 1, 3))  # one white pixel between filters
    for i, image in enumerate(pixels / (2 * largest) + 0.5):
        top, left = i // columns * (kH + 1), i % columns * (kW + 1)
        canvas[top : top + kH, left : left + kW] = image
    figure = new_figure(0.7 * columns, 0.7 * rows + 0.4)
    axes = figure.add_subplot()
    axes.imshow(canvas, interpolation="nearest")
    axes.set_axis_off()
    what = f"each scaled on its own{', summed over the colour channels, which are equal in grey images' * grey}"
    axes.set_title(f"The {count} filters of the first convolution, {kH} x {kW} pixels,\n{what}", size=9)
    return figure


def feature_maps(
    model: Layer,
    image: np.ndarray,
    layer: str,
    *,
    count: int = 23,
    columns: int = 8,
    picture: Any = None,
    names: Sequence[str] | None = None,
) -> Figure:
    """Show a layer's output for an image.

    For a convolutional layer, the channels with the largest activations beside the image, on one common scale; channels
    that are 0 everywhere are left out. For a linear layer, all outputs: as bars, if there are `names`, else as pixels,
    row by row.

    Parameters
    ----------
    model : Layer
        A feed-forward network, as `AlexNet`.
    image : ndarray
        (3, H, W): an input of the network.
    layer : str
        The layer's name, as ``npalexnet summary`` prints it: ``"layers.1"``.
    count, columns : int
        Number of channels to show, and of pictures in a row.
    picture : optional
        The image as it is shown: a PIL image or uint8 (H, W, 3). By default `image`, scaled to the full range.
    names : sequence of str, optional
        Names of a linear layer's outputs.
    """
    check_image(image)
    found = activations(model, image[None], [layer])[layer]
    values = backend.device_of(found).to_host(found)[0].astype(np.float32, copy=False)
    what = _described(model, layer)
    if values.ndim == 3:
        return _maps(values, displayable(image if picture is None else picture), what, count, columns)
    if names is not None:
        return _bars(values, names, what)
    return _pixels(values, what)


def _described(model: Layer, layer: str) -> str:
    """Return ``"layers.1 (ReLU after convolution 1)"``, or less if no such layer comes before it."""
    kinds = [(name, type(part).__name__) for name, part in model.named_leaves()]
    number = next(i for i, (name, _) in enumerate(kinds) if name == layer)
    kind, before = kinds[number][1], [kind for _, kind in kinds[: number + 1] if kind in ("Conv2d", "Linear")]
    if not before:
        return f"{layer} ({kind})"
    what = {"Conv2d": "convolution", "Linear": "linear layer"}[before[-1]]
    which = f"{what} {before.count(before[-1])}"
    return f"{layer} ({which})" if kind == before[-1] else f"{layer} ({kind} after {which})"


def _maps(values: np.ndarray, image: np.ndarray, what: str, count: int, columns: int) -> Figure:
    highest = values.max(axis=(1, 2))
    order = np.argsort(-highest, kind="stable")
    strongest = order[values[order].any(axis=(1, 2))][:count]
    strongest = strongest if len(strongest) else order[:1]
    figure, grid = image_grid(len(strongest) + 1, columns, cell=(1.15, 1.3))
    grid[0].imshow(image)
    grid[0].set_title("the image", size=7)
    colours = _scale(values[strongest])
    for axes, channel in zip(grid[1:], strongest, strict=True):
        shown = axes.imshow(values[channel], interpolation="nearest", **colours)
        axes.set_title(f"channel {channel}", size=7)
    figure.colorbar(shown, ax=list(grid), shrink=0.8, pad=0.01, aspect=30).ax.tick_params(labelsize=7)
    channels, height, width = values.shape
    active = int((highest > 0).sum())
    figure.suptitle(
        f"{what}: the {len(strongest)} strongest of {channels} channels, {height} x {width} each, one scale\n"
        f"{active} of the {channels} channels are above 0 somewhere in this image",
        size=9,
    )
    return figure


def _scale(values: np.ndarray) -> dict[str, Any]:
    """Return the colour scale: from 0 up or, if some values are negative, from blue over white at 0 to red."""
    largest = max(float(np.abs(values).max()), 1e-30)
    if (values < 0).any():
        return {"cmap": "RdBu_r", "vmin": -largest, "vmax": largest}
    return {"cmap": "magma", "vmin": 0, "vmax": largest}


def _pixels(values: np.ndarray, what: str) -> Figure:
    columns = ceil(len(values) ** 0.5)
    square = np.full((ceil(len(values) / columns), columns), np.nan)
    square.flat[: len(values)] = values
    figure = new_figure(5.4, 4.6)
    axes = figure.add_subplot()
    figure.colorbar(axes.imshow(square, interpolation="nearest", **_scale(values)), ax=axes)
    axes.set_axis_off()
    above = int((values > 0).sum())
    axes.set_title(f"{what}: a pixel for each of {len(values):,} units,\nrow by row; {above:,} are above 0", size=9)
    return figure


def _bars(values: np.ndarray, names: Sequence[str], what: str, most: int = 20) -> Figure:
    if len(names) != len(values):
        raise ValueError(f"names must have one for each of {len(values)} units, got {len(names)}")
    highest = np.argsort(-values, kind="stable")[:most]
    figure = new_figure(6.5, 1.1 + 0.25 * len(highest))
    axes = figure.add_subplot()
    axes.barh(range(len(highest)), values[highest], color="tab:blue")
    axes.set_yticks(range(len(highest)), [shortened(names[k]) for k in highest], fontsize=8)
    axes.invert_yaxis()
    axes.axvline(0, color="black", linewidth=0.8)
    axes.set_xlabel("output")
    shown = f"the {len(highest)} highest of {len(values)}" if len(highest) < len(values) else f"all {len(values)}"
    axes.set_title(f"{what}: {shown} outputs", size=9)
    return figure
