"""Data sets: labelled pictures by index."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from npalexnet.checks import unmasked

if TYPE_CHECKING:
    from PIL.Image import Image

    Picture = Image | np.ndarray


class Dataset(Protocol):
    """Labelled pictures.

    Attributes
    ----------
    classes : tuple of str
        The classes' names.
    labels : ndarray of int64, (N,)
        Each picture's class, as an index into `classes`; no file is opened for it.
    """

    classes: tuple[str, ...]
    labels: np.ndarray

    def __len__(self) -> int:
        """Return N, the number of pictures."""

    def __getitem__(self, index: int) -> tuple[Picture, int]:
        """Return a picture, an RGB PIL image or uint8 (H, W) or (H, W, 3), and its label. Safe on any thread."""

    def name(self, index: int) -> str:
        """Return what to call a picture in a message: its path, or "image 17"."""


class ArrayDataset:
    """Pictures in memory.

    Parameters
    ----------
    images : ndarray of uint8, (N, H, W) or (N, H, W, 3)
        With any strides; or a list of such pictures of one size.
    labels : ndarray or list of integers, (N,)
    classes : sequence of str

    Raises
    ------
    TypeError, ValueError
        If shapes, dtype or labels don't fit together; or of a masked array.
    """

    def __init__(
        self, images: np.ndarray | Sequence[np.ndarray], labels: np.ndarray | Sequence[int], classes: Sequence[str]
    ) -> None:
        images, labels = _array("images", images), _array("labels", labels)
        if images.dtype != np.uint8 or not (images.ndim == 3 or (images.ndim == 4 and images.shape[3] == 3)):
            raise ValueError(
                f"images must be uint8 of shape (N, H, W) or (N, H, W, 3), got {images.dtype} of shape {images.shape}"
            )
        if labels.shape != (len(images),) or labels.dtype.kind not in "iu":
            raise ValueError(
                f"labels must be {len(images)} integers, one an image, got {labels.dtype} of shape {labels.shape}"
            )
        classes = _names("classes", classes)
        wrong = np.flatnonzero((labels < 0) | (labels >= len(classes)))
        if len(wrong):
            raise ValueError(
                f"labels must be from 0 to {len(classes) - 1}, for {len(classes)} classes; image {wrong[0]} has the "
                f"label {labels[wrong[0]]}"
            )
        self.images, self.labels, self.classes = images, labels.astype(np.int64), classes

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, index: int) -> tuple[np.ndarray, int]:
        return self.images[index], int(self.labels[index])

    def name(self, index: int) -> str:
        """Return "image 17"."""
        return f"image {index}"


def _array(name: str, values: Any) -> np.ndarray:
    """Return a NumPy array, or a list as one; an empty list, of which NumPy makes floats, as one of integers."""
    if not isinstance(values, np.ndarray | list | tuple):
        raise TypeError(f"{name} must be a NumPy array or a list, got {type(values).__name__}")
    unmasked(name, values)
    try:
        return np.asarray(values) if isinstance(values, np.ndarray) or values else np.zeros(0, np.int64)
    except ValueError as error:
        raise ValueError(f"{name} must be all of one shape: {error}") from None


def _names(name: str, values: Any) -> tuple[str, ...]:
    if isinstance(values, str) or not isinstance(values, Iterable):
        raise TypeError(f"{name} must be a list of names, got {values!r:.80}")
    names = tuple(values)
    for text in names:
        if not isinstance(text, str):
            raise TypeError(f"{name} must be texts, got {text!r:.80}")
    return names


class Subset:
    """Some of a data set's pictures, in the order given.

    A subset of a subset is one of the whole data set: subsets never nest.

    Parameters
    ----------
    dataset : Dataset
    indices : sequence of int
        Into `dataset`: ``range(100)`` are its first hundred. A mask, an array of bools, is none: it is
        ``numpy.flatnonzero(mask)``.

    Attributes
    ----------
    dataset : Dataset
        The whole data set.
    indices : ndarray of int64
        Into the whole data set.

    Raises
    ------
    TypeError, ValueError
        If the indices are no integers, or out of range.
    """

    def __init__(self, dataset: Dataset, indices: Sequence[int] | np.ndarray) -> None:
        must = f"indices must be a list of numbers from 0 to {len(dataset) - 1}"
        if not isinstance(indices, Iterable):
            raise TypeError(f"{must}, got {indices!r:.80}")
        chosen = _array("indices", indices if isinstance(indices, np.ndarray) else list(indices))
        if chosen.ndim != 1 or (chosen.dtype.kind not in "iu" and chosen.size):
            advice = ": a mask's are numpy.flatnonzero(mask)" if chosen.dtype.kind == "b" else ""
            raise ValueError(f"{must}, got {chosen.dtype} of shape {chosen.shape}{advice}")
        wrong = chosen[(chosen < 0) | (chosen >= len(dataset))]
        if len(wrong):
            raise ValueError(f"{must}, got {wrong[0]}")
        chosen = chosen.astype(np.int64)
        self.classes, self.labels = dataset.classes, dataset.labels[chosen]
        self.dataset: Dataset = dataset
        self.indices: np.ndarray = chosen
        if isinstance(dataset, Subset) and type(dataset) is Subset:  # a subclass may have other pictures
            self.dataset, self.indices = dataset.dataset, dataset.indices[chosen]

    def __len__(self) -> int:
        return len(self.indices)

    def __getitem__(self, index: int) -> tuple[Picture, int]:
        return self.dataset[int(self.indices[index])]

    def name(self, index: int) -> str:
        """Return the name that the picture has in the whole data set."""
        return self.dataset.name(int(self.indices[index]))


def evenly_spread(dataset: Dataset, count: int | None) -> Dataset:
    """Return `count` of a data set's pictures, evenly spread, as a folder's come class by class; or all.

    All are returned if it has no more than `count`, or that is None.
    """
    if count is None or count >= len(dataset):
        return dataset
    return Subset(dataset, np.arange(count) * len(dataset) // count)


def picture_key(name: str, parts: int = 2) -> str:
    """Return a name that a picture keeps when its data set is moved: the last parts of its path, class and file."""
    return "/".join([part for part in posix(name).split("/") if part][-parts:])


def posix(name: str) -> str:
    """Return a path with slashes, on Windows and of one that was written there: only there are none but backslashes."""
    if os.sep == "\\" or "/" not in name:
        name = name.replace("\\", "/")
    return name
