"""Pictures in the folders of their classes: ``<class>/*``."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from npalexnet.data.images import open_picture
from npalexnet.data.inspection import inspect
from npalexnet.data.names import listed, normal, quoted
from npalexnet.data.tree import Disk, Tree
from npalexnet.terminal import reason

if TYPE_CHECKING:
    from PIL.Image import Image

LISTED = 20  # faults that an error lists
DISK = Disk()


class FolderDataset:
    """Picture files, each opened when it is needed.

    Parameters
    ----------
    paths : sequence of str
    labels : sequence of int
    classes : sequence of str
    grey : bool
        Whether all pictures are grey.
    tree : Tree
        Where the paths lead to: the disk, or an archive.
    notes : sequence of str
        What the user should know about where they were found.
    """

    def __init__(
        self, paths: Sequence[str], labels: Sequence[int], classes: Sequence[str], grey: bool = False,
        tree: Tree = DISK, notes: Sequence[str] = (),
    ) -> None:  # fmt: skip
        self.paths, self.labels, self.classes = list(paths), np.asarray(labels, np.int64), tuple(classes)
        self.grey, self.tree, self.notes = grey, tree, list(notes)

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, index: int) -> tuple[Image, int]:
        path = self.paths[index]
        try:
            source: Any = self.tree.open(path)
            return open_picture(source), int(self.labels[index])
        except OSError as error:
            why = reason(error) if path in reason(error) else f"{path} can't be read: {error}"
            raise OSError(f"{why}; put a good one in its place, or remove it and begin a new run") from error

    def name(self, index: int) -> str:
        """Return the path."""
        return self.paths[index]


def read_folder(
    folder: str, classes: Sequence[str] | None = None, *, strict: bool = False, tree: Tree = DISK
) -> tuple[FolderDataset, list[str]]:
    """Find the pictures in ``folder/<class>/*``, sorted by name. Hidden files, and what systems leave, are ignored.

    Folders whose names look the same, though their characters are others, are of one class: see `normal`.

    Parameters
    ----------
    folder : str
    classes : sequence of str, optional
        The classes that may occur, in the order of their labels; by default all that have a usable picture, sorted by
        name.
    strict : bool
        Refuse files that are not usable pictures.
    tree : Tree
        Where the folder is: on the disk, or in an archive.

    Returns
    -------
    dataset : FolderDataset
        Its notes name folders without a usable picture.
    faults : list of str
        A line for each file that is not a usable picture, with its name.

    Raises
    ------
    ValueError
        If a folder can't be read, or a class is not among `classes`; or, with `strict`, if a file is not a usable
        picture.
    """
    folders = [name for name in tree.entries(folder) if tree.is_folder(tree.join(folder, name))]
    inside = {name: tree.entries(tree.join(folder, name)) for name in folders}
    if classes is not None:
        known = {normal(name) for name in classes}
        unknown = [name for name in folders if inside[name] and normal(name) not in known]
        if unknown:
            raise ValueError(
                f"{folder} has classes that the training pictures lack: {quoted(unknown)}; it must have no others than "
                f"{quoted(classes)}"
            )
    pictures = [(tree.join(tree.join(folder, name), file), name) for name in folders for file in inside[name]]
    dataset, faults = usable_pictures(pictures, classes, strict=strict, tree=tree, where=folder)
    dataset.notes += _about_names(folder, folders, dataset.classes, tree)
    return dataset, faults


def usable_pictures(
    pictures: Sequence[tuple[str, str]], classes: Sequence[str] | None = None, *, strict: bool = False,
    tree: Tree = DISK, where: str = "", order: Callable[[Iterable[str]], list[str]] = sorted,
) -> tuple[FolderDataset, list[str]]:  # fmt: skip
    """Return a data set of those files that are usable pictures, and a line for each that is none.

    Parameters
    ----------
    pictures : sequence of (str, str)
        The path of each, and the name of its class.
    classes : sequence of str, optional
        All classes, in the order of their labels; by default those that have a usable picture.
    strict : bool
        Refuse files that are not usable pictures.
    tree : Tree
        Where the paths lead to.
    where : str
        What holds the pictures, for the message of an error.
    order : callable
        Sorts the names of the classes, unless `classes` are given.
    """
    findings = inspect([path for path, _ in pictures], tree.open)
    faults = [finding.fault for finding in findings if finding.fault is not None]
    if faults and strict:
        raise ValueError(f"{where} holds files that are no usable pictures: {'; '.join(faults_listed(faults, LISTED))}")
    good = [i for i, finding in enumerate(findings) if finding.fault is None]
    names: dict[str, str] = {}  # of the classes, as they were found first
    for name in (pictures[i][1] for i in good) if classes is None else classes:
        names.setdefault(normal(name), name)
    notes = _nearly_equal(sorted(names.values())) if classes is None else []
    classes = order(names.values()) if classes is None else classes
    numbers = {normal(name): label for label, name in enumerate(classes)}
    labels = [numbers[normal(pictures[i][1])] for i in good]
    grey = all(findings[i].grey for i in good)
    return FolderDataset([pictures[i][0] for i in good], labels, classes, grey, tree, notes), faults


def faults_listed(faults: Sequence[str], most: int) -> list[str]:
    """Return the first faults, and how many more there are."""
    return [*faults[:most], *([f"and {len(faults) - most:,} more"] if len(faults) > most else [])]


def count_loose(folder: str, tree: Tree = DISK) -> int:
    """Return the number of pictures in `folder` itself, outside of the classes' folders."""
    paths = (tree.join(folder, name) for name in tree.entries(folder))
    return sum(finding.fault is None for finding in inspect((p for p in paths if not tree.is_folder(p)), tree.open))


def _about_names(folder: str, folders: Sequence[str], classes: Sequence[str], tree: Tree) -> list[str]:
    """Return notes on folders that are no class, and on those that are one class together."""
    known, notes = {normal(name) for name in classes}, []
    first: dict[str, str] = {}
    empty = [tree.join(folder, name) for name in folders if normal(name) not in known]
    if empty:
        notes.append(f"no usable picture in {listed(empty)}: left out, not counted as a class")
    for name in folders:
        same = first.setdefault(normal(name), name)
        if same != name:
            notes.append(
                f"{tree.join(folder, same)} and {tree.join(folder, name)} are one class: their names are the same text "
                "in two Unicode forms"
            )
    return notes


def _nearly_equal(classes: Sequence[str]) -> list[str]:
    first: dict[str, str] = {}
    pairs = []
    for name in classes:
        same = first.setdefault(normal(name).casefold().strip(), name)
        if same != name:
            pairs.append(f"{same!r} and {name!r}")
    return [f"two classes each, though they differ in capitals or blanks alone: {listed(pairs)}"] if pairs else []
