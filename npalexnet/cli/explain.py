"""``npalexnet explain``: a page that takes one picture through a trained network, number by number."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

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

if TYPE_CHECKING:
    from npalexnet.data.datasets import Picture

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
    asked = None if options.class_name is None else class_number(classifier, options.class_name)
    out = _checked(options.out or classifier.path.parent / NAME)
    if options.image is None:
        picture, name, label = _validation_image(options, classifier)
        why = "which is the validation image's own"
    else:
        picture, name = open_picture(options.image), picture_key(options.image)
        label, why = None, "which the network finds most probable"
    image = classifier.inputs([picture])[0]
    if label is None:
        label = int(classifier.log_probabilities(image[None])[0].argmax())
    if asked is not None:
        label, why = asked, "which was asked for"
    document = explain(
        classifier.model, image, classifier.seen(picture), name, classifier.names, label, why=why,
        title=f"One picture through the network of {network_name(classifier)}", dropout=_dropout(classifier),
    )  # fmt: skip
    make_folder(out.parent)
    with atomic_write(out) as temporary:
        temporary.write_text(document, encoding="utf-8")
    size = f"{len(document.encode()) / 1e6:.1f} MB"
    print(shown(f"Wrote {out}: {name}, forward and backward; one file for any browser, {size}"))
    return 0


def _validation_image(options: argparse.Namespace, classifier: Classifier) -> tuple[Picture, str, int | None]:
    """Return a validation image, what it is called, and its class: the one that ``npalexnet look`` shows."""
    validation = ValidationSet.open(options.data, classifier, labels=options.labels).sample(1000)
    for note in validation.notes:
        print(shown(note))
    label = int(validation.labels[0])
    name = picture_key(validation.dataset.name(0))
    return validation.picture(0), f"{name}, a validation image of class {classifier.names[label]}", label


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
