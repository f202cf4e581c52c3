"""``npalexnet look``: figures of the inside of a trained network, and a page that shows it all."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from npalexnet import backend, visualize
from npalexnet.cli.look_facts import network_facts, network_name, validation_facts
from npalexnet.cli.look_options import add_options, class_number, existing_unit
from npalexnet.cli.options import chosen_device, described_device, load_classifier
from npalexnet.data.datasets import picture_key
from npalexnet.data.images import open_picture
from npalexnet.files import atomic_write, make_folder
from npalexnet.inference.validation import ValidationSet
from npalexnet.layers.activation import ReLU
from npalexnet.layers.conv import Conv2d
from npalexnet.layers.layer import Layer
from npalexnet.layers.normalization import ResponseNorm
from npalexnet.layers.pooling import MaxPool2d
from npalexnet.terminal import progress, shown
from npalexnet.training.metrics import Metrics
from npalexnet.training.run import METRICS
from npalexnet.visualize import html, sections
from npalexnet.visualize.activations import activations, most_variable, occlusion_map, responses
from npalexnet.visualize.names import layer_title, unit_title
from npalexnet.visualize.page import Section, page
from npalexnet.visualize.results import read_metrics

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from npalexnet.data.datasets import Picture

SHOWN = (ReLU, MaxPool2d, ResponseNorm)  # the layers whose outputs are drawn, besides the last one's
LOGITS = "classifier.6"
OPEN = ("convolution 1", "convolution 3", "convolution 5")  # the others are unfolded with a click
CELLS = 15

__all__ = ["Look", "add_options", "convolutions", "run"]


class Look:
    """Draws figures of a network, and makes the parts of a page that shows the same.

    Parameters
    ----------
    validation : ValidationSet
        Validation data and the network.
    out : Path
        The folder to write to; it is made.
    """

    def __init__(self, validation: ValidationSet, out: Path) -> None:
        self.classifier, self.validation, self.out = validation.classifier, validation, out
        make_folder(out)
        self.figures: list[Path] = []

    def answer(self, picture: Picture, name: str, label: int | None, suffix: str = "") -> str:
        """Return what the network answers for a picture, and where the evidence for a class is; draw it, too.

        `label` is the class, by default the most probable one; `suffix` is for the name of the figure's file.
        """
        image, seen = self.classifier.inputs([picture])[0], self.classifier.seen(picture)
        model, classes = self.classifier.model, self.classifier.names
        probabilities = np.exp(self.classifier.log_probabilities(image[None])[0])
        label = int(probabilities.argmax()) if label is None else label
        with progress("occlusion", CELLS**2, "square") as watch:
            found = occlusion_map(model, image, label, cells=CELLS, watch=watch)
        self._draw(
            f"occlusion{suffix}.png",
            visualize.occlusion(model, image, label, name=classes[label], picture=seen, found=found),
        )
        return sections.answer(seen, name, probabilities, classes, label, found[1])

    def layers(self, picture: Picture, suffix: str = "") -> str:
        """Return the network's feature maps for a picture; draw them, too."""
        image, seen = self.classifier.inputs([picture])[0], self.classifier.seen(picture)
        model = self.classifier.model
        names = [*(layer for layer, kind in model.named_leaves() if isinstance(kind, SHOWN)), LOGITS]
        parts = []
        for layer, found in activations(model, image[None], names).items():
            outputs = self.classifier.names if layer == LOGITS else None
            self._draw(
                f"features-{layer}{suffix}.png",
                visualize.feature_maps(model, image, layer, picture=seen, names=outputs),
            )
            values = backend.device_of(found).to_host(found)[0].astype(np.float32, copy=False)
            title = layer_title(model, layer)
            note, body = sections.layer(values, title, outputs)
            parts.append(html.unfolding(title, f"{note} ({layer})", body, is_open=title in OPEN))
        return "".join(parts)

    def evaluation(self) -> tuple[Metrics, list[Section]]:
        """Classify the validation pictures; show the mistakes and the confusion matrix."""
        classes, probabilities = self.classifier.names, []
        with progress("classifying", len(self.validation)) as advance:

            def keep(found: np.ndarray) -> None:
                probabilities.append(np.exp(found))
                advance(len(found))

            metrics = self.validation.compute_metrics(watch=keep)
        self._draw("confusion.png", visualize.confusion(metrics.confusion, classes))
        labels, found = self.validation.labels, np.concatenate(probabilities)
        self._draw("mistakes.png", visualize.mistakes(self.validation.picture, labels, found, classes))
        return metrics, [
            Section("Mistakes", "", sections.mistakes(self.validation.picture, labels, found, classes)),
            Section("What is confused with what", "", sections.confusion(metrics.confusion, classes)),
        ]

    def top_activating(self, units: Sequence[tuple[str, int]], image: np.ndarray | None) -> Section:
        """Show the images that activate some channels most.

        By default, of one channel of each convolution: the one that `image` activates most or, without an image, the
        one whose activation varies most; none of a convolution that is 0 in all images.
        """
        model, classes = self.classifier.model, self.classifier.names
        layers = list(dict.fromkeys(layer for layer, _ in units)) or list(convolutions(model).values())
        with progress("responses", len(self.validation)) as watch:
            found = responses(model, self.validation, layers, watch)
        if units:
            which = "The channels that were asked for."
        elif image is not None:
            which = "Of each convolution, the channel that the picture activates most."
            in_image = responses(model, image[None], layers)
            units = [(layer, int(in_image[layer].values[0].argmax())) for layer in layers]
            units = [(layer, channel) for layer, channel in units if in_image[layer].values[0, channel] != 0]
        else:
            which = "Of each convolution, the channel whose activation varies most between the images."
            chosen = most_variable(found).items()
            units = [(layer, channel) for layer, channel in chosen if found[layer].values[:, channel].any()]
        names, seen, parts = [classes[k] for k in self.validation.labels], self.validation.seen, []
        for layer, channel in units:
            figure = visualize.top_activating(
                model, self.validation, (layer, channel), names=names, pictures=seen, found=found[layer]
            )
            self._draw(f"top-activating-{layer}-{channel}.png", figure)
            tiles = sections.excites(model, self.validation, (layer, channel), names, seen, found[layer])
            title = f"{html.text(unit_title(model, layer, channel))} <span>{html.text(f'{layer}:{channel}')}</span>"
            parts.append(f"<h3>{title}</h3>{tiles}")
        words = f"{which} The frame is all that the activation, the number, depends on; without one it is all."
        return Section("What excites its channels", words, "".join(parts))

    def training(self) -> list[Section]:
        """Show the filters and, if the run's folder has its metrics, the curves of training."""
        layers = (layer for _, layer in self.classifier.model.named_leaves())
        weight = next(layer.weight.data for layer in layers if isinstance(layer, Conv2d))
        weight, grey = backend.device_of(weight).to_host(weight), self.validation.grey
        self._draw("filters.png", visualize.filters(weight, grey=grey))
        what = ", summed over the colour channels, which are equal in grey images" * grey
        words = f"The weights of convolution 1{what}, each filter scaled on its own."
        found = [Section("Filters", words, sections.filters(weight, grey=grey))]
        if records := read_metrics(self.classifier.path.with_name(METRICS)):
            step = self.classifier.metadata.get("steps")
            step = step if isinstance(step, int) else None
            self._draw("curves.png", visualize.curves(records, kept_step=step))
            found.append(Section("Training", "", sections.curves(records, step)))
        return found

    def page(self, opening: str, parts: Sequence[Section]) -> Path:
        """Write the page, and return its path."""
        path = self.out / "index.html"
        content = page(f"A look inside the network of {network_name(self.classifier)}", opening, parts)
        with atomic_write(path) as temporary:
            temporary.write_text(content, encoding="utf-8")
        return path

    def _draw(self, name: str, figure: Figure) -> None:
        visualize.write_figure(self.out / name, figure)
        self.figures.append(self.out / name)


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
    pictures: list[tuple[str, Picture]] = [(picture_key(path), open_picture(path)) for path in options.image]
    whole = ValidationSet.open(options.data, classifier, labels=options.labels)
    validation = whole.sample(options.images)
    for note in validation.notes:
        print(shown(note))
    look = Look(validation, options.out or classifier.path.parent / "look")
    if not pictures:
        name = picture_key(validation.dataset.name(0))
        is_a = classifier.names[validation.labels[0]]
        pictures = [(f"a validation image: {name}, of class {is_a}", validation.picture(0))]
    suffixes = ["", *(f"-{i}" for i in range(2, len(pictures) + 1))]
    answers = [
        look.answer(picture, name, label, suffix) for (name, picture), suffix in zip(pictures, suffixes, strict=True)
    ]
    metrics, results = look.evaluation()
    excites = look.top_activating(units, classifier.inputs([pictures[0][1]])[0] if options.image else None)
    layers = look.layers(pictures[0][1])
    for (name, picture), suffix in zip(pictures[1:], suffixes[1:], strict=True):
        layers += html.unfolding(f"The same for {name}", "", look.layers(picture, suffix), is_open=False)
    words = f"The feature maps for {pictures[0][0]}, black at 0; a layer's are on one scale."
    facts = html.facts([*network_facts(classifier), *validation_facts(validation, len(whole), metrics)])
    mistakes, confusion = results
    path = look.page(
        "".join(answers),
        [
            mistakes, excites, Section("Layer by layer", words, layers), *look.training(), confusion,
            Section("The run", "", facts),
        ],
    )  # fmt: skip
    images = f"{len(validation):,} validation images, computed on {described_device(device)}"
    print(f"{shown(validation.name)}: accuracy {100 * metrics.top1:.1f} % on {images}")
    print(shown(f"Wrote {len(look.figures)} figures to {look.out}/; {path} shows them all"))
    return 0
