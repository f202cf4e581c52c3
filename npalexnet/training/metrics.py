"""Counting how good answers are: loss, top-1, top-5, per class, and who is taken for whom. NumPy alone."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from npalexnet.files import atomic_write


@dataclass(frozen=True)
class Metrics:
    """How good a network's answers to some labelled images are.

    Attributes
    ----------
    loss : float
        Mean cross-entropy.
    top1, top5 : float
        Share of the images whose class is the most probable one, or among the five most probable; from 0 to 1.
    confusion : ndarray of int64, (K, K)
        How many images of class i (row) were taken for class j (column).
    """

    loss: float
    top1: float
    top5: float
    confusion: np.ndarray

    @property
    def images(self) -> int:
        """How many images there were."""
        return int(self.confusion.sum())

    @property
    def per_class(self) -> np.ndarray:
        """Share of each class's images that is named rightly, (K,); NaN for a class without images."""
        counts = self.confusion.sum(axis=1)
        with np.errstate(invalid="ignore"):
            return np.where(counts > 0, self.confusion.diagonal() / np.maximum(counts, 1), np.nan)


class Counter:
    """Adds up answers, batch by batch::

        counter = Counter(num_classes)
        for images, labels in batches:
            counter.add(model(images), labels)
        print(counter.metrics().top1)

    Of equal logits the first counts as the largest, as ``argmax`` has it.
    """

    def __init__(self, num_classes: int) -> None:
        self.confusion = np.zeros((num_classes, num_classes), np.int64)
        self._loss, self._top5 = 0.0, 0

    def add(self, logits: np.ndarray, labels: np.ndarray) -> None:
        """Count the answers to a batch.

        Parameters
        ----------
        logits : ndarray
            (N, K).
        labels : ndarray of integers
            (N,), from 0 to K - 1.

        Raises
        ------
        ValueError
            If shapes or labels don't fit; nothing is counted.
        """
        K = len(self.confusion)
        if logits.ndim != 2 or logits.shape[1] != K or labels.shape != logits.shape[:1]:
            raise ValueError(f"expected logits (N, {K}) and labels (N,), got {logits.shape} and {labels.shape}")
        if len(labels) and (labels.min() < 0 or labels.max() >= K):
            wrong = labels.min() if labels.min() < 0 else labels.max()
            raise ValueError(f"labels must be from 0 to {K - 1}, got {wrong}")
        rows = np.arange(len(labels))
        logits = logits.astype(np.float64)
        own = logits[rows, labels]  # (N,)
        with np.errstate(invalid="ignore"):  # of infinities; their loss is NaN
            shifted = logits - logits.max(axis=1, keepdims=True)
            self._loss += float((np.log(np.exp(shifted).sum(axis=1)) - shifted[rows, labels]).sum())
        ahead = (logits > own[:, None]).sum(axis=1) + ((logits == own[:, None]) & (np.arange(K) < labels[:, None])).sum(
            axis=1
        )
        self._top5 += int(((ahead < 5) & ~np.isnan(own)).sum())
        np.add.at(self.confusion, (labels, logits.argmax(axis=1)), 1)

    def metrics(self) -> Metrics:
        """Return what was counted so far.

        Raises
        ------
        ValueError
            If that is nothing.
        """
        count = int(self.confusion.sum())
        if not count:
            raise ValueError("no images were counted")
        return Metrics(
            self._loss / count, int(self.confusion.trace()) / count, self._top5 / count, self.confusion.copy()
        )


def write_confusion(path: Path, confusion: np.ndarray, classes: Sequence[str]) -> None:
    """Write a confusion matrix as CSV: a row for each true class, a column for what it was taken for."""
    with atomic_write(path) as temporary, open(temporary, "w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["true class", *classes])
        for name, row in zip(classes, confusion.tolist(), strict=True):
            writer.writerow([name, *row])
