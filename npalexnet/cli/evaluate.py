"""``npalexnet evaluate``: a trained network's accuracy on validation images."""

from __future__ import annotations

import argparse
from collections.abc import Sequence

import numpy as np

from npalexnet import visualize
from npalexnet.cli.options import (
    add_data,
    add_device,
    add_out,
    add_ten_crop,
    add_weights,
    chosen_device,
    described_device,
    load_classifier,
)
from npalexnet.data.confusion import Confusion, entries
from npalexnet.inference.validation import ValidationSet
from npalexnet.terminal import progress, shown, table
from npalexnet.training.metrics import write_confusion

MOST_ROWS = 1000  # of the table of classes; of more classes it has
LOWEST = 50


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the options of the command to its parser."""
    add_weights(parser)
    add_data(parser)
    add_ten_crop(parser)
    add_out(parser, "evaluation")
    add_device(parser)


def run(options: argparse.Namespace) -> int:
    """Print a table of the classes, and write ``confusion.png`` and ``confusion.csv``."""
    device = chosen_device(options.device)
    classifier = load_classifier(options, device)
    validation = ValidationSet.open(options.data, classifier, labels=options.labels)
    out = options.out or classifier.path.parent / "evaluation"
    out.mkdir(parents=True, exist_ok=True)
    for note in validation.notes:
        print(shown(note))
    with progress("evaluating", len(validation)) as watch:
        metrics = validation.compute_metrics(ten_crop=options.ten_crop, watch=lambda found: watch(len(found)))
    crops = ", averaged over ten crops" if options.ten_crop else ""
    images = f"{len(validation):,} validation images of {len(classifier.classes)} classes"
    print(f"{shown(validation.name)}: {images}{crops}, computed on {described_device(device)}\n")
    print(per_class(metrics.confusion, classifier.names))
    print(f"\nloss {metrics.loss:.4f}, top-1 accuracy {100 * metrics.top1:.2f} %, top-5 {100 * metrics.top5:.2f} %")
    write_confusion(out / "confusion.csv", metrics.confusion, classifier.names)
    visualize.write_figure(out / "confusion.png", visualize.confusion(metrics.confusion, classifier.names))
    print(f"Wrote confusion.png and confusion.csv to {shown(str(out))}/")
    return 0


def per_class(matrix: Confusion | np.ndarray, classes: Sequence[str]) -> str:
    """Return a table of a confusion matrix: each class's accuracy, and what it is most often confused with.

    Of more than `MOST_ROWS` classes, those of the lowest accuracy.
    """
    found: list[dict[int, int]] = [{} for _ in classes]
    for i, j, n in zip(*(numbers.tolist() for numbers in entries(matrix)), strict=True):
        found[i][j] = n
    images = [sum(counts.values()) for counts in found]
    order, heading = list(range(len(classes))), ""
    if len(classes) > MOST_ROWS:
        order = sorted((k for k in order if images[k]), key=lambda k: (found[k].get(k, 0) / images[k], k))[:LOWEST]
        heading = f"The {len(order)} of {len(classes):,} classes with the lowest accuracy:\n\n"
    rows = []
    for k in order:
        others = sorted(((n, -j) for j, n in found[k].items() if j != k), reverse=True)[:2]
        confused = ", ".join(f"{classes[-j]} ({n})" for n, j in others) or "-"
        correct = found[k].get(k, 0)
        accuracy = f"{100 * correct / images[k]:.1f}" if images[k] else "-"
        rows.append([classes[k], confused, f"{images[k]:,}", f"{correct:,}", accuracy])
    return heading + table(["class", "most often confused with", "images", "correct", "accuracy (%)"], rows, left=2)
