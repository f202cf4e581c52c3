"""The data set that the package carries: 2,000 training and 500 held-out images of Fashion-MNIST.

Provenance and licence are in ``sample/README.md``. The subset was drawn by this module::

    python -m npalexnet.data.sample SOURCE TARGET

which takes the four original files in the folder SOURCE, and writes four of the same kind to the folder TARGET: from
each split the same number of images of each class, drawn and shuffled with a fixed seed.

References
----------
H. Xiao, K. Rasul and R. Vollgraf, "Fashion-MNIST: a Novel Image Dataset for Benchmarking Machine Learning Algorithms",
2017.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np

from npalexnet.data.idx import read_idx, write_idx

CLASSES = (
    "T-shirt/top",
    "Trouser",
    "Pullover",
    "Dress",
    "Coat",
    "Sandal",
    "Shirt",
    "Sneaker",
    "Bag",
    "Ankle boot",
)
IMAGES_PER_CLASS = {"train": 200, "t10k": 50}  # the second is the original's test split
FOLDER = Path(__file__).parent / "sample"


def load_sample(split: str) -> tuple[np.ndarray, np.ndarray]:
    """Return the images and labels of a split.

    Parameters
    ----------
    split : {"train", "test"}
        2,000 images to train on, or 500 others, with every class equally often.

    Returns
    -------
    images : ndarray of uint8, (N, 28, 28)
        Grey values, 0 (background) to 255.
    labels : ndarray of uint8, (N,)
        Indices into `CLASSES`.
    """
    if split not in ("train", "test"):
        raise ValueError(f"split must be 'train' or 'test', got {split!r}")
    return _read(FOLDER, "train" if split == "train" else "t10k")


def _paths(folder: Path, split: str) -> tuple[Path, Path]:
    return folder / f"{split}-images-idx3-ubyte.gz", folder / f"{split}-labels-idx1-ubyte.gz"


def _read(folder: Path, split: str) -> tuple[np.ndarray, np.ndarray]:
    images, labels = _paths(folder, split)
    return read_idx(images), read_idx(labels)


def draw_sample(source: Path, target: Path) -> None:
    """Draw the subset from the original files in `source`."""
    for split, count in IMAGES_PER_CLASS.items():
        images, labels = _read(source, split)
        rng = np.random.default_rng(2017)
        chosen = [rng.choice(np.flatnonzero(labels == k), count, replace=False) for k in range(len(CLASSES))]
        order = rng.permutation(np.concatenate(chosen))
        for path, array in zip(_paths(target, split), (images, labels), strict=True):
            write_idx(path, array[order])


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit("usage: python -m npalexnet.data.sample SOURCE TARGET")
    draw_sample(Path(sys.argv[1]), Path(sys.argv[2]))
