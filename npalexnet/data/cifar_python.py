"""CIFAR-10 and CIFAR-100 in their Python version, as torchvision keeps them: pickle files, read by `read_pickle`.

References
----------
A. Krizhevsky, "Learning Multiple Layers of Features from Tiny Images", 2009. The "Python version".
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from npalexnet.data.datasets import ArrayDataset
from npalexnet.data.pickled import read_pickle
from npalexnet.data.tree import Tree

PIXELS = 3 * 32 * 32


class Version(NamedTuple):
    """What the files of a data set are called, and the entries in them."""

    name: str
    subfolder: str
    files: dict[str, tuple[str, ...]]
    labels: str
    meta: str
    classes: str


CIFAR10 = Version(
    "CIFAR-10",
    "cifar-10-batches-py",
    {"train": tuple(f"data_batch_{i}" for i in range(1, 6)), "test": ("test_batch",)},
    "labels",
    "batches.meta",
    "label_names",
)
CIFAR100 = Version(
    "CIFAR-100", "cifar-100-python", {"train": ("train",), "test": ("test",)}, "fine_labels", "meta", "fine_label_names"
)


def find_cifar_python(tree: Tree, version: Version) -> str | None:
    """Return the folder, the tree's own or the published archive's in it, that holds files of a version, or None."""
    for folder in (tree.place, tree.join(tree.place, version.subfolder)):
        names = [*version.files["train"][:1], *version.files["test"]]
        if tree.is_folder(folder) and all(tree.is_file(tree.join(folder, name)) for name in [*names, version.meta]):
            return folder
    return None


def read_cifar_python(tree: Tree, folder: str, split: str, version: Version) -> ArrayDataset:
    """Return a split of CIFAR-10 or CIFAR-100.

    Parameters
    ----------
    tree : Tree
        The disk, or an archive.
    folder : str
        Holds the files.
    split : {"train", "test"}
    version : Version
        `CIFAR10` or `CIFAR100`.

    Raises
    ------
    ValueError
        If a file is missing, or is not what it should be.
    OSError
        If a file can't be read.
    """
    if split not in version.files:
        raise ValueError(f"split must be 'train' or 'test', got {split!r}")
    missing = [name for name in version.files[split] if not tree.is_file(tree.join(folder, name))]
    if missing:
        raise ValueError(f"{folder} lacks {', '.join(missing)}, of {version.name}'s Python version")
    meta = tree.join(folder, version.meta)
    classes = _names(read_pickle(tree.read(meta), meta).get(version.classes), meta, version.classes)
    images, labels = [], []
    for name in version.files[split]:
        path = tree.join(folder, name)
        content = read_pickle(tree.read(path), path)
        data, numbers = content.get("data"), content.get(version.labels)
        if not isinstance(data, np.ndarray) or data.ndim != 2 or data.shape[1] != PIXELS or not len(data):
            raise ValueError(f"{path} must hold data of shape (N, {PIXELS}), got {_described(data)}")
        if not isinstance(numbers, list) or len(numbers) != len(data) or not all(type(n) is int for n in numbers):
            raise ValueError(f"{path} must hold {len(data)} {version.labels}, whole numbers, got {_described(numbers)}")
        if not 0 <= min(numbers) <= max(numbers) < len(classes):
            wrong = min(numbers) if min(numbers) < 0 else max(numbers)
            raise ValueError(f"{path} has the label {wrong}, but {meta} names {len(classes)} classes, from 0 on")
        images.append(data)
        labels += numbers
    pixels = np.concatenate(images).reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1)
    return ArrayDataset(pixels, np.array(labels, np.int64), classes)


def _names(found: Any, path: str, entry: str) -> list[str]:
    if not isinstance(found, list) or not all(isinstance(name, bytes | str) for name in found):
        raise ValueError(f"{path} must hold {entry}, a list of texts, got {_described(found)}")
    names = [name.decode("utf-8", "replace") if isinstance(name, bytes) else name for name in found]
    if len(names) < 2 or len(set(names)) != len(names):
        raise ValueError(f"{path} must hold {entry}, two or more different ones, got {len(set(names))} in {len(names)}")
    return names


def _described(value: Any) -> str:
    if isinstance(value, np.ndarray):
        return f"an array of shape {value.shape}"
    if isinstance(value, list):
        return f"a list of {len(value)}"
    return "nothing" if value is None else type(value).__name__
