"""The sample of Fashion-MNIST that the package carries: 2,000 images for training and 500 for validation.

Provenance and licence are in ``sample/README.md``. This module drew the sample::

    python -m npalexnet.data.sample SOURCE TARGET

reads the four original files in the folder SOURCE, and writes four of the same kind to the folder TARGET: from each
split the same number of images of each class, drawn and shuffled with a fixed seed.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

import numpy as np

from npalexnet.data.datasets import ArrayDataset
from npalexnet.data.fashion_mnist import CLASSES, read_fashion_mnist
from npalexnet.data.idx import read_idx, write_idx

IMAGES_PER_CLASS = {"train": 200, "t10k": 50}  # the second is the original's test split
SAMPLE = "sample"  # what it is called as data
FOLDER = Path(__file__).parent / "sample"


def load_sample(split: str) -> ArrayDataset:
    """Return the 2,000 images for training ("train") or the 500 for validation ("test"), all classes equally often."""
    return read_fashion_mnist(FOLDER, split)


def is_sample(spec: str | os.PathLike[str]) -> bool:
    """Whether a name is the built-in sample's; a ValueError if something else has it, too."""
    if spec != SAMPLE:
        return False
    if os.path.lexists(SAMPLE):
        here = os.path.join(os.curdir, SAMPLE)
        raise ValueError(
            f"the data {SAMPLE!r} may be the built-in sample or {here}: name that as {here}, or rename it for the "
            "sample"
        )
    return True


def draw_sample(source: Path, target: Path) -> None:
    """Write a random sample of the original files in `source` to `target`."""
    for split, count in IMAGES_PER_CLASS.items():
        names = [f"{split}-images-idx3-ubyte.gz", f"{split}-labels-idx1-ubyte.gz"]
        images, labels = (read_idx(source / name) for name in names)
        rng = np.random.default_rng(2017)
        chosen = [rng.choice(np.flatnonzero(labels == k), count, replace=False) for k in range(len(CLASSES))]
        order = rng.permutation(np.concatenate(chosen))
        for name, array in zip(names, (images, labels), strict=True):
            write_idx(target / name, array[order])


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit("usage: python -m npalexnet.data.sample SOURCE TARGET")
    draw_sample(Path(sys.argv[1]), Path(sys.argv[2]))
