"""Fashion-MNIST: 60,000 + 10,000 grey images of clothing, 28 x 28 pixels, in IDX files named like MNIST's.

References
----------
H. Xiao, K. Rasul and R. Vollgraf, "Fashion-MNIST: a Novel Image Dataset for Benchmarking Machine Learning Algorithms",
2017.
"""

from __future__ import annotations

from pathlib import Path

from npalexnet.data.datasets import ArrayDataset
from npalexnet.data.mnist import read_mnist

CLASSES = (
    "T-shirt/top", "Trouser", "Pullover", "Dress", "Coat", "Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot",
)  # fmt: skip
FOLDER = Path("/usr/share/datasets/fashion-mnist")  # where the Debian package dataset-fashion-mnist puts it
SUBFOLDER = "FashionMNIST"  # of torchvision's


def read_fashion_mnist(folder: str | Path, split: str) -> ArrayDataset:
    """Return a split of Fashion-MNIST; `folder`, `split` and errors are as for `npalexnet.data.mnist.read_mnist`."""
    hint = "; the Debian package dataset-fashion-mnist brings it" if Path(folder) == FOLDER else ""
    return read_mnist(folder, split, name="Fashion-MNIST", classes=CLASSES, subfolder=SUBFOLDER, hint=hint)
