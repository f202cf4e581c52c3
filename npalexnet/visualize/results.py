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
MOST_WITH_PERCENT = 20  # classes up to which it shows percent of the row, too
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


def kept(records: Sequence[dict[str, Any]], step: int | None = None) -> dict[str, Any] | None:
    """Return the evaluation whose weights a run keeps; None if there was none, or none after `step` steps.

    Parameters
    ----------
    records : sequence of dict
        See `curves`.
    step : int, optional
        The weights' own ``steps``. By default it is the best evaluation: the most accurate, of several the one with
        the lowest loss.
    """
    tests = [record for record in records if record.get("test_accuracy") is not None]
    if step is not None:
        return next((record for record in tests if record["step"] == step), None)

    def badness(record: dict[str, Any]) -> tuple[float, float]:
        loss = record["test_loss"]
        return -record["test_accuracy"], np.inf if loss is None else loss

    return min(tests, key=badness, default=None)


def kept_title(record: dict[str, Any]) -> str:
    """Return "kept: epoch 7"."""
    epoch = record.get("epoch")
    return f"kept: step {record['step']}" if epoch is None else f"kept: epoch {epoch:.4g}"


def curves(records: Sequence[dict[str, Any]], *, kept_step: int | None = None) -> Figure:
    """Plot loss and accuracy over the course of training; a dashed line marks the evaluation whose weights are kept.

    Parameters
    ----------
    records : sequence of dict
        From `read_metrics`: with "loss" and "accuracy" they are training steps, with "test_loss" and
        "test_accuracy" evaluations on the validation images. Numbers that were not finite are None there, and left out.
    kept_step : int, optional
        The step after which the weights were kept; by default that of the best evaluation, see `kept`.
    """
    best = kept(records, kept_step)
    figure = new_figure(10, 4)
    for axes, name, label in zip(
        figure.subplots(1, 2), ("loss", "accuracy"), ("cross-entropy loss", "accuracy (%)"), strict=True
    ):
        (seen, values), (tested, validation) = series(records, name), series(records, f"test_{name}")
        axes.plot(seen, values, color="tab:blue", alpha=0.25, linewidth=0.8, label="training, each batch")
        axes.plot(seen, smoothed(values), color="tab:blue", label=f"training, smoothed over {SMOOTHING_STEPS} batches")
        axes.plot(tested, validation, "o-", color="tab:orange", label="validation")
        if best is not None:
            axes.axvline(best["images"], color="grey", linestyle="--", linewidth=1, label=kept_title(best))
        axes.set_xlabel("training images seen")
        axes.set_ylabel(label)
        axes.set_ylim(0, 100 if name == "accuracy" else 1.05 * np.nanmax([*values, *validation, 1e-9]))
        axes.grid(alpha=0.3)
        axes.legend(loc="lower right" if name == "accuracy" else "upper right")
    return figure


def series(records: Sequence[dict[str, Any]], name: str) -> tuple[np.ndarray, np.ndarray]:
    """Return where the records have a number, in images seen, and the numbers, NaN for None; accuracies in percent."""
    found = [record for record in records if name in record]
    scale = 100 if name.endswith("accuracy") else 1
    return (
        np.array([record["images"] for record in found], np.float64),
        scale * np.array([record[name] for record in found], np.float64),
    )


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
            number = f"{count}\n{100 * fractions[i, j]:.0f} %" if K <= MOST_WITH_PERCENT else f"{count}"
            fitting = min(font, 95 * cell / max(map(len, number.splitlines())))
            axes.text(j, i, number, ha="center", va="center", color=colour, fontsize=fitting)
    kind = "" if numbered else " (its number)" if together == 1 else f" (its number; {together} in a cell)"
    axes.set_xlabel(f"predicted class{kind}")
    axes.set_ylabel(f"true class{kind}")
    correct, total = int(counts[rows == columns].sum()), int(counts.sum())
    accuracy = 100 * correct / max(total, 1)
    figure.suptitle(title or f"{correct:,} of {total:,} images classified correctly ({accuracy:.1f} %)", size=10)
    return figure


def smoothed(values: np.ndarray) -> np.ndarray:
    """Return numbers smoothed over `SMOOTHING_STEPS`, (n,), without lag: a straight line stays as it is.

    Each becomes the value, in its place, of the line that fits best, in the sense of least squares, the numbers from
    half of `SMOOTHING_STEPS` before it to half behind it. NaN are left out.
    """
    half = SMOOTHING_STEPS // 2
    padded = np.pad(values, half, constant_values=np.nan)
    known, numbers = ~np.isnan(padded), np.nan_to_num(padded)
    count, x, xx, y, xy = np.zeros((5, len(values)))  # sums over each window
    for offset in range(-half, half + 1):
        place = slice(half + offset, half + offset + len(values))
        count += known[place]
        x += offset * known[place]
        xx += offset**2 * known[place]
        y += numbers[place]
        xy += offset * numbers[place]
    several = np.maximum(count, 1)
    variance = xx - x**2 / several  # 0 where a single number is known, else at least 1/2
    slope = np.where(variance > 0.25, (xy - x * y / several) / np.maximum(variance, 0.25), 0)
    return np.where(count > 0, (y - slope * x) / several, np.nan)
