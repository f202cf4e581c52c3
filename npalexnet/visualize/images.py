"""Figures of images: occlusion maps, top-activating images, mistakes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from npalexnet.layers.layer import Layer
from npalexnet.visualize.activations import Images, Responses, check_layer, occlusion_map, receptive_field, responses
from npalexnet.visualize.figures import displayable, image_grid, new_figure, picture_at, shortened
from npalexnet.visualize.names import unit_title

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def occlusion(
    model: Layer,
    image: np.ndarray,
    label: int,
    *,
    name: str | None = None,
    picture: Any = None,
    cells: int = 15,
    size: int = 45,
    watch: Callable[[int], object] = lambda done: None,
    found: tuple[float, np.ndarray] | None = None,
) -> Figure:
    """Show how a class's probability decreases when a grey square covers a part of the image.

    Parameters
    ----------
    model : Layer
        A classifier: (N, 3, H, W) -> (N, K) logits.
    image : ndarray
        (3, H, W): an input of the network.
    label : int
        The class, below K.
    name : str, optional
        The class's name.
    picture : optional
        The image as it is shown: a PIL image or uint8 (H, W, 3). By default `image`, scaled to the full range.
    cells, size, watch
        See `npalexnet.visualize.activations.occlusion_map`.
    found : tuple, optional
        What that returned, with the same `size`, to save the computation.
    """
    from matplotlib.cm import ScalarMappable

    if found is None:
        found = occlusion_map(model, image, label, cells=cells, size=size, watch=watch)
    probability, decreases = found
    name = shortened(f"class {label}" if name is None else name)
    figure = new_figure(8.4, 4.4)
    left, right = figure.subplots(1, 2)
    height, width = image.shape[1:]
    extent = (-0.5, width - 0.5, height - 0.5, -0.5)
    shown_image = displayable(image if picture is None else picture)
    left.imshow(shown_image, extent=extent)
    left.set_title(f"the image: {name}, probability {100 * probability:.1f} %", size=9)
    right.imshow(shown_image.mean(axis=2), cmap="gray", extent=extent)
    largest = 100 * max(float(np.abs(decreases).max()), 1e-4)
    opacity = 0.85 * np.minimum(1, 2 * 100 * np.abs(decreases) / largest)  # no change: the image shows through
    colours: dict[str, Any] = {"cmap": "RdBu_r", "vmin": -largest, "vmax": largest, "alpha": opacity}
    shown = right.imshow(100 * decreases, extent=extent, interpolation="nearest", **colours)
    right.set_title(f"decrease of the probability when {size} x {size} pixels are covered", size=9)
    solid = ScalarMappable(shown.norm, shown.cmap)  # the colours without the image beneath
    bar = figure.colorbar(solid, ax=right, shrink=0.8)
    bar.set_label("percentage points", size=8)
    for axes in (left, right):
        axes.set_axis_off()
    figure.suptitle(f"Occlusion map for {name}: red is evidence for it, blue evidence against it", size=10)
    return figure


def top_activating(
    model: Layer,
    images: Images,
    unit: tuple[str, int],
    *,
    count: int = 12,
    names: Sequence[str] | None = None,
    pictures: Callable[[int], Any] | Sequence[Any] | None = None,
    found: Responses | None = None,
) -> Figure:
    """Show the images that activate a channel most, each with the receptive field of its maximum.

    Parameters
    ----------
    model : Layer
        A feed-forward network, as `AlexNet`.
    images : ndarray (N, 3, H, W), or a sequence of (3, H, W)
        Inputs of the network; the ones that are shown are taken from it twice.
    unit : pair of str and int
        A layer's name and a channel of it: ``("layers.4", 17)``.
    count : int
        Number of images to show, at most: those in which the channel is 0 are left out.
    names : sequence of str, optional
        Title of each image: its class, say.
    pictures : sequence, or callable that returns picture i, optional
        The images as they are shown: PIL images or uint8 (H, W, 3). By default `images`, each scaled to the full range.
    found : Responses, optional
        What `npalexnet.visualize.activations.responses` returned for the layer, to save the computation.
    """
    from matplotlib.patches import Rectangle

    layer, channel = unit
    check_layer(model, layer)
    found = responses(model, images, [layer])[layer] if found is None else found
    if not 0 <= channel < found.values.shape[1]:
        raise ValueError(f"unit must be a channel of {layer} from 0 to {found.values.shape[1] - 1}, got {channel}")
    values = found.values[:, channel]
    best, title = strongest(values, count), unit_title(model, layer, channel)
    if not best:
        return _in_words(f"{title}, is 0 in all {len(values):,} images")
    figure, places = image_grid(len(best), 6, cell=(1.4, 1.65))
    for axes, i in zip(places, best, strict=True):
        image = images[i]
        axes.imshow(displayable(image if pictures is None else picture_at(pictures, i)))
        row, column = found.places[i, channel].tolist()
        rows, columns = receptive_field(model, layer, (row, column), image.shape[1:])
        corner = columns.start - 0.5, rows.start - 0.5
        width, height = columns.stop - columns.start, rows.stop - rows.start
        axes.add_patch(Rectangle(corner, width, height, fill=False, edgecolor="red", linewidth=1.2, clip_on=False))
        above = "" if names is None else f"{shortened(names[i], 14)}\n"
        axes.set_title(f"{above}{values[i]:#.3g}", size=7)
    figure.suptitle(
        f"Top-activating images of {title} ({layer}), among {len(values):,} images\n"
        "The number is the largest activation, the red frame its receptive field",
        size=9,
    )
    return figure


def mistakes(
    pictures: Callable[[int], Any] | Sequence[Any] | np.ndarray,
    labels: np.ndarray,
    probabilities: np.ndarray,
    classes: Sequence[str],
    *,
    count: int = 24,
) -> Figure:
    """Show misclassified pictures, the most confident predictions first.

    Parameters
    ----------
    pictures : sequence, or callable that returns picture i
        N pictures: PIL images, uint8 arrays (H, W) or (H, W, 3), or inputs of the network.
    labels : ndarray of int, (N,)
        The true classes.
    probabilities : ndarray, (N, K)
        The network's predictions.
    classes : sequence of str
        The K names.
    count : int
        Number of pictures to show.
    """
    if probabilities.shape != (len(labels), len(classes)):
        raise ValueError(
            f"probabilities must have shape ({len(labels)}, {len(classes)}), for the labels and the classes, got "
            f"{probabilities.shape}"
        )
    predicted, confidence = probabilities.argmax(axis=1), probabilities.max(axis=1)
    worst, wrong = worst_mistakes(labels, probabilities, count)
    if not worst:
        return _in_words(f"No mistakes among {len(labels):,} images")
    figure, places = image_grid(len(worst), 6, cell=(1.55, 1.85))
    for axes, i in zip(places, worst, strict=True):
        axes.imshow(displayable(picture_at(pictures, i)))
        true, mistaken = shortened(classes[labels[i]], 20), shortened(classes[predicted[i]], 14)
        axes.set_title(f"{true}\npredicted: {mistaken}\nwith {100 * confidence[i]:.0f} %", size=7)
    which = f"{len(worst)} of the {wrong:,}" if len(worst) < wrong else f"All {wrong}"
    figure.suptitle(f"{which} mistakes among {len(labels):,} images, the most confident first", size=10)
    return figure


def strongest(values: np.ndarray, count: int) -> list[int]:
    """Return where the `count` largest of the values, (N,), are, the largest first; those that are 0 are left out."""
    order = np.argsort(-values, kind="stable")
    return order[values[order] != 0][:count].tolist()


def worst_mistakes(labels: np.ndarray, probabilities: np.ndarray, count: int) -> tuple[list[int], int]:
    """Return which `count` images are misclassified most confidently, and how many are misclassified.

    The labels are integers (N,), the probabilities (N, K).
    """
    wrong = np.flatnonzero(probabilities.argmax(axis=1) != labels)
    order = np.argsort(-probabilities[wrong].max(axis=1), kind="stable")
    return wrong[order][:count].tolist(), len(wrong)


def _in_words(words: str) -> Figure:
    figure = new_figure(4.8, 1.2)
    figure.text(0.5, 0.5, words, ha="center", va="center")
    return figure
