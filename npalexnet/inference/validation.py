"""The labelled pictures that a trained network is judged by."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from npalexnet.backend import get_num_threads
from npalexnet.data.datasets import Dataset, Subset
from npalexnet.data.loader import DataLoader
from npalexnet.data.pipeline import ten_cropped
from npalexnet.data.sources import Data, open_data
from npalexnet.inference.classifier import BATCH_SIZE, Classifier
from npalexnet.training.run import SPLIT, saved_split

if TYPE_CHECKING:
    from npalexnet.data.datasets import Picture


class Relabelled:
    """A data set with its classes counted as a network counts them.

    Parameters
    ----------
    dataset : Dataset
        All of its classes are among `classes`.
    classes : sequence of str
        The network's.
    """

    def __init__(self, dataset: Dataset, classes: Sequence[str]) -> None:
        places = {name: k for k, name in enumerate(classes)}
        self.dataset, self.classes = dataset, tuple(classes)
        self.labels = np.array([places[name] for name in dataset.classes], np.int64)[dataset.labels]

    def __len__(self) -> int:
        return len(self.dataset)

    def __getitem__(self, index: int) -> tuple[Picture, int]:
        return self.dataset[index][0], int(self.labels[index])

    def name(self, index: int) -> str:
        """Return what the data set calls this picture."""
        return self.dataset.name(index)


@dataclass(frozen=True)
class ValidationSet:
    """Labelled pictures, prepared for one network. As a sequence it gives the network's inputs, (3, 227, 227) each.

    Attributes
    ----------
    name : str
        Of the data.
    dataset : Dataset
        N pictures, at least one, of the network's classes.
    classifier : Classifier
        The network.
    notes : sequence of str
        What the user ought to know of the data.
    grey : bool
        Whether all pictures are grey.
    """

    name: str
    dataset: Dataset
    classifier: Classifier
    notes: Sequence[str] = ()
    grey: bool = False

    @classmethod
    def open(cls, spec: str | None, classifier: Classifier) -> ValidationSet:
        """Open the held-out part of some data, named as for ``npalexnet train --data``; None: the run's own.

        Raises
        ------
        OSError, ValueError
            If it can't be read, holds no held-out picture, or has a class that the network doesn't know; or if nothing
            was named, and the weights don't say which data are the run's own.
        """
        data = _data(spec, classifier)
        unknown = [name for name in data.classes if name not in classifier.classes]
        if unknown:
            raise ValueError(
                f"the data {data.name} has classes that the network in {classifier.path} doesn't know: "
                f"{_listed(unknown)}; it tells apart {_listed(classifier.classes)}"
            )
        if not len(data.val):
            raise ValueError(f"the data {data.name} holds no held-out images")
        return cls(data.name, Relabelled(data.val, classifier.classes), classifier, data.notes, data.grey)

    @property
    def labels(self) -> np.ndarray:
        """The pictures' classes, as the network counts them: int64 (N,)."""
        return self.dataset.labels

    def sample(self, count: int) -> ValidationSet:
        """Return at most so many of the pictures, drawn with a fixed seed and left in their order."""
        if count >= len(self):
            return self
        rows = np.sort(np.random.default_rng(0).choice(len(self), count, replace=False))
        return replace(self, dataset=Subset(self.dataset, rows))

    def picture(self, i: int) -> Picture:
        """Return picture i as it is in the data."""
        return self.dataset[i][0]

    def seen(self, i: int) -> np.ndarray:
        """Return the part of picture i that the network sees, in the picture's colours: uint8 (227, 227, 3)."""
        return self.classifier.seen(self.picture(i))

    def loader(self, *, ten_crop: bool = False) -> DataLoader:
        """Return what makes batches of the pictures, in their order; with `ten_crop`, of ten crops of each."""
        pipeline = ten_cropped(self.classifier.pipeline) if ten_crop else self.classifier.pipeline
        return DataLoader(self.dataset, pipeline, BATCH_SIZE, shuffle=False, workers=get_num_threads())

    def __len__(self) -> int:
        return len(self.dataset)

    def __getitem__(self, i: int) -> np.ndarray:
        return self.classifier.inputs([self.picture(i)])[0]


def _data(spec: str | None, classifier: Classifier) -> Data:
    """Open data; without a name, those of a run. Of pictures that it drew from, those that it held out are the same."""
    options = classifier.metadata.get("options")  # of `npalexnet train`, without those that were not given
    if not isinstance(options, dict):
        if spec is None:
            raise ValueError(f"{classifier.path} does not say which data it was trained on; name them with --data")
        options = {}
    split = saved_split(classifier.path.parent)
    seed = options.get("seed", 0) if split is None else 0  # the run's draws the same again, if no file came or went
    data = open_data(options.get("data") if spec is None else spec, seed=seed, split=split, validation_only=True)
    if not data.drawn or split is not None:
        return data
    note = (
        f"these pictures may have been trained on: no {SPLIT} beside {classifier.path} says which ones its run held out"
    )
    return replace(data, notes=[*data.notes, note])


def _listed(names: Sequence[str], most: int = 10) -> str:
    return ", ".join(map(repr, names[:most])) + (f", ... ({len(names)} in all)" if len(names) > most else "")
