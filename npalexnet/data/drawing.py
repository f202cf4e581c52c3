"""Which pictures of a folder are held out, where it has no val/: drawn by chance, or as they were drawn before."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from npalexnet.data.datasets import Subset, picture_key, split
from npalexnet.data.folder import FolderDataset


class Drawn(NamedTuple):
    """The parts of a folder's training pictures, and a line for the user on how they came about."""

    train: Subset
    val: Subset
    notes: list[str]


def draw(folder: Path, pictures: FolderDataset, seed: int, val_share: float) -> Drawn:
    """Hold out a share of each class.

    Raises
    ------
    ValueError
        If no class has two pictures.
    """
    train, val = (Subset(pictures, part) for part in split(pictures.labels, val_share, seed))
    if not len(val):
        raise ValueError(f"{folder} has no val/, and no class in train/ has two pictures, so none can be held out")
    note = (
        f"{folder} has no val/: {len(val):,} pictures of train/ were drawn to be held out, {_each(val)} of each class, "
        f"with seed {seed}"
    )
    return Drawn(train, val, [note])


def draw_again(
    folder: Path, pictures: FolderDataset, earlier: Mapping[str, Sequence[str]], validation_only: bool
) -> Drawn | None:
    """Distribute the pictures as they were; None if they are others. For `validation_only` see `open_data`.

    Raises
    ------
    ValueError
        If some are missing.
    """
    places = {picture_key(pictures.name(i)): i for i in range(len(pictures))}
    train, val = (list(map(picture_key, earlier.get(part, ()))) for part in ("train", "val"))
    if validation_only and places.keys().isdisjoint([*train, *val]):
        return None
    missing = [name for name in (val if validation_only else [*train, *val]) if name not in places]
    if missing:
        raise ValueError(
            f"{folder / 'train'} lacks {len(missing)} of the pictures that the run's split names, the first is "
            f"{missing[0]}: put them back (one that is damaged counts as missing), or "
            f"{'name other data (if these are, put them into val/)' if validation_only else 'begin a new run'}"
        )
    again = [Subset(pictures, [places[name] for name in part if name in places]) for part in (train, val)]
    notes = [
        f"{folder} has no val/: {len(val):,} pictures of train/ are held out, {_each(again[1])} of each class, as the "
        "run drew them"
    ]
    unnamed = len(places.keys() - {*train, *val})
    if unnamed:
        notes.append(f"{counted(unnamed)} of {folder / 'train'} left out: the run's split does not name them")
    return Drawn(again[0], again[1], notes)


def counted(count: int) -> str:
    """Return "1 picture", "2 pictures", ..."""
    return f"{count:,} picture{'s' * (count != 1)}"


def _each(val: Subset) -> str:
    counts = np.bincount(val.labels, minlength=len(val.classes)).tolist()
    return " to ".join(str(count) for count in sorted({min(counts), max(counts)}))
