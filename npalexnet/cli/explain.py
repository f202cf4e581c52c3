"""``npalexnet explain``: a page that takes one picture through a trained network, number by number."""

from __future__ import annotations

import argparse
from pathlib import Path

from npalexnet.cli.look_facts import network_name
from npalexnet.cli.look_options import class_number
from npalexnet.cli.options import add_data, add_threads, add_weights, as_path, load_classifier
from npalexnet.data.datasets import picture_key
from npalexnet.data.images import open_picture
from npalexnet.explain.page import explain
from npalexnet.files import atomic_write, make_folder
from npalexnet.inference.classifier import Classifier
from npalexnet.inference.validation import ValidationSet
from npalexnet.terminal import shown

NAME = "explain.html"
SUFFIXES = (".html", ".htm")


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the options of the command to its parser."""
    add_weights(parser)
    parser.add_argument("image", nargs="?", metavar="IMAGE", help="image file (default: a validation image)")
    add_data(parser)
    parser.add_argument(
        "--class", dest="class_name", metavar="NAME",
        help="the class whose loss is differentiated (default: the validation image's own; for IMAGE the most probable "
        "one); a name that begins with - is given as --class=NAME",
    )  # fmt: skip
    parser.add_argument(
        "--out", type=as_path, metavar="FILE",
        help=f"what to write, a file that ends with .html (default: {NAME} in the run's folder, or beside the file of "
        "weights)",
    )  # fmt: skip
    add_threads(parser)


def run(options: argparse.Namespace) -> int:
    """Write the page."""
    classifier = load_classifier(options)
    label = None if options.class_name is None else class_number(classifier, options.class_name)
    out = _checked(options.out or classifier.path.parent / NAME)
    if options.image is None:
        validation = ValidationSet.open(options.data, classifier, labels=options.labels)
        for note in validation.notes:
            print(shown(note))
        picture, true = validation.sample(1).picture(0), int(validation.sample(1).labels[0])
        key = picture_key(validation.sample(1).dataset.name(0))
        name = f"{key}, a validation image of class {classifier.names[true]}"
        why = "which is the validation image's own"
    else:
        picture, true, name, why = open_picture(options.image), None, picture_key(options.image), ""
    image, seen = classifier.inputs([picture])[0], classifier.seen(picture)
    probable = int(classifier.log_probabilities(image[None])[0].argmax())
    if label is not None:
        why = "which was asked for"
    elif true is None:
        why = "which the network finds most probable"
    chosen = next(k for k in (label, true, probable) if k is not None)
    document = explain(
        classifier.model, image, seen, name, classifier.names, chosen, why=why, dropout=_dropout(classifier),
        title=f"One picture through the network of {network_name(classifier)}",
    )  # fmt: skip
    make_folder(out.parent)
    with atomic_write(out) as temporary:
        temporary.write_text(document, encoding="utf-8")
    size = f"{len(document.encode()) / 1e6:.1f} MB"
    print(shown(f"Wrote {out}: {name}, forward and backward; one file for any browser, {size}"))
    return 0


def _checked(out: Path) -> Path:
    """Return where to write, or raise a ValueError if that is no page."""
    if out.is_dir():
        raise ValueError(f"--out must be a file, such as {out / NAME}; {out} is a folder")
    if out.suffix.lower() not in SUFFIXES:
        raise ValueError(f"--out must be a file that ends with .html, got {out}")
    return out


def _dropout(classifier: Classifier) -> float | None:
    """Return the probability of dropout in the run's training, if its weights say so."""
    options = classifier.metadata.get("options")
    p = options.get("dropout") if isinstance(options, dict) else None
    return float(p) if isinstance(p, int | float) and not isinstance(p, bool) and 0 <= p <= 1 else None
