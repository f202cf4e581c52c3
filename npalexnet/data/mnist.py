"""MNIST and data sets in its format: grey images in IDX files, 28 x 28 pixels, of ten classes.

References
----------
Y. LeCun, C. Cortes and C. Burges, "The MNIST database of handwritten digits", 1998.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from npalexnet.data.datasets import ArrayDataset
from npalexnet.data.idx import read_idx

CLASSES = tuple("0123456789")
PREFIXES = {"train": "train", "test": "t10k"}
SUBFOLDER = "MNIST"  # of torchvision's; in it, the files are in raw/


def read_mnist(
    folder: str | Path, split: str, *, name: str = "MNIST", classes: Sequence[str] = CLASSES,
    subfolder: str = SUBFOLDER, hint: str = "",
) -> ArrayDataset:  # fmt: skip
    """Return a split of MNIST, or of another data set with files of the same names.

    Parameters
    ----------
    folder : path
        Holds ``train-images-idx3-ubyte`` and its three companions, gzipped (then named ``*.gz``) or not; or a folder
        ``raw`` with them, or ``MNIST/raw``, as torchvision writes it.
    split : {"train", "test"}
    name : str
        What the data set is called.
    classes : sequence of str
    subfolder : str
        What torchvision calls its folder.
    hint : str
        Added to the message if a file is missing.

    Raises
    ------
    ValueError, OSError
        As `npalexnet.data.cifar10.read_cifar10`.
    """
    if split not in PREFIXES:
        raise ValueError(f"split must be 'train' or 'test', got {split!r}")
    folder = Path(folder)
    images_path, labels_path = (
        _find(folder, PREFIXES[split], kind, name, subfolder, hint) for kind in ("images-idx3", "labels-idx1")
    )
    images, labels = read_idx(images_path), read_idx(labels_path)
    if images.ndim != 3 or not images.size:
        raise ValueError(f"{images_path} must hold images, (N, H, W), got numbers of shape {images.shape}")
    if labels.shape != images.shape[:1]:
        raise ValueError(f"{labels_path} must hold {len(images)} labels, one an image, got shape {labels.shape}")
    if labels.max() >= len(classes):
        raise ValueError(f"{labels_path} is not of {name}: it holds the label {labels.max()}")
    return ArrayDataset(images, labels, classes)


def holds_mnist(folder: Path) -> bool:
    """Return whether a folder itself holds the files of MNIST, or others of the same names."""
    return any(path.is_file() for path in _spellings(folder, "train", "images-idx3"))


def _find(folder: Path, prefix: str, kind: str, name: str, subfolder: str, hint: str) -> Path:
    for place in (folder, folder / "raw", folder / subfolder / "raw"):
        for path in _spellings(place, prefix, kind):
            if path.is_file():
                return path
    usual = f"{prefix}-{kind}-ubyte"
    raise ValueError(f"{folder} lacks {usual} or {usual}.gz, a file of {name}{hint}")


def _spellings(folder: Path, prefix: str, kind: str) -> Iterator[Path]:
    for middle in (kind, kind.replace("-idx", ".idx")):  # the second where a program has unpacked them
        yield folder / f"{prefix}-{middle}-ubyte"
        yield folder / f"{prefix}-{middle}-ubyte.gz"
