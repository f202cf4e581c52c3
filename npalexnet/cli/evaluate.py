"""How well a trained network classifies held-out pictures: ``npalexnet evaluate``."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from typing import cast

import numpy as np

from npalexnet import training, visualize
from npalexnet.inference.classifier import Classifier
from npalexnet.inference.validation import ValidationSet
from npalexnet.terminal import progress, shown, table
from npalexnet.training.metrics import Metrics, write_confusion


def evaluate(
    classifier: Classifier,
    validation: ValidationSet,
    *,
    ten_crop: bool = False,
    watch: Callable[[np.ndarray], object] = lambda found: None,
) -> Metrics:
    """Return how well a network classifies labelled pictures.

    Parameters
    ----------
    classifier : Classifier
        The network.
    validation : ValidationSet
        The pictures.
    ten_crop : bool
        Whether each picture's shares are the mean over ten crops.
    watch : callable
        Is handed what the network says of each batch, in the pictures' order: the logarithms of the classes' shares,
        ndarray of float64, (n, K).

    Raises
    ------
    RuntimeError
        If a picture can't be loaded; the message names it.
    ValueError
        If the network's answers are not finite.
    """

    def checked(found: np.ndarray) -> None:
        classifier.check_answers(found)
        watch(found)

    loader = validation.loader(ten_crop=ten_crop)
    return cast("Metrics", training.evaluate(classifier.model, loader, watch=checked))  # nothing asks it to stop


def run(options: argparse.Namespace) -> int:
    """Evaluate as the command line's options say: print a table, write ``confusion.png`` and ``confusion.csv``."""
    classifier = Classifier.load(options.weights, options.device)
    validation = ValidationSet.open(options.data, classifier)
    out = options.out or classifier.path.parent / "evaluation"
    out.mkdir(parents=True, exist_ok=True)
    for note in validation.notes:
        print(shown(note))
    with progress("evaluating", len(validation)) as watch:
        metrics = evaluate(classifier, validation, ten_crop=options.ten_crop, watch=lambda found: watch(len(found)))
    how = ", each the mean of ten crops" if options.ten_crop else ""
    print(f"{shown(validation.name)}: {len(validation):,} held-out images of {len(classifier.classes)} classes{how}\n")
    print(per_class(metrics.confusion, classifier.names))
    print(f"\nloss {metrics.loss:.4f}, top-1 {100 * metrics.top1:.2f} %, top-5 {100 * metrics.top5:.2f} %")
    write_confusion(out / "confusion.csv", metrics.confusion, classifier.names)
    visualize.write_figure(out / "confusion.png", visualize.confusion(metrics.confusion, classifier.names))
    print(f"Wrote confusion.png and confusion.csv to {shown(str(out))}/")
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
