"""CIFAR-100: 50,000 + 10,000 colour images of 32 x 32 pixels, of a hundred kinds of things, in their binary files.

A record is 3,074 bytes: the coarse label of twenty, the fine one of a hundred, then the red, the green and the blue of
all pixels, row by row. The fine labels are used.

References
----------
A. Krizhevsky, "Learning Multiple Layers of Features from Tiny Images", 2009. The "binary version" for C programs.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from npalexnet.data.datasets import ArrayDataset

SUBFOLDER = "cifar-100-binary"  # what the published archive unpacks to
NAMES_FILE = "fine_label_names.txt"
FILES = {"train": "train.bin", "test": "test.bin"}
MOST_IMAGES = 50_000
COARSE, FINE = 20, 100
RECORD = 2 + 3 * 32 * 32


def find_cifar100(folder: Path) -> Path | None:
    """Return the folder, this one or the published archive's in it, that holds the files, or None."""
    for place in (folder, folder / SUBFOLDER):
        if all((place / name).is_file() for name in FILES.values()):
            return place
    return None


def read_cifar100(folder: str | Path, split: str) -> ArrayDataset:
    """Return a split of CIFAR-100.

    Parameters
    ----------
    folder : path
        Holds ``train.bin`` and ``test.bin``. A ``fine_label_names.txt`` names the classes, else they are numbers.
    split : {"train", "test"}

    Raises
    ------
    ValueError
        If a file is not what it should be.
    OSError
        If a file can't be read.
    """
    if split not in FILES:
        raise ValueError(f"split must be 'train' or 'test', got {split!r}")
    path = Path(folder) / FILES[split]
    count, rest = divmod(path.stat().st_size, RECORD)
    if rest or not 0 < count <= MOST_IMAGES:
        raise ValueError(
            f"{path} must have {RECORD:,} bytes for each of at most {MOST_IMAGES:,} images, but has "
            f"{path.stat().st_size:,}"
        )
    records = np.fromfile(path, np.uint8).reshape(count, RECORD)
    wrong = np.flatnonzero((records[:, 0] >= COARSE) | (records[:, 1] >= FINE))
    if len(wrong):
        raise ValueError(f"{path} is not of CIFAR-100: the labels of its image {wrong[0]} are {records[wrong[0], :2]}")
    pixels = records[:, 2:].reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1)
    return ArrayDataset(pixels, records[:, 1], _class_names(Path(folder)))


def _class_names(folder: Path) -> list[str]:
    path = folder / NAMES_FILE
    if not path.is_file():
        return [str(k) for k in range(FINE)]
    lines = [line.strip() for line in path.read_text(encoding="utf-8", errors="replace").splitlines()]
    names = [line for line in lines if line]
    if len(names) != FINE or len(set(names)) != FINE:
        raise ValueError(f"{path} must name {FINE} classes, one a line, got {len(set(names))} different names")
    return names
