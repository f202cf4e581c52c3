"""The labelled pictures that a trained network is judged by."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from npalexnet.classifier import BATCH_SIZE, Classifier
from npalexnet.data.sample import CLASSES, load_sample


@dataclass(frozen=True)
class HeldOut:
    """Labelled pictures, prepared for one network. As a sequence it gives the network's inputs, (3, 227, 227) each.

    Attributes
    ----------
    name : str
        Of the data.
    dataset : Any
        Of pictures and labels: ``dataset[i]`` is a pair, ``dataset.name(i)`` says where picture i came from.
    numbers : ndarray of int64, (N,)
        Which pictures of it, by their index there.
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
    dataset: Any
    numbers: np.ndarray
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
        options = classifier.about.get("options")
        options = options if isinstance(options, dict) else {}
        data = _open_data(options.get("data") if spec is None else spec, int(options.get("seed", 0)))
        places = {name: k for k, name in enumerate(classifier.classes)}
        unknown = [name for name in data.classes if name not in places]
        if unknown:
            raise ValueError(
                f"the data {data.name} has classes that the network in {classifier.path} doesn't know: "
                f"{_listed(unknown)}; it tells apart {_listed(classifier.classes)}"
            )
        labels = np.array([places[name] for name in data.classes])[data.val.labels]
        return cls(data.name, data.val, np.arange(len(labels)), labels, classifier, data.notes, data.grey)

    def sample(self, count: int) -> HeldOut:
        """Return at most so many of the pictures, drawn with a fixed seed and left in their order."""
        if count >= len(self):
            return self
        rows = np.sort(np.random.default_rng(0).choice(len(self), count, replace=False))
        chosen = self.numbers[rows], self.labels[rows]
        return HeldOut(self.name, self.dataset, *chosen, self.classifier, self.notes, self.grey)

    def picture(self, i: int) -> Any:
        """Return picture i as it is in the data."""
        return self.dataset[int(self.numbers[i])][0]

    def batches(self, *, ten_crop: bool = False) -> Iterator[np.ndarray]:
        """Yield the network's inputs, those of `BATCH_SIZE` pictures at a time."""
        for start in range(0, len(self), BATCH_SIZE):
            pictures = [self.picture(i) for i in range(start, min(len(self), start + BATCH_SIZE))]
            yield self.classifier.inputs(pictures, ten_crop=ten_crop)

    def __len__(self) -> int:
        return len(self.numbers)

    def __getitem__(self, i: int) -> np.ndarray:
        if not 0 <= i < len(self):
            raise IndexError(i)
        return self.classifier.inputs([self.picture(i)])[0]


def _listed(names: Sequence[str], most: int = 10) -> str:
    return ", ".join(map(repr, names[:most])) + (f", ... ({len(names)} in all)" if len(names) > most else "")


@dataclass(frozen=True)
class _Sample:
    """The built-in sample's held-out part."""

    images: np.ndarray
    labels: np.ndarray

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, i: int) -> tuple[np.ndarray, int]:
        return self.images[i], int(self.labels[i])

    def name(self, i: int) -> str:
        return f"image {i}"


@dataclass(frozen=True)
class _SampleData:
    val: _Sample
    name: str = "the built-in sample of Fashion-MNIST"
    classes: tuple[str, ...] = CLASSES
    notes: tuple[str, ...] = ()
    grey: bool = True


def _open_data(spec: str | None, seed: int) -> Any:
    if spec is not None:
        raise ValueError(f"data must be the built-in sample (none named), got {spec!r}")
    images, labels = load_sample("test")
    return _SampleData(_Sample(images, labels.astype(np.int64)))
