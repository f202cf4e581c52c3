"""Validation data for a trained network."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, cast

import numpy as np

from npalexnet.backend import get_num_threads
from npalexnet.data.datasets import Dataset, Subset, evenly_spread
from npalexnet.data.loader import DataLoader
from npalexnet.data.names import normal, quoted
from npalexnet.data.pipeline import ten_cropped
from npalexnet.data.sources import Data, open_data
from npalexnet.inference.classifier import BATCH_SIZE, Classifier
from npalexnet.training.evaluation import evaluate
from npalexnet.training.metrics import Metrics
from npalexnet.training.run import SPLIT, saved_places, saved_split

if TYPE_CHECKING:
    from npalexnet.data.datasets import Picture


class Relabelled:
    """A data set with its labels renumbered to a network's classes.

    Parameters
    ----------
    dataset : Dataset
    classes : sequence of str
        The network's, with all of the data set's among them, whatever their Unicode form.
    """

    def __init__(self, dataset: Dataset, classes: Sequence[str]) -> None:
        numbers = {normal(name): k for k, name in enumerate(classes)}
        self.dataset, self.classes = dataset, tuple(classes)
        self.labels = np.array([numbers[normal(name)] for name in dataset.classes], np.int64)[dataset.labels]

    def __len__(self) -> int:
        return len(self.dataset)

    def __getitem__(self, index: int) -> tuple[Picture, int]:
        return self.dataset[index][0], int(self.labels[index])

    def name(self, index: int) -> str:
        """Return the picture's name in the data set."""
        return self.dataset.name(index)


@dataclass(frozen=True)
class ValidationSet:
    """Labelled pictures with the network that they are for; as a sequence, the network's inputs, (3, 227, 227) each.

    Attributes
    ----------
    name : str
        What the data are called.
    dataset : Dataset
        N pictures, at least one, labelled with the network's classes.
    classifier : Classifier
        The network.
    notes : sequence of str
        How the data are laid out, and what else the user should know about them.
    grey : bool
        Whether all pictures are grey.
    """

    name: str
    dataset: Dataset
    classifier: Classifier
    notes: Sequence[str] = ()
    grey: bool = False

    @classmethod
    def open(cls, spec: str | None, classifier: Classifier, *, labels: str | None = None) -> ValidationSet:
        """Open the validation pictures of some data, named as for ``npalexnet train --data`` and ``--labels``.

        If both are None, the run's own, and of these no more than its ``--validation-images``.

        An OSError or ValueError if the data can't be read, have no validation picture, or have a class that the network
        doesn't know; or if both are None and the weights don't say which data the run had.
        """
        data = _data(spec, labels, classifier)
        known = {normal(name) for name in classifier.classes}
        unknown = [name for name in data.classes if normal(name) not in known]
        if unknown:
            hint = "" if "classes" in classifier.metadata else "; a file of other names for them is given by --classes"
            raise ValueError(
                f"the data {data.name} have classes that the network in {classifier.path} doesn't know: "
                f"{quoted(unknown)}; its classes are {quoted(classifier.classes)}{hint}"
            )
        if not len(data.validation):
            raise ValueError(f"the data {data.name} have no validation images")
        notes = [data.found, *data.notes] if data.found else data.notes
        dataset = Relabelled(data.validation, classifier.classes)
        return cls(data.name, dataset, classifier, notes, data.grey)

    @property
    def labels(self) -> np.ndarray:
        """The pictures' classes, as numbers of the network's: int64 (N,)."""
        return self.dataset.labels

    def sample(self, count: int) -> ValidationSet:
        """Return a random sample of at most `count` pictures, always the same and in their order."""
        if count >= len(self):
            return self
        rows = np.sort(np.random.default_rng(0).choice(len(self), count, replace=False))
        return replace(self, dataset=Subset(self.dataset, rows))

    def picture(self, i: int) -> Picture:
        """Return picture i of the data."""
        return self.dataset[i][0]

    def seen(self, i: int) -> np.ndarray:
        """Return the part of picture i that the network sees: see `Classifier.seen`."""
        return self.classifier.seen(self.picture(i))

    def loader(self, *, ten_crop: bool = False) -> DataLoader:
        """Return a loader of the pictures, in their order; with `ten_crop`, of ten crops of each."""
        pipeline = ten_cropped(self.classifier.pipeline) if ten_crop else self.classifier.pipeline
        return DataLoader(self.dataset, pipeline, BATCH_SIZE, shuffle=False, workers=get_num_threads())

    def compute_metrics(
        self, *, ten_crop: bool = False, watch: Callable[[np.ndarray], object] = lambda found: None
    ) -> Metrics:
        """Classify all pictures, and compare with their labels.

        Parameters
        ----------
        ten_crop : bool
            Whether to average each picture's probabilities over ten crops.
        watch : callable
            Called with the logarithms of the probabilities of each batch, in order: float64 (n, K).

        Raises
        ------
        LoadError
            If a picture can't be loaded; the message names it.
        ValueError
            If the network's outputs are not finite.
        """

        def checked(found: np.ndarray) -> None:
            self.classifier.check_finite(found)
            watch(found)

        metrics = evaluate(self.classifier.model, self.loader(ten_crop=ten_crop), watch=checked)
        return cast("Metrics", metrics)  # None only if `should_stop` is passed

    def __len__(self) -> int:
        return len(self.dataset)

    def __getitem__(self, i: int) -> np.ndarray:
        return self.classifier.inputs([self.picture(i)])[0]


def _data(spec: str | None, labels: str | None, classifier: Classifier) -> Data:
    """Open data; without `spec` and `labels`, what the run had. A random split that the run made is restored."""
    options = classifier.metadata.get("options")  # of `npalexnet train`, as far as they were given
    if not isinstance(options, dict):
        if spec is None and labels is None:
            raise ValueError(f"{classifier.path} does not say which data it was trained on; name them with --data")
        options = {}
    split = saved_split(classifier.path.parent)
    seed = options.get("seed", 0) if split is None else 0  # the run's seed splits alike, if the files are the same
    count = None
    if spec is None and labels is None:
        places = {**options, **saved_places(classifier.path.parent)}
        spec, labels, count = places.get("data"), places.get("labels"), options.get("test_images")
    data = open_data(spec, seed=seed, split=split, validation_only=True, labels=labels)
    if type(count) is int and 0 < count < len(data.validation):
        everything = f"--data {'sample' if spec is None else spec}" if labels is None else f"--labels {labels}"
        note = (
            f"{count:,} of the {len(data.validation):,} validation images, as in the run's --validation-images; all "
            f"are evaluated with {everything}"
        )
        data = replace(data, validation=evenly_spread(data.validation, count), notes=[*data.notes, note])
    if not data.randomly_split or split is not None:
        return data
    note = (
        f"these pictures may have been trained on: there is no {SPLIT} beside {classifier.path} to say which ones its "
        "run kept for validation"
    )
    return replace(data, notes=[*data.notes, note])
