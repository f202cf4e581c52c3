"""The parts of the page that ``npalexnet look`` writes, as HTML: small images, with titles and numbers as text."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import ceil
from typing import Any

import numpy as np

from npalexnet.data.confusion import Confusion, entries
from npalexnet.layers.layer import Layer
from npalexnet.visualize.activations import Images, Responses, receptive_field
from npalexnet.visualize.charts import Line, chart
from npalexnet.visualize.html import bars, grid, paragraph, text, tile
from npalexnet.visualize.images import strongest, worst_mistakes
from npalexnet.visualize.results import SMOOTHING_STEPS, kept, kept_title, series, smoothed
from npalexnet.visualize.tiles import activation_map, filter_image, heat_map, photograph, share_map

MOST_IN_A_TABLE = 20  # classes of a confusion matrix with numbers
MOST_CELLS = 500
MAPS = 24  # channels of a layer
OUTPUTS = 20


def answer(
    picture: np.ndarray, name: str, found: np.ndarray, classes: Sequence[str], label: int, decreases: np.ndarray
) -> str:
    """Return a picture, what the network answers, and where a class's evidence is.

    Parameters
    ----------
    picture : ndarray of uint8, (H, W, 3)
        What the network sees.
    name : str
        What the picture is called.
    found : ndarray, (K,)
        The probabilities.
    classes : sequence of str
        The K names.
    label : int
        The class of the heat map.
    decreases : ndarray, (cells, cells)
        Of its probability: see `npalexnet.visualize.activations.occlusion_map`.
    """
    best = np.argsort(-found, kind="stable")[:5].tolist()
    shares = [(classes[k], float(found[k]), f"{100 * found[k]:.1f} %") for k in best]
    title = f"{classes[best[0]]}, {100 * found[best[0]]:.1f} %"
    most = 100 * float(np.abs(decreases).max())  # of the image's colours: the scale has 0 in its middle
    scale = f"<div class='scale'>-{most:.3g}<i></i>+{most:.3g} points</div>"
    scale = scale if most else paragraph("It changes nothing.")
    heat = tile(
        heat_map(picture, decreases), f"where the evidence for {classes[label]} is in {name}",
        [f"Evidence for {classes[label]}", "red: covering it makes the class less probable; blue: more probable"],
    )  # fmt: skip
    parts = [
        tile(photograph(picture), name, [name]),
        f"<div class='card'><h2>{text(title)}</h2>{bars(shares)}</div>",
        f"<div>{heat}{scale}</div>",
    ]
    return grid(parts, "hero")


def mistakes(
    pictures: Callable[[int], Any], labels: np.ndarray, probabilities: np.ndarray, classes: Sequence[str]
) -> str:
    """Return the most confident mistakes; see `npalexnet.visualize.mistakes`."""
    worst, wrong = worst_mistakes(labels, probabilities, 24)
    if not wrong:
        return paragraph(f"None among {len(labels):,} images.")
    tiles = []
    for i in worst:
        k = int(probabilities[i].argmax())
        true, taken = classes[labels[i]], classes[k]
        lines = [f"taken for {taken}", f"{100 * probabilities[i, k]:.0f} %; it is {true}"]
        tiles.append(tile(photograph(pictures(i)), f"{true}, taken for {taken}", lines))
    which = f"The {len(worst)} most confident of" if len(worst) < wrong else "All"
    return paragraph(f"{which} {wrong:,} mistakes among {len(labels):,} images.") + grid(tiles)


def excites(
    model: Layer, images: Images, unit: tuple[str, int], names: Sequence[str], pictures: Callable[[int], Any],
    found: Responses,
) -> str:  # fmt: skip
    """Return the images that activate a channel most; see `npalexnet.visualize.top_activating`."""
    layer, channel = unit
    values, tiles = found.values[:, channel], []
    for i in strongest(values, 12):
        height, width = images[i].shape[1:]
        rows, columns = receptive_field(model, layer, found.places[i, channel].tolist(), (height, width))
        box = None
        if rows.stop - rows.start < height or columns.stop - columns.start < width:
            box = (
                columns.start / width, rows.start / height,
                (columns.stop - columns.start) / width, (rows.stop - rows.start) / height,
            )  # fmt: skip
        tiles.append(tile(photograph(pictures(i)), names[i], [names[i], f"{values[i]:#.3g}"], box=box))
    return grid(tiles) if tiles else paragraph(f"It is 0 in all {len(values):,} images.")


def layer(values: np.ndarray, title: str, names: Sequence[str] | None = None) -> tuple[str, str]:
    """Return a line about a layer's output for one image, and the output as HTML.

    Parameters
    ----------
    values : ndarray, (C, H, W) or (C,)
        Of the channels of a convolution, those above 0 are shown, the strongest first; of the units of a linear layer,
        all.
    title : str
        What the layer is called.
    names : sequence of str, optional
        The units' names, for a linear layer whose outputs are shown with numbers.
    """
    if names is not None:
        order = np.argsort(-values, kind="stable")[:OUTPUTS].tolist()
        largest = max(float(np.abs(values).max()), 1e-30)
        note = f"the {len(order)} highest of {len(values):,} outputs" if len(order) < len(values) else "all outputs"
        return note, bars([(names[k], float(values[k]) / largest, f"{values[k]:.2f}") for k in order])
    if values.ndim == 1:
        columns = ceil(len(values) ** 0.5)
        square = np.full(columns * ceil(len(values) / columns), np.nan, np.float32)
        square[: len(values)] = values
        address = activation_map(square.reshape(-1, columns), float(np.abs(values).max()))
        note = f"{len(values):,} units, row by row; {int((values != 0).sum()):,} are not 0"
        return note, f"<div class='units'>{tile(address, title)}</div>"
    channels, height, width = values.shape
    highest = np.abs(values).max(axis=(1, 2))
    shown = strongest(highest, MAPS)
    scale = float(highest.max())
    tiles = [
        tile(activation_map(values[c], scale), f"{title}, channel {c}", [f"channel {c}", f"{highest[c]:#.3g}"])
        for c in shown
    ]
    active = int((highest > 0).sum())
    note = f"{height} x {width}; {active} of {channels} channels are not 0 in this picture"
    note += f", the {len(shown)} strongest are shown" * (len(shown) < active)
    return note, grid(tiles, "small")


def filters(weight: np.ndarray, *, grey: bool) -> str:
    """Return a first layer's filters, (O, 3, kH, kW); `grey` as for `npalexnet.visualize.filters`."""
    if grey:
        weight = np.broadcast_to(weight.sum(axis=1, keepdims=True), weight.shape)
    return grid((tile(filter_image(kernel), f"filter {i}", [f"{i}"]) for i, kernel in enumerate(weight)), "tiny")


def confusion(matrix: Confusion | np.ndarray, classes: Sequence[str]) -> str:
    """Return a confusion matrix, (K, K): with numbers for few classes; and the pairs that are confused most."""
    rows, columns, counts = entries(matrix)
    totals = np.bincount(rows, counts, minlength=len(classes)).astype(np.int64)
    wrong = [entry for entry in zip(rows, columns, counts, strict=True) if entry[0] != entry[1]]
    wrong.sort(key=lambda entry: -entry[2])
    pairs = [
        (
            f"{classes[i]}, taken for {classes[j]}",
            n / totals[i],
            f"{n:,} of {totals[i]:,} ({100 * n / totals[i]:.0f} %)",
        )
        for i, j, n in wrong[:10]
    ]
    if len(classes) <= MOST_IN_A_TABLE:
        body = _confusion_table(np.asarray(matrix), totals, classes)
    else:
        together = ceil(len(classes) / MOST_CELLS)
        cells = np.zeros((ceil(len(classes) / together),) * 2)
        np.add.at(cells, (rows // together, columns // together), counts)
        shares = cells / np.maximum(cells.sum(axis=1, keepdims=True), 1)
        body = f"<div class='units'>{tile(share_map(shares), 'the confusion matrix')}</div>"
        body += paragraph("A row for each true class, a column for each predicted class, in their order.")
    return body + (f"<h3>Confused most often</h3><div class='card'>{bars(pairs)}</div>" if pairs else "")


def _confusion_table(matrix: np.ndarray, totals: np.ndarray, classes: Sequence[str]) -> str:
    head = "".join(f"<th scope='col' title='{text(name)}'>{text(name)}</th>" for name in classes)
    lines = []
    for name, row, total in zip(classes, matrix.tolist(), totals.tolist(), strict=True):
        cells = (
            f"<td style='--share:{n / total:.3f}'>{n:,}<span>{100 * n / total:.0f} %</span></td>" if n else "<td></td>"
            for n in row
        )
        lines.append(f"<tr><th scope='row' title='{text(name)}'>{text(name)}</th>{''.join(cells)}</tr>")
    table = f"<thead><tr><td></td>{head}</tr></thead><tbody>{''.join(lines)}</tbody>"
    words = "A row for each true class, a column for each predicted class; percent of the row."
    return f"{paragraph(words)}<div class='scroll' tabindex='0'><table class='confusion'>{table}</table></div>"


def curves(records: Sequence[dict[str, Any]], kept_step: int | None) -> str:
    """Return the loss and the accuracy over the course of training; see `npalexnet.visualize.curves`."""
    best = kept(records, kept_step)
    mark = None if best is None else (float(best["images"]), kept_title(best))
    charts = []
    for name, title in (("loss", "Cross-entropy loss"), ("accuracy", "Accuracy (%)")):
        training, validation = series(records, name), series(records, f"test_{name}")
        lines = [
            Line("faint", *training), Line("training", training[0], smoothed(training[1])),
            Line("validation", *validation),
        ]  # fmt: skip
        highest = 100.0 if name == "accuracy" else 1.05 * float(np.nanmax([*training[1], *validation[1], 1e-9]))
        charts.append(chart(title, "training images seen", lines, highest, mark))
    legend = (
        f"<p><b class='training'>Blue</b>: training, each batch and smoothed over {SMOOTHING_STEPS}. "
        "<b class='validation'>Orange</b>: validation. Dashed: the weights that were kept.</p>"
    )
    return grid(charts, "hero") + legend
