"""The labelled pictures that a trained network is judged by."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from npalexnet.backend import get_num_threads
from npalexnet.classifier import BATCH_SIZE, Classifier, ten_cropped
from npalexnet.data.datasets import Dataset, Subset
from npalexnet.data.loader import DataLoader
from npalexnet.data.sources import Data, absolute_spec, open_data
from npalexnet.training.run import saved_split

if TYPE_CHECKING:
    from npalexnet.data.datasets import Picture


@dataclass(frozen=True)
class HeldOut:
    """Labelled pictures, prepared for one network. As a sequence it gives the network's inputs, (3, 227, 227) each.

    Attributes
    ----------
    name : str
        Of the data.
    dataset : Dataset
        N pictures.
    labels : ndarray of int64, (N,)
        Their classes, as the network counts them.
    classifier : Classifier
        The network.
    notes : sequence of str
        What the user ought to know of the data.
    grey : bool
        Whether all pictures are grey.
    """

    name: str
    dataset: Dataset
    labels: np.ndarray
    classifier: Classifier
    notes: Sequence[str] = ()
    grey: bool = False

    @classmethod
    def open(cls, spec: str | None, classifier: Classifier) -> HeldOut:
        """Open the held-out part of some data, named as for ``npalexnet train --data``; None: the run's own.

        Raises
        ------
        OSError, ValueError
            If it can't be read, or has a class that the network doesn't know.
        """
        data = _data(spec, classifier.path.parent, classifier.about)
        places = {name: k for k, name in enumerate(classifier.classes)}
        unknown = [name for name in data.classes if name not in places]
        if unknown:
            raise ValueError(
                f"the data {data.name} has classes that the network in {classifier.path} doesn't know: "
                f"{_listed(unknown)}; it tells apart {_listed(classifier.classes)}"
            )
        labels = np.array([places[name] for name in data.classes])[data.val.labels]
        return cls(data.name, data.val, labels, classifier, data.notes, data.grey)

    def sample(self, count: int) -> HeldOut:
        """Return at most so many of the pictures, drawn with a fixed seed and left in their order."""
        if count >= len(self):
            return self
        rows = np.sort(np.random.default_rng(0).choice(len(self), count, replace=False))
        return replace(self, dataset=Subset(self.dataset, rows), labels=self.labels[rows])

    def picture(self, i: int) -> Picture:
        """Return picture i as it is in the data."""
        return self.dataset[i][0]

    def seen(self, i: int) -> np.ndarray:
        """Return the part of picture i that the network sees, in the picture's colours: uint8 (227, 227, 3)."""
        return self.classifier.seen(self.picture(i))

    def batches(self, *, ten_crop: bool = False) -> Iterator[np.ndarray]:
        """Yield the network's inputs, those of `BATCH_SIZE` pictures at a time.

        Raises
        ------
        RuntimeError
            If a picture can't be loaded; the message names it.
        """
        pipeline = ten_cropped(self.classifier.pipeline) if ten_crop else self.classifier.pipeline
        loader = DataLoader(self.dataset, pipeline, BATCH_SIZE, shuffle=False, workers=get_num_threads())
        for inputs, _ in loader.epoch(0):
            yield inputs

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, i: int) -> np.ndarray:
        return self.classifier.inputs([self.picture(i)])[0]


def _data(spec: str | None, folder: Path, about: dict[str, Any]) -> Data:
    """Open data; without a name, those of a run. Held-out pictures that it drew are the same ones."""
    options = about.get("options")
    options = options if isinstance(options, dict) else {}
    spec = options.get("data") if spec is None else absolute_spec(spec)
    before = saved_split(folder) if spec == options.get("data") else None
    seed, share = options.get("seed", 0), options.get("val_share", 0.1)
    return open_data(spec, seed=seed, val_share=share, drawn=before)


def _listed(names: Sequence[str], most: int = 10) -> str:
    return ", ".join(map(repr, names[:most])) + (f", ... ({len(names)} in all)" if len(names) > most else "")
