"""Published data sets in the folders that people have: CIFAR in both versions, MNIST and Fashion-MNIST."""

import gzip
import pickle

import numpy as np
import pytest

from npalexnet.data import cifar10, open_data
from tests.data.test_archive import packed
from tests.data.test_pickled import as_python_2_wrote_it

RNG = np.random.default_rng(1)
PLANES = RNG.integers(0, 256, (6, 3, 32, 32), np.uint8)  # as CIFAR's files have them: red, green, blue
GREY = RNG.integers(0, 256, (5, 28, 28), np.uint8)


def write_cifar10_python(folder):
    folder.mkdir(parents=True, exist_ok=True)
    for i in range(1, 6):
        (folder / f"data_batch_{i}").write_bytes(as_python_2_wrote_it(PLANES[i - 1 : i].reshape(1, -1), [i]))
    (folder / "test_batch").write_bytes(pickle.dumps({b"data": PLANES[5:].reshape(1, -1), b"labels": [9]}, 2))
    (folder / "batches.meta").write_bytes(pickle.dumps({b"label_names": [b"class %d" % k for k in range(10)]}, 2))


def write_cifar100_python(folder):
    folder.mkdir(parents=True, exist_ok=True)
    for name, planes, labels in (("train", PLANES[:5], [0, 99, 7, 7, 1]), ("test", PLANES[5:], [98])):
        content = {"data": planes.reshape(len(planes), -1), "fine_labels": labels, "coarse_labels": [0] * len(planes)}
        (folder / name).write_bytes(pickle.dumps(content, 4))
    names = {"fine_label_names": [f"fine {k}" for k in range(100)], "coarse_label_names": ["coarse"]}
    (folder / "meta").write_bytes(pickle.dumps(names, 4))


def write_cifar100_binary(folder):
    folder.mkdir(parents=True, exist_ok=True)
    for name, planes, labels in (("train", PLANES[:5], [0, 99, 7, 7, 1]), ("test", PLANES[5:], [98])):
        records = (bytes([19, label]) + plane.tobytes() for plane, label in zip(planes, labels, strict=True))
        (folder / f"{name}.bin").write_bytes(b"".join(records))


def write_mnist(folder, zipped, dots=False):
    folder.mkdir(parents=True, exist_ok=True)
    for prefix, images, labels in (("train", GREY[:4], [0, 9, 3, 3]), ("t10k", GREY[4:], [8])):
        header = b"\0\0\x08\x03" + np.array(images.shape, ">u4").tobytes()
        for kind, content in (
            ("images-idx3", header + images.tobytes()),
            ("labels-idx1", b"\0\0\x08\x01" + np.array([len(labels)], ">u4").tobytes() + bytes(labels)),
        ):
            name = f"{prefix}-{kind.replace('-idx', '.idx') if dots else kind}-ubyte"
            path = folder / (name + ".gz" if zipped else name)
            path.write_bytes(gzip.compress(content) if zipped else content)


def check_colours(data, train_labels, test_labels, classes):
    assert data.classes == data.validation.classes == tuple(classes)
    assert data.train.labels.tolist() == train_labels
    assert data.validation.labels.tolist() == test_labels
    pictures = [dataset[i] for dataset in (data.train, data.validation) for i in range(len(dataset))]
    for (picture, _), planes in zip(pictures, PLANES, strict=True):
        np.testing.assert_array_equal(picture, np.stack(list(planes), axis=-1))
    assert not data.grey


@pytest.mark.parametrize("place", ["cifar-10-batches-py", "here", "spec", "tar.gz", "spec.tar.gz"])
def test_cifar_10_as_torchvision_keeps_it(tmp_path, place):
    folder = tmp_path / "data"
    write_cifar10_python(folder / "cifar-10-batches-py" if place != "here" else folder)
    spec = f"cifar10:{folder}" if place == "spec" else str(folder)
    if place.endswith("tar.gz"):  # as it is published
        packed("tar.gz", folder / "cifar-10-batches-py", tmp_path / "cifar-10-python.tar.gz")
        spec = "cifar10:" * place.startswith("spec") + str(tmp_path / "cifar-10-python.tar.gz")
    data = open_data(spec)
    check_colours(data, [1, 2, 3, 4, 5], [9], [f"class {k}" for k in range(10)])
    assert data.name == "CIFAR-10"
    where = spec.removeprefix("cifar10:")
    assert data.found == f"Found CIFAR-10 in {where}: 5 images to train on, 1 of its test images for validation"


@pytest.mark.parametrize("place", ["cifar-100-python", "here", "spec"])
def test_cifar_100_as_torchvision_keeps_it(tmp_path, place):
    folder = tmp_path / "data"
    write_cifar100_python(folder / "cifar-100-python" if place != "here" else folder)
    data = open_data(f"cifar100:{folder}" if place == "spec" else folder)
    check_colours(data, [0, 99, 7, 7, 1], [98], [f"fine {k}" for k in range(100)])


@pytest.mark.parametrize("place", ["cifar-100-binary", "here", "spec"])
def test_cifar_100s_binary_version_has_the_fine_labels(tmp_path, place):
    folder = tmp_path / "data"
    inside = folder / "cifar-100-binary" if place != "here" else folder
    write_cifar100_binary(inside)
    check_colours(open_data(f"cifar100:{folder}"), [0, 99, 7, 7, 1], [98], map(str, range(100)))
    (inside / "fine_label_names.txt").write_text("".join(f"fine {k}\n" for k in range(100)))
    data = open_data(f"cifar100:{folder}" if place == "spec" else folder)
    check_colours(data, [0, 99, 7, 7, 1], [98], [f"fine {k}" for k in range(100)])


def test_cifar_10s_binary_version_needs_no_name(tmp_path, monkeypatch):
    monkeypatch.setattr(cifar10, "IMAGES_PER_FILE", 1)
    folder = tmp_path / "cifar-10-batches-bin"
    folder.mkdir()
    for name, k in [*((f"data_batch_{i}", i - 1) for i in range(1, 6)), ("test_batch", 5)]:
        (folder / f"{name}.bin").write_bytes(bytes([k]) + PLANES[k].tobytes())
    for spec in (tmp_path, folder, f"cifar10:{tmp_path}"):
        check_colours(open_data(spec), [0, 1, 2, 3, 4], [5], cifar10.CLASSES)


@pytest.mark.parametrize("zipped", [False, True])
@pytest.mark.parametrize("place", ["MNIST/raw", "raw", "."])
def test_mnist_as_torchvision_keeps_it(tmp_path, place, zipped):
    write_mnist(tmp_path / "data" / place if place != "." else tmp_path / "data", zipped, dots=not zipped)
    data = open_data(f"mnist:{tmp_path / 'data'}")
    assert data.name == "MNIST"
    assert data.classes == tuple("0123456789")
    np.testing.assert_array_equal(data.train.images, GREY[:4])
    np.testing.assert_array_equal(data.validation.images, GREY[4:])
    assert (data.train.labels.tolist(), data.validation.labels.tolist()) == ([0, 9, 3, 3], [8])
    assert data.grey
    if place == "MNIST/raw":
        assert open_data(tmp_path / "data").name == "MNIST"
    else:
        with pytest.raises(ValueError, match=r"may be mnist or fashion-mnist: say which, by mnist:\S+ or fashion-"):
            open_data(tmp_path / "data")


def test_fashion_mnist_in_torchvisions_folder_needs_no_name(tmp_path):
    write_mnist(tmp_path / "FashionMNIST" / "raw", True)
    data = open_data(tmp_path)
    assert (data.name, data.classes[9]) == ("Fashion-MNIST", "Ankle boot")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            {b"data": np.zeros((2, 5), np.uint8)},
            r"test_batch must hold data of shape \(N, 3072\), got an array of shape \(2, 5\)",
        ),
        ({b"data": [1]}, r"must hold data of shape \(N, 3072\), got a list of 1"),
        ({b"labels": [9, 9]}, "must hold 1 labels, whole numbers, got a list of 2"),
        ({b"labels": [True]}, "must hold 1 labels, whole numbers"),
        ({b"labels": None}, "must hold 1 labels, whole numbers, got nothing"),
        ({b"labels": [10]}, r"test_batch has the label 10, but \S+batches\.meta names 10 classes, from 0 on"),
        ({b"labels": [-1]}, "has the label -1"),
    ],
)
def test_a_python_file_that_is_not_what_it_should_be_is_refused_by_name(tmp_path, change, message):
    write_cifar10_python(tmp_path)
    content = {b"data": PLANES[5:].reshape(1, -1), b"labels": [9], **change}
    (tmp_path / "test_batch").write_bytes(pickle.dumps(content, 2))
    with pytest.raises(ValueError, match=message):
        open_data(tmp_path)


@pytest.mark.parametrize("spec", ["cifar100", "mnist", "cifar10"])
def test_a_folder_without_the_files_is_refused(tmp_path, spec):
    with pytest.raises(ValueError, match=r"holds no CIFAR-100|lacks train-images-idx3-ubyte|lacks data_batch_1\.bin"):
        open_data(f"{spec}:{tmp_path}")
    with pytest.raises(ValueError, match="does not exist"):
        open_data(f"{spec}:{tmp_path / 'nowhere'}")


def test_binary_files_in_an_archive_are_refused_with_what_to_do(tmp_path):
    write_mnist(tmp_path / "MNIST" / "raw", zipped=True)
    packed("zip", tmp_path / "MNIST", tmp_path / "mnist.zip")
    with pytest.raises(
        ValueError, match=r"ubyte\.gz may be of MNIST, whose binary files are not read in an archive: un"
    ):
        open_data(tmp_path / "mnist.zip")
    with pytest.raises(ValueError, match=r"holds no CIFAR-10 in its Python version, which alone is read in an archive"):
        open_data(f"cifar10:{tmp_path / 'mnist.zip'}")
