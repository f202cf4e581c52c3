import gzip

import numpy as np
import pytest

from npalexnet.data import fashion_mnist
from npalexnet.data.fashion_mnist import read_fashion_mnist
from npalexnet.data.idx import write_idx
from npalexnet.data.sample import CLASSES

IMAGES = np.random.default_rng(0).integers(0, 256, (6, 28, 28), dtype=np.uint8)
LABELS = np.array([3, 1, 4, 1, 5, 9], np.uint8)


def write(folder, images=IMAGES, labels=LABELS, prefix="train"):
    write_idx(folder / f"{prefix}-images-idx3-ubyte.gz", images)
    write_idx(folder / f"{prefix}-labels-idx1-ubyte.gz", labels)


@pytest.mark.parametrize(("split", "prefix"), [("train", "train"), ("test", "t10k")])
@pytest.mark.parametrize("packed", [True, False])
def test_images_and_labels_are_read_gzipped_or_not(tmp_path, split, prefix, packed):
    write(tmp_path, prefix=prefix)
    if not packed:
        for path in list(tmp_path.iterdir()):
            path.with_suffix("").write_bytes(gzip.decompress(path.read_bytes()))
            path.unlink()
    dataset = read_fashion_mnist(tmp_path, split)
    assert (len(dataset), dataset.classes) == (6, CLASSES)
    np.testing.assert_array_equal(dataset[4][0], IMAGES[4])
    np.testing.assert_array_equal(dataset.labels, LABELS)


@pytest.mark.parametrize(
    ("images", "labels", "message"),
    [
        (
            IMAGES[0],
            LABELS,
            r"train-images-idx3-ubyte\.gz must hold images, \(N, H, W\), got numbers of shape \(28, 28\)",
        ),
        (IMAGES[:0], LABELS[:0], r"must hold images, \(N, H, W\), got numbers of shape \(0, 28, 28\)"),
        (IMAGES, LABELS[:5], r"train-labels-idx1-ubyte\.gz must hold 6 labels, one an image, got shape \(5,\)"),
        (IMAGES, LABELS + 1, r"train-labels-idx1-ubyte\.gz is not of Fashion-MNIST: it holds the label 10"),
    ],
)
def test_files_that_do_not_fit_together_are_refused_by_name(tmp_path, images, labels, message):
    write(tmp_path, images, labels)
    with pytest.raises(ValueError, match=message):
        read_fashion_mnist(tmp_path, "train")


def test_a_missing_file_is_named_with_the_package_that_brings_it(tmp_path, monkeypatch):
    with pytest.raises(ValueError, match=r"lacks t10k-images-idx3-ubyte or .*\.gz, a file of Fashion-MNIST$"):
        read_fashion_mnist(tmp_path, "test")
    monkeypatch.setattr(fashion_mnist, "FOLDER", tmp_path)
    with pytest.raises(ValueError, match="the Debian package dataset-fashion-mnist brings it"):
        read_fashion_mnist(tmp_path, "test")


def test_an_unknown_split_is_refused(tmp_path):
    with pytest.raises(ValueError, match="split must be 'train' or 'test', got 'val'"):
        read_fashion_mnist(tmp_path, "val")
