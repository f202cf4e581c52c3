import numpy as np
import pytest

from npalexnet.data.cifar10 import CLASSES, read_cifar10

NAMES = [f"data_batch_{i}.bin" for i in range(1, 6)] + ["test_batch.bin"]


@pytest.fixture(scope="module")
def rows():
    """10,000 records as the format's description has them: label, 1,024 reds, 1,024 greens, 1,024 blues."""
    rows = np.zeros((10_000, 3073), np.uint8)
    rows[:, 0] = np.arange(10_000) % 10
    rows[:, 1] = 200  # the first red: top left
    rows[:, 1 + 1024 + 31] = 150  # a green: top right
    rows[:, 1 + 2048 + 31 * 32] = 100  # a blue: bottom left
    return rows


@pytest.fixture
def folder(tmp_path, rows):
    for number, name in enumerate(NAMES):
        rows[:, 1 + 5 * 32 + 6] = 10 * number
        rows.tofile(tmp_path / name)
    return tmp_path


def test_pixels_colours_labels_and_the_order_of_files_are_as_the_format_says(folder):
    train = read_cifar10(folder, "train")
    assert (len(train), train.classes) == (50_000, CLASSES)
    picture, label = train[20_007]
    assert (picture.shape, picture.dtype, label) == ((32, 32, 3), np.uint8, 7)
    expected = np.zeros((32, 32, 3), np.uint8)
    expected[0, 0, 0], expected[0, 31, 1], expected[31, 0, 2], expected[5, 6, 0] = 200, 150, 100, 20
    np.testing.assert_array_equal(picture, expected)
    test = read_cifar10(folder, "test")
    assert len(test) == 10_000
    assert test[0][0][5, 6, 0] == 50


def test_the_archives_own_folder_and_names_are_found(tmp_path, rows):
    inside = tmp_path / "cifar-10-batches-bin"
    inside.mkdir()
    rows.tofile(inside / "test_batch.bin")
    names = list("abcdefghij")
    (inside / "batches.meta.txt").write_text("\n".join(names) + "\n\n")
    assert read_cifar10(tmp_path, "test").classes == tuple(names)


def test_names_that_are_not_ten_are_refused(tmp_path, rows):
    rows.tofile(tmp_path / "test_batch.bin")
    (tmp_path / "batches.meta.txt").write_text("cat\ndog\n")
    with pytest.raises(ValueError, match=r"batches\.meta\.txt must name 10 classes, one a line, got 2 lines"):
        read_cifar10(tmp_path, "test")


def test_missing_files_are_named(tmp_path):
    with pytest.raises(ValueError, match=r"lacks data_batch_1\.bin, .*data_batch_5\.bin: the files of CIFAR-10"):
        read_cifar10(tmp_path, "train")


def test_a_file_of_the_wrong_size_is_refused_by_name(tmp_path):
    (tmp_path / "test_batch.bin").write_bytes(bytes(3072))
    with pytest.raises(ValueError, match=r"test_batch\.bin must have 30,730,000 bytes, 10,000 images, but has 3,072"):
        read_cifar10(tmp_path, "test")


def test_a_file_of_the_right_size_with_other_labels_is_refused_by_name(tmp_path, rows):
    other = rows.copy()
    other[17, 0] = 77
    other.tofile(tmp_path / "test_batch.bin")
    with pytest.raises(ValueError, match=r"test_batch\.bin is not of CIFAR-10: the label of its image 17 is 77"):
        read_cifar10(tmp_path, "test")


def test_an_unknown_split_is_refused(tmp_path):
    with pytest.raises(ValueError, match="split must be 'train' or 'test', got 'val'"):
        read_cifar10(tmp_path, "val")
