"""Validation pictures for a folder without val/: split off its train/, at random or as an earlier run did."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import NamedTuple

import numpy as np

from npalexnet.data.datasets import Subset, picture_key, posix
from npalexnet.data.folder import FolderDataset
from npalexnet.data.names import normal


class Split(NamedTuple):
    """A folder's training pictures in two parts, and what the user should know about how they were split."""

    train: Subset
    validation: Subset
    notes: list[str]


class Source(NamedTuple):
    """What is split: why, where the pictures are, what they are called in a sentence, and whether that is train/."""

    lacks: str
    place: str
    pictures: str
    is_train: bool


def stratified_split(labels: np.ndarray, fraction: float, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Split at random, with the same fraction of each class for validation.

    A class of two pictures or more has at least one in each part; a single picture is for training.

    Parameters
    ----------
    labels : ndarray of integers, (N,)
    fraction : float
        For validation, between 0 and 1.
    seed : int

    Returns
    -------
    train, validation : ndarray of int64
        Indices in ascending order; each of the N is in one of the two.
    """
    rng = np.random.default_rng(seed)
    validation = np.zeros(len(labels), bool)
    for label in np.unique(labels):
        members = rng.permutation(np.flatnonzero(labels == label))
        count = min(max(1, round(fraction * len(members))), len(members) - 1)
        validation[members[:count]] = True
    return np.flatnonzero(~validation), np.flatnonzero(validation)


def random_split(source: Source, pictures: FolderDataset, seed: int, fraction: float) -> Split:
    """Split off a fraction of each class for validation; a ValueError if no class has two pictures."""
    train, validation = (Subset(pictures, part) for part in stratified_split(pictures.labels, fraction, seed))
    if not len(validation):
        raise ValueError(
            f"{source.lacks}, and no class in {source.place} has two pictures, one of which could be for validation"
        )
    note = (
        f"{source.lacks}: {len(validation):,} {_of(source)} were chosen at random for validation, "
        f"{_per_class(validation)} of each class, with seed {seed}"
    )
    return Split(train, validation, [note])


def restore_split(
    source: Source, pictures: FolderDataset, names: Mapping[str, Sequence[str]], validation_only: bool
) -> Split | None:
    """Split as an earlier run did; None if these are other pictures, a ValueError if some of them are missing.

    `names` is what `Data.split` returned then; for `validation_only` see `open_data`.
    """
    key, places = _places(pictures)
    train, validation = ([key(name) for name in names.get(part, ())] for part in ("train", "val"))
    if validation_only and places.keys().isdisjoint([*train, *validation]):
        return None
    missing = [name for name in (validation if validation_only else [*train, *validation]) if name not in places]
    if missing:
        raise ValueError(
            f"{source.place} lacks {len(missing):,} of the pictures that the run's split names, the first is "
            f"{missing[0]}: put them back (one that is damaged counts as missing), or "
            f"{'name other data (if these are, put them into val/)' if validation_only else 'begin a new run'}"
        )
    restored = [Subset(pictures, [places[name] for name in part if name in places]) for part in (train, validation)]
    notes = [
        f"{source.lacks}: {len(validation):,} {_of(source)} are for validation, {_per_class(restored[1])} "
        "of each class, as in the run's split"
    ]
    unnamed = len(places.keys() - {*train, *validation})
    if unnamed:
        notes.append(f"{counted(unnamed)} of {source.place} left out: the run's split does not name them")
    return Split(restored[0], restored[1], notes)


def _of(source: Source) -> str:
    return source.pictures if source.pictures.startswith("pictures") else f"of {source.pictures}"


def _places(pictures: FolderDataset) -> tuple[Callable[[str], str], dict[str, int]]:
    """Return how a picture is called, so that no two have the same name, and the pictures' places by it.

    That is as many last parts of its path as that takes, two or more. Where two files of a folder differ in nothing but
    the Unicode form of their names, it is these as they are.
    """
    last = max((path.count("/") for path in map(posix, pictures.paths)), default=0) + 1
    for form in (normal, str):
        for depth in range(2, max(2, last) + 1):
            key = partial(_key, form, depth)
            places = {key(name): i for i, name in enumerate(pictures.paths)}
            if len(places) == len(pictures):
                return key, places
    return key, places


def _key(form: Callable[[str], str], depth: int, name: str) -> str:
    return form(picture_key(name, depth))


def counted(count: int) -> str:
    """Return "1 picture", "2 pictures", ..."""
    return f"{count:,} picture{'s' * (count != 1)}"


def _per_class(validation: Subset) -> str:
    counts = np.bincount(validation.labels, minlength=len(validation.classes)).tolist()
    return " to ".join(str(count) for count in sorted({min(counts), max(counts)}))
