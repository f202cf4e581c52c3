"""CIFAR-10: 50,000 + 10,000 colour images of 32 x 32 pixels, of ten kinds of things, in their canonical binary files.

A file is 10,000 records of 3,073 bytes: the label, then the red, the green and the blue of all pixels, row by row.

References
----------
A. Krizhevsky, "Learning Multiple Layers of Features from Tiny Images", 2009. The "binary version" for C programs.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from npalexnet.data.datasets import ArrayDataset

CLASSES = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")
SUBFOLDER = "cifar-10-batches-bin"  # what the published archive unpacks to
NAMES_FILE = "batches.meta.txt"
FILES = {"train": tuple(f"data_batch_{i}.bin" for i in range(1, 6)), "test": ("test_batch.bin",)}
IMAGES_PER_FILE = 10_000
SIDE = 32
RECORD = 1 + 3 * SIDE * SIDE
MOST_NAMES = 10_000  # bytes of the file that names the classes


def read_cifar10(folder: str | Path, split: str) -> ArrayDataset:
    """Return a split of CIFAR-10.

    Parameters
    ----------
    folder : path
        Holds the files, or their folder ``cifar-10-batches-bin``. A ``batches.meta.txt`` among them names the classes.
    split : {"train", "test"}

    Raises
    ------
    ValueError
        If a file is missing, or is not what it should be.
    OSError
        If a file can't be read.
    """
    if split not in FILES:
        raise ValueError(f"split must be 'train' or 'test', got {split!r}")
    folder = Path(folder)
    if (folder / SUBFOLDER).is_dir():
        folder = folder / SUBFOLDER
    paths = [folder / name for name in FILES[split]]
    missing = [path.name for path in paths if not path.is_file()]
    if missing:
        raise ValueError(
            f"{folder} lacks {', '.join(missing)}: the files of CIFAR-10's binary version are data_batch_1.bin to "
            "data_batch_5.bin and test_batch.bin"
        )
    records = np.concatenate([_read_file(path) for path in paths])
    pixels = records[:, 1:].reshape(-1, 3, SIDE, SIDE)
    return ArrayDataset(pixels.transpose(0, 2, 3, 1), records[:, 0], _class_names(folder))


def _read_file(path: Path) -> np.ndarray:
    """Return a file's records, (10000, 3073)."""
    size, expected = path.stat().st_size, IMAGES_PER_FILE * RECORD
    if size != expected:
        raise ValueError(f"{path} must have {expected:,} bytes, {IMAGES_PER_FILE:,} images, but has {size:,}")
    records = np.fromfile(path, np.uint8).reshape(-1, RECORD)
    wrong = np.flatnonzero(records[:, 0] >= len(CLASSES))
    if len(wrong):
        raise ValueError(f"{path} is not of CIFAR-10: the label of its image {wrong[0]} is {records[wrong[0], 0]}")
    return records


def _class_names(folder: Path) -> tuple[str, ...]:
    path = folder / NAMES_FILE
    if not path.is_file():
        return CLASSES
    if path.stat().st_size > MOST_NAMES:
        raise ValueError(f"{path} must name {len(CLASSES)} classes, one a line, but has {path.stat().st_size:,} bytes")
    names = tuple(line.strip() for line in path.read_text(encoding="utf-8", errors="replace").splitlines())
    names = tuple(name for name in names if name)
    if len(set(names)) != len(CLASSES) or len(names) != len(CLASSES):
        raise ValueError(f"{path} must name {len(CLASSES)} classes, one a line, got {len(names)} lines")
    return names
