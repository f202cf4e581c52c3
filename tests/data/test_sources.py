import numpy as np
import pytest

from npalexnet.data import fashion_mnist, open_data, sources
from npalexnet.data.idx import write_idx


def test_the_sample_is_the_default():
    data = open_data(None)
    assert (len(data.train), len(data.val), len(data.classes)) == (2000, 500, 10)
    assert data.grey
    assert not data.drawn
    assert data.notes == []


def write_fashion(folder):
    for prefix, count in (("train", 4), ("t10k", 2)):
        write_idx(folder / f"{prefix}-images-idx3-ubyte.gz", np.zeros((count, 28, 28), np.uint8))
        write_idx(folder / f"{prefix}-labels-idx1-ubyte.gz", np.arange(count, dtype=np.uint8))


def test_fashion_mnist_is_read_from_the_folder_named_or_its_usual_place(tmp_path, monkeypatch):
    write_fashion(tmp_path)
    data = open_data(f"fashion-mnist:{tmp_path}")
    assert (data.name, len(data.train), len(data.val), data.grey) == ("Fashion-MNIST", 4, 2, True)
    monkeypatch.setattr(sources, "FASHION_MNIST_FOLDER", tmp_path)
    assert len(open_data("fashion-mnist").train) == 4
    assert str(fashion_mnist.FOLDER) == "/usr/share/datasets/fashion-mnist"


def test_cifar10_is_read_from_the_folder_named(tmp_path):
    rows = np.zeros((10_000, 3073), np.uint8)
    for name in [f"data_batch_{i}" for i in range(1, 6)] + ["test_batch"]:
        rows.tofile(tmp_path / f"{name}.bin")
    data = open_data(f"cifar10:{tmp_path}")
    assert (data.name, len(data.train), len(data.val), data.grey) == ("CIFAR-10", 50_000, 10_000, False)
    assert data.classes[6] == "frog"


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("cifar10", "cifar10 needs the folder of its binary files: cifar10:FOLDER"),
        ("cifar10:no/such", "the data folder 'no/such' does not exist"),
        ("fashion-mnist:no/such", "the data folder 'no/such' does not exist"),
        ("no/such", r"the data folder 'no/such' does not exist; data is a folder of train/<class>"),
        (__file__, "is not a folder"),
    ],
)
def test_data_that_is_not_there_is_refused_with_what_would_be_right(spec, message):
    with pytest.raises(ValueError, match=message):
        open_data(spec)


def test_a_share_that_is_none_is_refused(tmp_path):
    with pytest.raises(ValueError, match=r"val_share must be between 0 and 1, got 1\.5"):
        open_data(tmp_path, val_share=1.5)
