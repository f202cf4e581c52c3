"""Fashion-MNIST: 60,000 + 10,000 grey images of clothing, 28 x 28 pixels, in their IDX files.

References
----------
H. Xiao, K. Rasul and R. Vollgraf, "Fashion-MNIST: a Novel Image Dataset for Benchmarking Machine Learning Algorithms",
2017.
"""

from __future__ import annotations

from pathlib import Path

from npalexnet.data.datasets import ArrayDataset
from npalexnet.data.idx import read_idx

CLASSES = (
    "T-shirt/top", "Trouser", "Pullover", "Dress", "Coat", "Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot",
)  # fmt: skip
FOLDER = Path("/usr/share/datasets/fashion-mnist")  # where the Debian package dataset-fashion-mnist puts it
PREFIXES = {"train": "train", "test": "t10k"}


def read_fashion_mnist(folder: str | Path, split: str) -> ArrayDataset:
    """Return a split of Fashion-MNIST.

    Parameters
    ----------
    folder : path
        Holds ``train-images-idx3-ubyte`` and its three companions, gzipped (then named ``*.gz``) or not.
    split : {"train", "test"}

    Raises
    ------
    ValueError, OSError
        As `npalexnet.data.cifar10.read_cifar10`.
    """
    if split not in PREFIXES:
        raise ValueError(f"split must be 'train' or 'test', got {split!r}")
    images_path = _find(Path(folder), f"{PREFIXES[split]}-images-idx3-ubyte")
    labels_path = _find(Path(folder), f"{PREFIXES[split]}-labels-idx1-ubyte")
    images, labels = read_idx(images_path), read_idx(labels_path)
    if images.ndim != 3 or not images.size:
        raise ValueError(f"{images_path} must hold images, (N, H, W), got numbers of shape {images.shape}")
    if labels.shape != images.shape[:1]:
        raise ValueError(f"{labels_path} must hold {len(images)} labels, one an image, got shape {labels.shape}")
    if labels.max() >= len(CLASSES):
        raise ValueError(f"{labels_path} is not of Fashion-MNIST: it holds the label {labels.max()}")
    return ArrayDataset(images, labels, CLASSES)


def _find(folder: Path, name: str) -> Path:
    for path in (folder / name, folder / f"{name}.gz"):
        if path.is_file():
            return path
    hint = "; the Debian package dataset-fashion-mnist brings it" if folder == FOLDER else ""
    raise ValueError(f"{folder} lacks {name} or {name}.gz, a file of Fashion-MNIST{hint}")
