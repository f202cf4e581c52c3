"""Images, and what a network makes of them: what it looks at, what excites it, where it errs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from npalexnet.layers.layer import Layer
from npalexnet.visualize.activations import Images, Responses, check_layer, occlusion_map, receptive_field, responses
from npalexnet.visualize.sheets import as_shown, blank_sheet, shortened, taken

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
) -> Figure:
    """Show how the probability of a class falls when a grey square covers a place of an image.

    Parameters
    ----------
    model : Layer
        A classifier: (N, 3, H, W) -> (N, K) logits.
    image : ndarray
        (3, H, W): an input of the network.
    label : int
        The class, below K.
    name : str, optional
        What the class is called.
    picture : optional
        What is shown as the image: a PIL image or uint8 (H, W, 3). By default `image`, stretched to all colours.
    cells, size, watch
        See `npalexnet.visualize.activations.occlusion_map`.
    """
    from matplotlib.cm import ScalarMappable
    from matplotlib.figure import Figure

    probability, falls = occlusion_map(model, image, label, cells=cells, size=size, watch=watch)
    name = shortened(f"class {label}" if name is None else name)
    figure = Figure(figsize=(8.4, 4.4), dpi=120, layout="constrained")
    left, right = figure.subplots(1, 2)
    height, width = image.shape[1:]
    extent = (-0.5, width - 0.5, height - 0.5, -0.5)
    shown_image = as_shown(image if picture is None else picture)
    left.imshow(shown_image, extent=extent)
    left.set_title(f"the image: {100 * probability:.1f} % {name}", size=9)
    right.imshow(shown_image.mean(axis=2), cmap="gray", extent=extent)
    largest = 100 * max(float(np.abs(falls).max()), 1e-4)
    opacity = 0.85 * np.minimum(1, 2 * 100 * np.abs(falls) / largest)  # where nothing changes, the image is seen
    shown = right.imshow(
        100 * falls, cmap="RdBu_r", vmin=-largest, vmax=largest, alpha=opacity, extent=extent, interpolation="nearest"
    )
    right.set_title(f"what a square of {size} x {size} on each place takes from that", size=9)
    solid = ScalarMappable(shown.norm, shown.cmap)  # the colours without the image beneath
    bar = figure.colorbar(solid, ax=right, shrink=0.8)
    bar.set_label("fall of the probability (% points)", size=8)
    for axes in (left, right):
        axes.set_axis_off()
    figure.suptitle(f"Where the network sees {name}: red is needed for it, blue speaks against it", size=10)
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
    """Show the images that excite a unit most, and the part of each that does so.

    Parameters
    ----------
    model : Layer
        A network whose layers follow one another, as `AlexNet`.
    images : ndarray (N, 3, H, W), or a sequence of (3, H, W)
        Inputs of the network; those shown are asked for twice.
    unit : pair of str and int
        A layer's name and a channel of it: ``("layers.4", 17)``.
    count : int
        How many images are shown.
    names : sequence of str, optional
        What is written above each image: its class, say.
    pictures : sequence, or callable that returns picture i, optional
        What is shown as the images: PIL images or uint8 (H, W, 3). By default `images`, each stretched to all colours.
    found : Responses, optional
        The layer's, from `npalexnet.visualize.activations.responses`, where they are known already.
    """
    from matplotlib.patches import Rectangle

    layer, channel = unit
    check_layer(model, layer)
    found = responses(model, images, [layer])[layer] if found is None else found
    if not 0 <= channel < found.values.shape[1]:
        raise ValueError(f"unit must be a channel of {layer} from 0 to {found.values.shape[1] - 1}, got {channel}")
    values = found.values[:, channel]
    best = np.argsort(-values, kind="stable")[:count].tolist()
    figure, places = blank_sheet(len(best), 6, cell=(1.4, 1.65))
    for axes, i in zip(places, best, strict=True):
        image = images[i]
        axes.imshow(as_shown(image if pictures is None else taken(pictures, i)))
        row, column = found.places[i, channel].tolist()
        rows, columns = receptive_field(model, layer, (row, column), image.shape[1:])
        corner = columns.start - 0.5, rows.start - 0.5
        width, height = columns.stop - columns.start, rows.stop - rows.start
        axes.add_patch(Rectangle(corner, width, height, fill=False, edgecolor="red", linewidth=1.2, clip_on=False))
        axes.set_title(
            f"{shortened(names[i], 14)}\n{values[i]:#.3g}" if names is not None else f"{values[i]:#.3g}", size=7
        )
    figure.suptitle(
        f"What excites unit {channel} of {layer} most, of {len(values):,} images\n"
        "The number is the activation; the red frame is the part of the image that it comes from",
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
    """Show wrongly classified pictures, those first of which the network was most certain.

    Parameters
    ----------
    pictures : sequence, or callable that returns picture i
        N pictures: PIL images, uint8 arrays (H, W) or (H, W, 3), or inputs of the network.
    labels : ndarray of int, (N,)
        The true classes.
    probabilities : ndarray, (N, K)
        The network's shares of the classes.
    classes : sequence of str
        The K names.
    count : int
        How many are shown.
    """
    if probabilities.shape != (len(labels), len(classes)):
        raise ValueError(
            f"probabilities must have shape ({len(labels)}, {len(classes)}), for the labels and the classes, got "
            f"{probabilities.shape}"
        )
    predicted = probabilities.argmax(axis=1)
    shares = probabilities.max(axis=1)
    wrong = np.flatnonzero(predicted != labels)
    worst = wrong[np.argsort(-shares[wrong], kind="stable")][:count]
    if not len(worst):
        return _nothing_wrong(len(labels))
    figure, places = blank_sheet(len(worst), 6, cell=(1.55, 1.85))
    for axes, i in zip(places, worst.tolist(), strict=True):
        axes.imshow(as_shown(taken(pictures, i)))
        true, mistaken = shortened(classes[labels[i]], 20), shortened(classes[predicted[i]], 14)
        axes.set_title(f"{true}\ntaken for {mistaken}\n{100 * shares[i]:.0f} % sure", size=7)
    which = f"{len(worst)} of the {len(wrong):,}" if len(worst) < len(wrong) else f"All {len(wrong)}"
    figure.suptitle(f"{which} mistakes among {len(labels):,} images, the most certain first", size=10)
    return figure


def _nothing_wrong(images: int) -> Figure:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(4.8, 1.2), dpi=120)
    figure.text(0.5, 0.5, f"No mistakes among {images:,} images", ha="center", va="center")
    return figure
