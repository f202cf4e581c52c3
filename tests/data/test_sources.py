from pathlib import Path

import numpy as np
import pytest

from npalexnet.data import ArrayDataset, Data, fashion_mnist, open_data, sources
from npalexnet.data.idx import write_idx
from tests.data.pictures import fill


@pytest.mark.parametrize("spec", [None, "sample"])
def test_the_sample_is_the_default_and_has_a_name(spec):
    data = open_data(spec)
    assert (len(data.train), len(data.validation), len(data.classes)) == (2000, 500, 10)
    assert data.grey
    assert not data.randomly_split
    assert data.notes == []


def test_a_folder_of_the_samples_name_is_not_taken_for_the_sample_nor_the_sample_for_it(tmp_path, monkeypatch):
    fill(tmp_path / "sample", cat=2, dog=2)
    lines = [f"{name}/00{i}.png,{'ab'[i]}" for name in ("cat", "dog") for i in range(2)]
    (tmp_path / "sample" / "labels.csv").write_text("\n".join(["name,class", *lines]))
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ValueError, match=r"'sample' may be the built-in sample or \./sample: name that as \./sample"):
        open_data("sample")
    assert open_data(None).classes[0] == "T-shirt/top"
    for folder in ("./sample", tmp_path / "sample", Path("sample")):
        assert open_data(folder).classes == ("cat", "dog")
    for folder in (None, "sample"):
        assert open_data(folder, labels="sample/labels.csv").classes == ("a", "b")


def test_labels_do_not_go_with_the_sample(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ValueError, match="the data folder 'sample' does not exist"):
        open_data("sample", labels="labels.csv")


def test_the_loaders_of_data_augment_as_told_with_colours_of_the_training_pictures():
    images = np.random.default_rng(0).integers(0, 256, (8, 30, 40, 3), dtype=np.uint8)
    train, val = (ArrayDataset(part, np.zeros(4, np.int64), ["a"]) for part in (images[:4], images[4:]))
    data = Data("pictures", train, val, grey=False)
    loaders = data.loaders(3, seed=5, workers=2)
    for loader, dataset, shuffle in zip(loaders, (train, val), (True, False), strict=True):
        assert (loader.dataset, loader.batch_size, loader.seed, loader.workers) == (dataset, 3, 5, 2)
        assert loader.shuffle is shuffle
        square, normalize = loader.pipeline.transforms
        assert square.size == 227
        np.testing.assert_allclose(normalize.mean, images[:4].mean(axis=(0, 1, 2)) / 255)
        np.testing.assert_allclose(normalize.std, images[:4].std(axis=(0, 1, 2)) / 255)
    names = [
        [type(step).__name__ for step in loader.pipeline.transforms] for loader in data.loaders(3, augment="paper")
    ]
    assert names == [
        ["ResizeCenterCrop", "SubtractMeanImage", "RandomCrop", "RandomHorizontalFlip", "PCAColorJitter", "Normalize"],
        ["ResizeCenterCrop", "SubtractMeanImage", "CenterCrop", "Normalize"],
    ]


def write_fashion(folder):
    for prefix, count in (("train", 4), ("t10k", 2)):
        write_idx(folder / f"{prefix}-images-idx3-ubyte.gz", np.zeros((count, 28, 28), np.uint8))
        write_idx(folder / f"{prefix}-labels-idx1-ubyte.gz", np.arange(count, dtype=np.uint8))


def test_fashion_mnist_is_read_from_the_folder_named_or_its_usual_place(tmp_path, monkeypatch):
    write_fashion(tmp_path)
    data = open_data(f"fashion-mnist:{tmp_path}")
    assert (data.name, len(data.train), len(data.validation), data.grey) == ("Fashion-MNIST", 4, 2, True)
    monkeypatch.setattr(sources, "FASHION_MNIST_FOLDER", tmp_path)
    assert len(open_data("fashion-mnist").train) == 4
    assert str(fashion_mnist.FOLDER) == "/usr/share/datasets/fashion-mnist"


def test_cifar10_is_read_from_the_folder_named(tmp_path):
    rows = np.zeros((10_000, 3073), np.uint8)
    for name in [f"data_batch_{i}" for i in range(1, 6)] + ["test_batch"]:
        rows.tofile(tmp_path / f"{name}.bin")
    data = open_data(f"cifar10:{tmp_path}")
    assert (data.name, len(data.train), len(data.validation), data.grey) == ("CIFAR-10", 50_000, 10_000, False)
    assert data.classes[6] == "frog"


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("cifar10", "cifar10 needs the folder of its files: cifar10:FOLDER"),
        ("mnist", "mnist needs the folder of its files: mnist:FOLDER"),
        ("CIFAR-100:here", "the data 'CIFAR-100:here' do not exist; cifar100 needs the folder of its files"),
        (
            "fashion_mnist",
            "fashion-mnist needs the folder of its files: .*, where Debian's package put it, fashion-mnist",
        ),
        ("cifar10:no/such", "the data folder 'no/such' does not exist"),
        ("fashion-mnist:no/such", "the data folder 'no/such' does not exist"),
        ("no/such", r"the data folder 'no/such' does not exist; data is a folder of train/<class>"),
        (__file__, "is not a folder"),
    ],
)
def test_data_that_is_not_there_is_refused_with_what_would_be_right(spec, message):
    with pytest.raises(ValueError, match=message):
        open_data(spec)


@pytest.mark.parametrize("fraction", [0, 1, -0.1, 1.5])
def test_a_validation_fraction_out_of_range_is_refused(tmp_path, fraction):
    with pytest.raises(ValueError, match=f"validation_fraction must be between 0 and 1, got {fraction}"):
        open_data(tmp_path, validation_fraction=fraction)


@pytest.mark.parametrize(("name", "arguments"), [("spec", {"spec": 5}), ("labels", {"spec": None, "labels": b"x.csv"})])
def test_what_is_no_path_is_refused_by_its_name(name, arguments):
    with pytest.raises(TypeError, match=f"{name} must be a path or a text, got (int|bytes)"):
        open_data(**arguments)


def test_a_list_of_labels_named_as_the_data_is_explained(tmp_path):
    (tmp_path / "labels.csv").write_text("0.png,cat\n")
    with pytest.raises(ValueError, match=r"no zip or tar file either \(a list of labels is given as --labels\)"):
        open_data(tmp_path / "labels.csv")
