"""Pictures in folders: ``train/<class>/*`` and ``val/<class>/*``."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from npalexnet.data.images import open_picture
from npalexnet.data.inspection import inspect

if TYPE_CHECKING:
    from PIL.Image import Image

LISTED = 20  # faults that an error lists; the notes list all


class FolderDataset:
    """Picture files, each opened when it is needed.

    Parameters
    ----------
    paths : sequence of str
    labels : sequence of int
    classes : sequence of str
    grey : bool
        Whether all pictures are grey.
    """

    def __init__(self, paths: Sequence[str], labels: Sequence[int], classes: Sequence[str], grey: bool = False) -> None:
        self.paths, self.labels, self.classes = list(paths), np.asarray(labels, np.int64), tuple(classes)
        self.grey = grey

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, index: int) -> tuple[Image, int]:
        path = self.paths[index]
        try:
            return open_picture(path), int(self.labels[index])
        except OSError as error:
            reason = str(error) if path in str(error) else f"{path} can't be read: {error}"
            raise OSError(f"{reason}; put a good one in its place, or remove it and begin a new run") from error

    def name(self, index: int) -> str:
        """Return the path."""
        return self.paths[index]


def read_folder(
    folder: str, classes: Sequence[str] | None = None, *, strict: bool = False
) -> tuple[FolderDataset, list[str]]:
    """Find the pictures in ``folder/<class>/*``, sorted by name. Names that begin with a dot are ignored.

    Parameters
    ----------
    folder : str
    classes : sequence of str, optional
        The classes that may occur, in the order of their labels; by default all that are found, sorted by name.
    strict : bool
        Refuse files that are not usable pictures.

    Returns
    -------
    dataset : FolderDataset
    faults : list of str
        A line for each file that is not a usable picture, with its name.

    Raises
    ------
    ValueError
        If a folder can't be read, a class is not among `classes`, or has no usable picture; or, with `strict`, if a
        file is not a usable picture.
    """
    found = [name for name in _entries(folder) if os.path.isdir(os.path.join(folder, name))]
    unknown = sorted(set(found) - set(found if classes is None else classes))
    if unknown:
        raise ValueError(
            f"{folder} has classes that the training pictures lack: {', '.join(unknown)}; it must have no others than "
            f"{', '.join(classes or ())}"
        )
    classes = found if classes is None else classes
    paths, labels = [], []
    for name in found:
        inside = [os.path.join(folder, name, file) for file in _entries(os.path.join(folder, name))]
        paths += inside
        labels += [classes.index(name)] * len(inside)
    findings = inspect(paths)
    faults = [finding.fault for finding in findings if finding.fault is not None]
    if faults and strict:
        raise ValueError(
            f"{folder} holds files that are no usable pictures: {'; '.join(faults[:LISTED])}"
            f"{f'; and {len(faults) - LISTED} more' * (len(faults) > LISTED)}"
        )
    good = [i for i, finding in enumerate(findings) if finding.fault is None]
    dataset = FolderDataset(
        [paths[i] for i in good], [labels[i] for i in good], classes, all(findings[i].grey for i in good)
    )
    counts = np.bincount(dataset.labels, minlength=len(classes))
    empty = [os.path.join(folder, name) for name in found if counts[classes.index(name)] == 0]
    if empty:
        raise ValueError(
            f"no usable picture in {', '.join(empty)}: every class needs one; add pictures, or remove the folder"
            f"{'. Not usable: ' * bool(faults)}{'; '.join(faults[:LISTED])}"
        )
    return dataset, faults


def count_loose(folder: str) -> int:
    """Return the number of pictures in `folder` itself, outside of the classes' folders."""
    return sum(finding.fault is None for finding in inspect(os.path.join(folder, name) for name in _entries(folder)))


def _entries(folder: str) -> list[str]:
    try:
        return sorted(name for name in os.listdir(folder) if not name.startswith("."))
    except OSError as error:
        raise ValueError(f"the folder {folder} can't be read: {error.strerror}") from None
