"""``npalexnet look``: figures of the inside of a trained network, and a page that shows them all."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from npalexnet import backend, visualize
from npalexnet.cli.look_options import add_options, class_number, existing_unit
from npalexnet.cli.options import chosen_device, described_device, load_classifier
from npalexnet.data.images import open_picture
from npalexnet.files import atomic_write
from npalexnet.inference.classifier import Classifier
from npalexnet.inference.validation import ValidationSet
from npalexnet.layers.activation import ReLU
from npalexnet.layers.conv import Conv2d
from npalexnet.layers.layer import Layer
from npalexnet.layers.normalization import ResponseNorm
from npalexnet.layers.pooling import MaxPool2d
from npalexnet.terminal import progress, shown
from npalexnet.training.metrics import Metrics
from npalexnet.training.run import METRICS
from npalexnet.visualize.activations import most_variable, responses
from npalexnet.visualize.page import Section, page
from npalexnet.visualize.results import read_metrics
from npalexnet.weights import FILE_NAME

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from npalexnet.data.datasets import Picture

SHOWN = (ReLU, MaxPool2d, ResponseNorm)  # the layers whose outputs are drawn, besides the last one's
LOGITS = "classifier.6"
CELLS = 15

__all__ = ["Look", "add_options", "convolutions", "run"]


class Look:
    """Draws figures of a network, and writes a page of them.

    Parameters
    ----------
    validation : ValidationSet
        Validation data and the network.
    out : Path
        The folder to write to; it is made.
    """

    def __init__(self, validation: ValidationSet, out: Path) -> None:
        self.classifier, self.validation, self.out = validation.classifier, validation, out
        out.mkdir(parents=True, exist_ok=True)
        self.sections: list[Section] = []
        self.figures: list[Path] = []

    def training(self) -> None:
        """Draw the filters and, if the run's folder has its metrics, the curves of training."""
        layers = (layer for _, layer in self.classifier.model.named_leaves())
        weight = next(layer.weight.data for layer in layers if isinstance(layer, Conv2d))
        weight = backend.device_of(weight).to_host(weight)
        filters = self._draw("filters.png", visualize.filters(weight, grey=self.validation.grey))
        if records := read_metrics(self.classifier.path.with_name(METRICS)):
            curves = self._draw("curves.png", visualize.curves(records))
            self._add("Training", "Loss and accuracy, of each batch and on the validation images.", [(curves, "")])
        self._add("Filters", "The weights of the first convolution.", [(filters, "")])

    def evaluation(self) -> Metrics:
        """Classify the validation pictures; draw the confusion matrix and the mistakes."""
        classes, probabilities = self.classifier.names, []
        with progress("classifying", len(self.validation)) as advance:

            def keep(found: np.ndarray) -> None:
                probabilities.append(np.exp(found))
                advance(len(found))

            metrics = self.validation.compute_metrics(watch=keep)
        confusion = self._draw("confusion.png", visualize.confusion(metrics.confusion, classes))
        pictures, labels = self.validation.picture, self.validation.labels
        mistakes = visualize.mistakes(pictures, labels, np.concatenate(probabilities), classes)
        text = "A row for each true class, a column for each predicted class; all images off the diagonal are mistakes."
        self._add("Confusion matrix", text, [(confusion, "")])
        text = "Misclassified validation images: the true class, the predicted class and its probability."
        self._add("Mistakes", text, [(self._draw("mistakes.png", mistakes), "")])
        return metrics

    def top_activating(self, units: Sequence[tuple[str, int]], image: np.ndarray | None) -> None:
        """Draw the top-activating images of some channels.

        By default, of one channel of each convolution: the one that `image` activates most or, without an image, the
        one whose activation varies most.
        """
        layers = list(dict.fromkeys(layer for layer, _ in units)) or list(convolutions(self.classifier.model).values())
        with progress("responses", len(self.validation)) as watch:
            found = responses(self.classifier.model, self.validation, layers, watch)
        if units:
            which = "The channels that were asked for."
        elif image is not None:
            which = "Of each convolution, the channel that the image activates most."
            in_image = responses(self.classifier.model, image[None], layers)
            units = [(layer, int(in_image[layer].values[0].argmax())) for layer in layers]
        else:
            which = "Of each convolution, the channel whose activation varies most between the images."
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
        self._add("Top-activating images", f"{which} The frame is the receptive field of the maximum.", pictures)

    def image(self, picture: Picture, name: str, label: int | None) -> None:
        """Draw the feature maps of a picture, and the occlusion map for a class, by default the most probable one."""
        image, seen = self.classifier.inputs([picture])[0], self.classifier.seen(picture)
        model, classes = self.classifier.model, self.classifier.names
        probabilities = np.exp(self.classifier.log_probabilities(image[None])[0])
        label = int(probabilities.argmax()) if label is None else label
        with progress("occlusion", CELLS**2, "square") as watch:
            figure = visualize.occlusion(
                model, image, label, name=classes[label], picture=seen, cells=CELLS, watch=watch
            )
        top = np.argsort(-probabilities, kind="stable")[:3]
        best = ", ".join(f"{classes[k]} {100 * probabilities[k]:.1f} %" for k in top)
        occlusion = self._draw("occlusion.png", figure)
        text = f"The image is {name}. The network predicts: {best}."
        self._add("What the prediction depends on", text, [(occlusion, "")])
        pictures = []
        for layer in [*(layer for layer, kind in model.named_leaves() if isinstance(kind, SHOWN)), LOGITS]:
            names = classes if layer == LOGITS else None
            figure = visualize.feature_maps(model, image, layer, picture=seen, names=names)
            pictures.append((self._draw(f"features-{layer}.png", figure), ""))
        self._add("Layer by layer", f"The network's feature maps for {name}.", pictures)

    def page(self, facts: Sequence[tuple[str, str]]) -> Path:
        """Write the page, and return its path."""
        path = self.out / "index.html"
        weights = self.classifier.path
        name = weights.parent if weights.name == FILE_NAME else weights
        content = page(f"A look inside the network of {name}", facts, self.sections)
        with atomic_write(path) as temporary:
            temporary.write_text(content, encoding="utf-8")
        return path

    def _add(self, title: str, text: str, pictures: Sequence[tuple[Path, str]]) -> None:
        self.sections.append(Section(title, text, pictures))

    def _draw(self, name: str, figure: Figure) -> Path:
        visualize.write_figure(self.out / name, figure)
        self.figures.append(self.out / name)
        return self.out / name


def convolutions(model: Layer) -> dict[str, str]:
    """Return the convolutions of a network, each with the ReLU behind it, by name."""
    found: dict[str, str] = {}
    last = None
    for name, layer in model.named_leaves():
        if isinstance(layer, Conv2d):
            found[name], last = name, name
        elif isinstance(layer, ReLU) and last is not None:
            found[last], last = name, None
    return found


def run(options: argparse.Namespace) -> int:
    """Draw all figures, and write the page."""
    device = chosen_device(options.device)
    classifier = load_classifier(options, device)
    units = [existing_unit(classifier, layer, channel) for layer, channel in options.unit or []]
    label = None if options.class_name is None else class_number(classifier, options.class_name)
    picture: Picture | None = None if options.image is None else open_picture(options.image)
    validation = ValidationSet.open(options.data, classifier, labels=options.labels)
    total = len(validation)
    validation = validation.sample(options.images)
    for note in validation.notes:
        print(shown(note))
    look = Look(validation, options.out or classifier.path.parent / "look")
    name = options.image
    if picture is None:
        where, is_a = validation.dataset.name(0), classifier.names[validation.labels[0]]
        name = f"the first validation image ({where}, of class {is_a})"
        picture = validation.picture(0)
    look.training()
    metrics = look.evaluation()
    look.image(picture, name, label)
    look.top_activating(units, None if options.image is None else classifier.inputs([picture])[0])
    path = look.page([*_facts(classifier), *_results(validation, total, metrics)])
    images = f"{len(validation):,} validation images, computed on {described_device(device)}"
    print(f"{shown(validation.name)}: accuracy {100 * metrics.top1:.1f} % on {images}")
    print(shown(f"Wrote {len(look.figures)} figures to {look.out}/; {path} shows them all"))
    return 0


def _facts(classifier: Classifier) -> list[tuple[str, str]]:
    """Return what the weights file says about the training."""
    options = classifier.metadata.get("options")
    options = options if isinstance(options, dict) else {}
    wanted = (
        "recipe", "epochs", "batch_size", "lr", "schedule", "warmup", "momentum", "weight_decay", "dropout", "init",
        "precision", "seed",
    )  # fmt: skip
    facts = [("weights", str(classifier.path)), ("classes", f"{len(classifier.classes)}")]
    if "steps" in classifier.metadata:
        facts.append(("training steps", f"{classifier.metadata['steps']}"))
    settings = [f"{name.replace('_', ' ')} {options[name]}" for name in wanted if name in options]
    return facts + ([("settings", ", ".join(settings))] if settings else [])


def _results(validation: ValidationSet, total: int, metrics: Metrics) -> list[tuple[str, str]]:
    sample = f", {len(validation):,} of them chosen at random for this page" if len(validation) < total else ""
    return [
        ("validation data", f"{validation.name}: {total:,} images{sample}"),
        ("loss", f"{metrics.loss:.3f}"),
        ("top-1 accuracy", f"{100 * metrics.top1:.1f} %"),
        ("top-5 accuracy", f"{100 * metrics.top5:.1f} %"),
    ]
