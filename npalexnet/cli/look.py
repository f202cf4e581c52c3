"""A look inside a trained network: pictures, and a page that shows them together. ``npalexnet look``."""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from npalexnet import backend, visualize
from npalexnet.alexnet import IMAGE_SIZE
from npalexnet.cli.evaluate import evaluate
from npalexnet.data.images import open_picture
from npalexnet.files import atomic_write
from npalexnet.inference.classifier import Classifier
from npalexnet.inference.validation import ValidationSet
from npalexnet.terminal import progress, shown
from npalexnet.training.metrics import Metrics
from npalexnet.visualize.activations import activations, check_layer, most_variable, responses
from npalexnet.visualize.page import Section, page
from npalexnet.weights import FILE_NAME

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from npalexnet.data.datasets import Picture

MAPS = [f"layers.{i}" for i in (1, 2, 4, 5, 7, 9, 11, 12)]  # behind each ReLU and each pool
UNITS = [f"classifier.{i}" for i in (2, 5)]
LOGITS = "classifier.6"
EXCITED = ["layers.1", "layers.4", "layers.7", "layers.9", "layers.11"]  # the ReLU behind each convolution
CELLS = 15

Unit = tuple[str, int]


class Look:
    """Writes pictures of a network to a folder, and a page of them.

    Parameters
    ----------
    classifier : Classifier
        The network.
    validation : ValidationSet
        Labelled pictures to look at it with.
    out : Path
        The folder; it is made.
    """

    def __init__(self, classifier: Classifier, validation: ValidationSet, out: Path) -> None:
        self.classifier, self.validation, self.out = classifier, validation, out
        out.mkdir(parents=True, exist_ok=True)
        self.sections: list[Section] = []
        self.drawn: list[Path] = []

    def run(self) -> None:
        """Draw the filters and, where the run's folder has its metrics, the curves of training."""
        weight = dict(self.classifier.model.named_parameters())["layers.0.weight"].data
        weight = backend.device_of(weight).to_host(weight)
        filters = self._draw("filters.png", visualize.filters(weight, grey=self.validation.grey))
        records = _records(self.classifier.path.parent)
        if records:
            curves = self._draw("curves.png", visualize.curves(records))
            self._add("Training", "Loss and accuracy, batch by batch and on held-out images.", [(curves, "")])
        self._add("Filters", "What the first convolution looks for in each place of an image.", [(filters, "")])

    def evaluation(self) -> Metrics:
        """Classify the held-out pictures; draw the confusion matrix and the mistakes."""
        classes, shares = self.classifier.names, []
        with progress("classifying", len(self.validation)) as advance:

            def keep(found: np.ndarray) -> None:
                shares.append(np.exp(found))
                advance(len(found))

            metrics = evaluate(self.classifier, self.validation, watch=keep)
        confusion = self._draw("confusion.png", visualize.confusion(metrics.confusion, classes))
        mistakes = visualize.mistakes(self.validation.picture, self.validation.labels, np.concatenate(shares), classes)
        text = "Each row is a true class; the numbers are images, and what is off the diagonal is mistaken."
        self._add("Confusion matrix", text, [(confusion, "")])
        text = "Held-out pictures that were named wrongly, with the share of the class that they were taken for."
        self._add("Mistakes", text, [(self._draw("mistakes.png", mistakes), "")])
        return metrics

    def top_activating(self, units: Sequence[Unit], image: np.ndarray | None) -> None:
        """Draw what excites units most; without any, one of each convolution.

        That is the one which is excited most by `image` or, without it, which differs most between the pictures.
        """
        layers = list(dict.fromkeys(layer for layer, _ in units)) or EXCITED
        with progress("top_activating", len(self.validation)) as watch:
            found = responses(self.classifier.model, self.validation, layers, watch)
        if units:
            why = "The units that were asked for."
        elif image is not None:
            why = "Of each convolution the channel that the image excites most."
            in_image = responses(self.classifier.model, image[None], layers)
            units = [(layer, int(in_image[layer].values[0].argmax())) for layer in layers]
        else:
            why = "Of each convolution the channel whose excitement differs most between the images."
            units = list(most_variable(found).items())
        classes = self.classifier.names
        names = [classes[k] for k in self.validation.labels]
        pictures = []
        for layer, channel in units:
            figure = visualize.top_activating(
                self.classifier.model, self.validation, (layer, channel), names=names, pictures=self.validation.seen,
                found=found[layer],
            )  # fmt: skip
            pictures.append((self._draw(f"top-activating-{layer}-{channel}.png", figure), ""))
        self._add("What excites a unit", f"{why} The frame is the part of the image that the unit sees.", pictures)

    def image(self, picture: Picture, name: str, label: int | None) -> None:
        """Draw what becomes of a picture, layer by layer, and what its class depends on.

        `label` is the class that is asked about; None: the most probable one.
        """
        image, seen = self.classifier.inputs([picture])[0], self.classifier.seen(picture)
        model, classes = self.classifier.model, self.classifier.names
        shares = np.exp(self.classifier.log_probabilities(image[None])[0])
        label = int(shares.argmax()) if label is None else label
        with progress("occlusion", CELLS**2, "square") as watch:
            figure = visualize.occlusion(
                model, image, label, name=classes[label], picture=seen, cells=CELLS, watch=watch
            )
        best = ", ".join(f"{classes[k]} {100 * shares[k]:.1f} %" for k in np.argsort(-shares, kind="stable")[:3])
        occlusion = self._draw("occlusion.png", figure)
        self._add("What the answer depends on", f"The image is {name}. The network says: {best}.", [(occlusion, "")])
        pictures = []
        for layer in [*MAPS, *UNITS, LOGITS]:
            names = classes if layer == LOGITS else None
            figure = visualize.feature_maps(model, image, layer, picture=seen, names=names)
            pictures.append((self._draw(f"features-{layer}.png", figure), ""))
        self._add("Layer by layer", f"What becomes of {name} on its way through the network.", pictures)

    def page(self, facts: Sequence[tuple[str, str]]) -> Path:
        """Write the page, and return its path."""
        path = self.out / "index.html"
        weights = self.classifier.path
        name = weights.parent if weights.name == FILE_NAME else weights
        with atomic_write(path) as temporary:
            content = page(shown(f"A look inside the network of {name}"), facts, self.sections)
            temporary.write_text(content, encoding="utf-8")
        return path

    def _add(self, title: str, text: str, pictures: Sequence[tuple[Path, str]]) -> None:
        self.sections.append(Section(title, shown(text), pictures))

    def _draw(self, name: str, figure: Figure) -> Path:
        self.drawn.append(self.out / name)
        visualize.write_figure(self.drawn[-1], figure)
        return self.drawn[-1]


def run(options: argparse.Namespace) -> int:
    """Look inside as the command line's options say."""
    classifier = Classifier.load(options.weights, options.device)
    units = [_unit(classifier, layer, channel) for layer, channel in options.unit or []]
    label = None if options.class_name is None else _class(classifier, options.class_name)
    picture: Picture | None = None if options.image is None else open_picture(options.image)
    validation = ValidationSet.open(options.data, classifier)
    total = len(validation)
    validation = validation.sample(options.images)
    for note in validation.notes:
        print(shown(note))
    look = Look(classifier, validation, options.out or classifier.path.parent / "look")
    name = options.image
    if picture is None:
        where, is_a = validation.dataset.name(0), classifier.names[validation.labels[0]]
        name = f"the first held-out image ({where}, of class {is_a})"
        picture = validation.picture(0)
    look.run()
    metrics = look.evaluation()
    look.image(picture, name, label)
    look.top_activating(units, None if options.image is None else classifier.inputs([picture])[0])
    path = look.page([*_facts(classifier), *_results(validation, total, metrics)])
    print(f"{shown(validation.name)}: {100 * metrics.top1:.1f} % of {len(validation):,} held-out images named rightly")
    print(shown(f"Wrote {len(look.drawn)} pictures to {look.out}/; {path} shows them together"))
    return 0


def _unit(classifier: Classifier, layer: str, channel: int) -> Unit:
    """Return a unit that exists."""
    check_layer(classifier.model, layer)
    shape = activations(classifier.model, np.zeros((1, 3, IMAGE_SIZE, IMAGE_SIZE), np.float32), [layer])[layer].shape
    if channel >= shape[1]:
        raise ValueError(f"unit {layer}:{channel} doesn't exist; {layer} has the channels 0 to {shape[1] - 1}")
    return layer, channel


def _class(classifier: Classifier, name: str) -> int:
    if name not in classifier.classes:
        raise ValueError(f"class must be one of {', '.join(map(repr, classifier.classes))}, got {name!r}")
    return classifier.classes.index(name)


def _records(folder: Path) -> list[dict[str, Any]]:
    """Return the lines of a run's metrics that can be read; the last one may be just being written."""
    try:
        lines = (folder / "metrics.jsonl").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return []
    records = []
    for line in lines:
        with suppress(ValueError):
            records.append(json.loads(line))
    return [record for record in records if isinstance(record, dict)]


def _facts(classifier: Classifier) -> list[tuple[str, str]]:
    """Return what the weights file says of its training."""
    options = classifier.metadata.get("options")
    options = options if isinstance(options, dict) else {}
    wanted = (
        "recipe", "epochs", "batch_size", "lr", "schedule", "warmup", "momentum", "weight_decay", "dropout", "init",
        "precision", "seed",
    )  # fmt: skip
    facts = [("weights", shown(str(classifier.path))), ("classes", f"{len(classifier.classes)}")]
    if "steps" in classifier.metadata:
        facts.append(("training steps", f"{classifier.metadata['steps']}"))
    settings = [f"{name.replace('_', ' ')} {options[name]}" for name in wanted if name in options]
    return facts + ([("settings", ", ".join(settings))] if settings else [])


def _results(validation: ValidationSet, total: int, metrics: Metrics) -> list[tuple[str, str]]:
    drawn = f", {len(validation):,} of them drawn for this page" if len(validation) < total else ""
    return [
        ("held-out data", f"{shown(validation.name)}: {total:,} images{drawn}"),
        ("loss", f"{metrics.loss:.3f}"),
        ("right at once (top-1)", f"{100 * metrics.top1:.1f} %"),
        ("among the first five (top-5)", f"{100 * metrics.top5:.1f} %"),
    ]
