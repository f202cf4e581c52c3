"""Metrics of classification: loss, top-1 and top-5 accuracy, confusion matrix."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from npalexnet.data.confusion import Confusion, entries
from npalexnet.files import atomic_write
from npalexnet.losses import log_softmax
from npalexnet.terminal import spreadsheet_cell

MOST_COLUMNS = 1000  # of confusion.csv


@dataclass(frozen=True)
class Metrics:
    """Metrics of a network on some labelled images.

    Attributes
    ----------
    loss : float
        Mean cross-entropy.
    top1, top5 : float
        Accuracy: share of the images whose class is the most probable one, or among the five most probable; 0 to 1.
    confusion : Confusion
        Number of images of class i (row) that were classified as class j (column); ``np.asarray`` makes an array of it.
    """

    loss: float
    top1: float
    top5: float
    confusion: Confusion | np.ndarray

    @property
    def images(self) -> int:
        """Number of images."""
        return int(self.confusion.sum())


class MetricsAccumulator:
    """Accumulates metrics batch by batch::

        accumulator = MetricsAccumulator(num_classes)
        for images, labels in batches:
            accumulator.add(model(images), labels)
        print(accumulator.metrics().top1)

    Of equal logits the first counts as the largest, as ``argmax`` has it.
    """

    def __init__(self, num_classes: int) -> None:
        self.confusion = Confusion(num_classes)
        self._loss, self._top5 = 0.0, 0

    def add(self, logits: np.ndarray, labels: np.ndarray) -> None:
        """Add a batch.

        Parameters
        ----------
        logits : ndarray
            (N, K): logits, or log-probabilities.
        labels : ndarray of integers
            (N,), from 0 to K - 1.

        Raises
        ------
        ValueError
            If shapes or labels don't fit; nothing is added.
        """
        K = len(self.confusion)
        if logits.ndim != 2 or logits.shape[1] != K or labels.shape != logits.shape[:1]:
            raise ValueError(f"expected logits (N, {K}) and labels (N,), got {logits.shape} and {labels.shape}")
        if len(labels) and (labels.min() < 0 or labels.max() >= K):
            wrong = labels.min() if labels.min() < 0 else labels.max()
            raise ValueError(f"labels must be from 0 to {K - 1}, got {wrong}")
        rows, columns = np.arange(len(labels)), np.arange(K)
        logits = logits.astype(np.float64)
        own = logits[rows, labels][:, None]  # (N, 1)
        with np.errstate(invalid="ignore"):  # of infinities; their loss is NaN
            self._loss -= float(log_softmax(logits)[rows, labels].sum())
        ahead = ((logits > own) | ((logits == own) & (columns < labels[:, None]))).sum(axis=1)  # (N,)
        self._top5 += int(((ahead < 5) & ~np.isnan(own[:, 0])).sum())
        self.confusion.add(labels, logits.argmax(axis=1))

    def metrics(self) -> Metrics:
        """Return the metrics of all batches so far; a ValueError without any images."""
        count = self.confusion.sum()
        if not count:
            raise ValueError("there are no images to compute metrics of")
        top1 = self.confusion.trace() / count
        return Metrics(self._loss / count, top1, self._top5 / count, self.confusion.copy())


def write_confusion(path: Path, confusion: Confusion | np.ndarray, classes: Sequence[str]) -> None:
    """Write a confusion matrix as CSV: a row for each true class, a column for each predicted class.

    Of more than `MOST_COLUMNS` classes, which no spreadsheet opens, a row for each pair of classes that occurs. A
    class's name that a spreadsheet would compute has an apostrophe before it: see `spreadsheet_cell`.
    """
    classes = [spreadsheet_cell(name) for name in classes]
    with atomic_write(path) as temporary, open(temporary, "w", newline="", encoding="utf-8") as file:
        # Where a comma is the decimal point, spreadsheets part cells at semicolons, too, unless there are quotes.
        quoted = any(";" in name for name in classes)
        writer = csv.writer(file, quoting=csv.QUOTE_NONNUMERIC) if quoted else csv.writer(file)
        if len(classes) > MOST_COLUMNS:
            writer.writerow(["true class", "predicted class", "images"])
            writer.writerows((classes[i], classes[j], n) for i, j, n in zip(*entries(confusion), strict=True))
        else:
            writer.writerow(["true class", *classes])
            for name, row in zip(classes, np.asarray(confusion).tolist(), strict=True):
                writer.writerow([name, *row])
