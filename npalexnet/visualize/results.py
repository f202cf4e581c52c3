"""Figures of results: curves of training, confusion matrices."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from npalexnet.data.confusion import Confusion, entries
from npalexnet.fields import FieldError
from npalexnet.files import open_regular
from npalexnet.visualize.figures import new_figure, shortened
from npalexnet.visualize.records import parse_record

if TYPE_CHECKING:
    from matplotlib.figure import Figure

SMOOTHING_STEPS = 25
MOST_CELLS = 1000  # of a confusion matrix, each way
MOST_NUMBERED = 100  # classes up to which a confusion matrix shows its numbers and names


def read_metrics(path: Path) -> list[dict[str, Any]]:
    """Return the lines of a run's ``metrics.jsonl``; none without a file.

    What is no such line is left out: training may be writing the last one.
    """
    records = []
    with suppress(OSError), open_regular(path) as file:
        for line in file:
            with suppress(FieldError):
                records.append(parse_record(line))
    return records


def curves(records: Sequence[dict[str, Any]]) -> Figure:
    """Plot loss and accuracy over the course of training.

    Parameters
    ----------
    records : sequence of dict
        From `read_metrics`: with "loss" and "accuracy" they are training steps, with "test_loss" and
        "test_accuracy" evaluations on the validation images. Numbers that were not finite are None there, and left out.
    """
    steps = [record for record in records if "loss" in record]
    tests = [record for record in records if "test_loss" in record]
    figure = new_figure(10, 4)
    for axes, name, label in zip(
        figure.subplots(1, 2), ("loss", "accuracy"), ("cross-entropy loss", "accuracy (%)"), strict=True
    ):
        scale = 100 if name == "accuracy" else 1
        values = scale * np.array([record[name] for record in steps], np.float64)  # NaN for None
        seen = [record["images"] for record in steps]
        axes.plot(seen, values, color="tab:blue", alpha=0.25, linewidth=0.8, label="training, each batch")
        axes.plot(seen, _moving_average(values), color="tab:blue", label=f"training, mean of {SMOOTHING_STEPS} batches")
        validation = scale * np.array([record[f"test_{name}"] for record in tests], np.float64)
        axes.plot([record["images"] for record in tests], validation, "o-", color="tab:orange", label="validation")
        axes.set_xlabel("training images seen")
        axes.set_ylabel(label)
        highest = np.nanmax([*values, *validation, 1e-9])
        axes.set_ylim(0, 100 if name == "accuracy" else 1.05 * highest)
        axes.grid(alpha=0.3)
        axes.legend(loc="lower right" if name == "accuracy" else "upper right")
    return figure


def confusion(matrix: Confusion | np.ndarray, classes: Sequence[str], *, title: str = "") -> Figure:
    """Show a confusion matrix as a heat map; of at most `MOST_NUMBERED` classes with counts and names.

    Of more than `MOST_CELLS` classes, a row or column stands for several that follow one another.

    Parameters
    ----------
    matrix : Confusion, or ndarray of int, (K, K)
        ``matrix[i, j]`` images of class i were classified as class j. The colour is the fraction of the row.
    classes : sequence of str
        The K names.
    title : str
        By default, how many images were classified correctly.
    """
    K = len(classes)
    if matrix.shape != (K, K) or K == 0:
        raise ValueError(f"matrix must have a row and a column for each of {K} classes, got shape {matrix.shape}")
    rows, columns, counts = entries(matrix)
    together = -(-K // MOST_CELLS)  # classes in a row
    cells = np.zeros((-(-K // together),) * 2, np.int64)
    np.add.at(cells, (rows // together, columns // together), counts)
    fractions = cells / np.maximum(cells.sum(axis=1), 1)[:, None]
    numbered = K <= MOST_NUMBERED
    cell = max(0.6 - 0.01 * (K - 2), 0.22) if numbered else 20 / K  # inches
    side, names = cell * K, [shortened(name) for name in classes]
    font = min(9.0, 30 * cell)  # points, 72 an inch
    margin = 0.009 * font * max(map(len, names)) if numbered else 0.5
    figure = new_figure(max(side + margin + 1.6, 5.2), max(1.03 * side + margin + 1.0, 3.6))
    axes = figure.add_subplot()
    edges = (-0.5, len(cells) * together - 0.5, len(cells) * together - 0.5, -0.5)  # left, right, bottom, top
    shown = axes.imshow(100 * fractions, cmap="Blues", vmin=0, vmax=100, interpolation="nearest", extent=edges)
    bar = figure.colorbar(shown, ax=axes, shrink=min(1, 4 / side), pad=0.02)
    bar.set_label("% of the row")
    if numbered:
        axes.set_xticks(range(K), names, rotation=90 if K > 2 or max(map(len, names)) > 8 else 0, fontsize=font)
        axes.set_yticks(range(K), names, fontsize=font)
        for i, j, count in zip(rows, columns, counts, strict=True):
            colour = "white" if fractions[i, j] > 0.55 else "black"
            number = f"{count}"
            fitting = min(font, 95 * cell / len(number))
            axes.text(j, i, number, ha="center", va="center", color=colour, fontsize=fitting)
    kind = "" if numbered else " (its number)" if together == 1 else f" (its number; {together} in a cell)"
    axes.set_xlabel(f"predicted class{kind}")
    axes.set_ylabel(f"true class{kind}")
    correct, total = int(counts[rows == columns].sum()), int(counts.sum())
    accuracy = 100 * correct / max(total, 1)
    figure.suptitle(title or f"{correct:,} of {total:,} images classified correctly ({accuracy:.1f} %)", size=10)
    return figure


def _moving_average(values: np.ndarray) -> np.ndarray:
    """Return the means of the last `SMOOTHING_STEPS` values up to each, NaN left out."""
    end = np.arange(1, len(values) + 1)
    start = np.maximum(0, end - SMOOTHING_STEPS)

    def windows(numbers: np.ndarray) -> np.ndarray:
        total = np.concatenate([[0.0], np.cumsum(numbers)])
        return total[end] - total[start]

    counts = windows(~np.isnan(values))
    return np.where(counts > 0, windows(np.nan_to_num(values)) / np.maximum(counts, 1), np.nan)
