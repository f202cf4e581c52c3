"""How well a trained network classifies held-out pictures: ``npalexnet evaluate``."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from npalexnet import visualize
from npalexnet.classifier import Classifier
from npalexnet.files import shown, written_whole
from npalexnet.held_out import HeldOut
from npalexnet.progress import progress
from npalexnet.table import table
from npalexnet.training.metrics import write_confusion

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@dataclass(frozen=True)
class Evaluation:
    """What a network said of labelled pictures.

    Attributes
    ----------
    log_probabilities : ndarray of float64, (N, K)
        Logarithms of each picture's shares of the classes.
    labels : ndarray of int64, (N,)
        The true classes.
    """

    log_probabilities: np.ndarray
    labels: np.ndarray

    @property
    def loss(self) -> float:
        """The mean cross-entropy."""
        return float(-self.log_probabilities[np.arange(len(self.labels)), self.labels].mean())

    @property
    def predicted(self) -> np.ndarray:
        """The most probable classes, (N,)."""
        return self.log_probabilities.argmax(axis=1)

    def top(self, count: int) -> float:
        """Return the share of the pictures whose class is among so many most probable ones; the first wins a tie."""
        best = np.argsort(-self.log_probabilities, axis=1, kind="stable")[:, :count]
        return float((best == self.labels[:, None]).any(axis=1).mean())

    def confusion(self) -> np.ndarray:
        """Return int64 (K, K): how many pictures of class i, the row, were taken for class j, the column."""
        K = self.log_probabilities.shape[1]
        return np.bincount(self.labels * K + self.predicted, minlength=K * K).reshape(K, K)


def evaluate(
    classifier: Classifier,
    held_out: HeldOut,
    *,
    ten_crop: bool = False,
    watch: Callable[[int], object] = lambda done: None,
) -> Evaluation:
    """Return what a network says of labelled pictures.

    Raises
    ------
    OSError
        If a picture can't be read.
    ValueError
        If there are none, or the network's answers are not finite.
    """
    if not len(held_out):
        raise ValueError(f"the data {held_out.name} holds no held-out images")
    found = []
    for inputs in held_out.batches(ten_crop=ten_crop):
        found.append(classifier.log_probabilities(inputs))
        watch(len(found[-1]))
    return Evaluation(np.concatenate(found), held_out.labels)


def run(options: argparse.Namespace) -> int:
    """Evaluate as the command line's options say: print a table, write ``confusion.png`` and ``confusion.csv``."""
    classifier = Classifier.load(options.weights, options.device)
    held_out = HeldOut.open(options.data, classifier)
    out = options.out or classifier.path.parent / "evaluation"
    out.mkdir(parents=True, exist_ok=True)
    for note in held_out.notes:
        print(shown(note))
    with progress("evaluating", len(held_out)) as watch:
        found = evaluate(classifier, held_out, ten_crop=options.ten_crop, watch=watch)
    how = ", each the mean of ten crops" if options.ten_crop else ""
    print(f"{held_out.name}: {len(held_out):,} held-out images of {len(classifier.classes)} classes{how}\n")
    matrix = found.confusion()
    print(per_class(matrix, classifier.classes))
    print(f"\nloss {found.loss:.4f}, top-1 {100 * found.top(1):.2f} %, top-5 {100 * found.top(5):.2f} %")
    write_confusion(out / "confusion.csv", matrix, classifier.classes)
    write_figure(out / "confusion.png", visualize.confusion(matrix, classifier.classes))
    print(f"Wrote confusion.png and confusion.csv to {out}/")
    return 0


def per_class(matrix: np.ndarray, classes: Sequence[str]) -> str:
    """Return a table of a confusion matrix: of each class how many were right, and what the rest were taken for."""
    rows = []
    for k, (name, counts) in enumerate(zip(classes, matrix.tolist(), strict=True)):
        others = sorted(((n, -j) for j, n in enumerate(counts) if n and j != k), reverse=True)[:2]
        images = sum(counts)
        taken = ", ".join(f"{classes[-j]} ({n})" for n, j in others) or "-"
        right = f"{100 * counts[k] / images:.1f}" if images else "-"
        rows.append([name, taken, f"{images:,}", f"{counts[k]:,}", right])
    return table(["class", "most often taken for", "images", "right", "right (%)"], rows, left=2)


def write_figure(path: Path, figure: Figure) -> None:
    """Write a figure, whole or not at all."""
    with written_whole(path) as temporary:
        figure.savefig(temporary)
