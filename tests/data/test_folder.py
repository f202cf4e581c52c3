import os
import re
from pathlib import Path

import numpy as np
import pytest

from npalexnet.data import open_data
from npalexnet.data.folder import read_folder
from npalexnet.data.sources import absolute_spec
from tests.data.pictures import BROKEN, fill, noise, write_broken, write_good


def test_classes_and_files_come_by_name_whatever_the_file_systems_order(tmp_path, monkeypatch):
    fill(tmp_path, dog=2, cat=3)
    listdir = os.listdir
    monkeypatch.setattr(os, "listdir", lambda path: sorted(listdir(path), reverse=True))
    dataset, faults = read_folder(str(tmp_path))
    assert dataset.classes == ("cat", "dog")
    assert [os.path.relpath(dataset.name(i), tmp_path) for i in range(5)] == [
        "cat/000.png", "cat/001.png", "cat/002.png", "dog/000.png", "dog/001.png"
    ]  # fmt: skip
    np.testing.assert_array_equal(dataset.labels, [0, 0, 0, 1, 1])
    assert dataset.labels.dtype == np.int64
    picture, label = dataset[4]
    np.testing.assert_array_equal(np.asarray(picture), np.asarray(noise((9, 8), seed=1)))
    assert (label, faults) == (1, [])


def test_broken_files_are_listed_by_name_and_skipped_and_all_others_open_as_rgb(tmp_path):
    good = write_good(tmp_path / "train" / "a")
    write_broken(tmp_path / "train" / "a")
    fill(tmp_path / "train", b=2)
    data = open_data(tmp_path, validation_fraction=0.1)
    assert len(data.train) + len(data.validation) == good + 2
    for dataset in (data.train, data.validation):
        assert {dataset[i][0].mode for i in range(len(dataset))} == {"RGB"}
    assert data.notes[0] == f"{len(BROKEN)} files skipped, no usable pictures:"
    assert [
        os.path.basename(re.search(r"\S+/a/\S+?(?=[ :'])|\S+/a/\S+$", line)[0])
        for line in data.notes[1 : 1 + len(BROKEN)]
    ] == sorted(BROKEN)


def test_a_picture_that_breaks_later_is_named_with_what_to_do(tmp_path, monkeypatch):
    fill(tmp_path, a=1, b=1)
    dataset, _ = read_folder(str(tmp_path))
    (tmp_path / "b" / "000.png").unlink()
    with pytest.raises(OSError, match=r"No such file .*b/000\.png'; put a good one in its place, or remove it and"):
        dataset[1]

    def fail(path):
        raise OSError(5, "Input/output error")

    monkeypatch.setattr("npalexnet.data.folder.open_picture", fail)
    with pytest.raises(OSError, match=r"/a/000\.png can't be read: \[Errno 5\] Input/output error; put a good one"):
        dataset[0]


def test_strict_refuses_broken_files_by_name(tmp_path):
    fill(tmp_path / "train", a=2, b=2)
    (tmp_path / "train" / "b" / "notes.txt").write_text("hello")
    with pytest.raises(ValueError, match=r"holds files that are no usable pictures: .*notes\.txt is not an image"):
        open_data(tmp_path, strict=True)


def test_the_folders_of_the_user_are_the_split(tmp_path):
    fill(tmp_path / "train", a=3, b=2)
    fill(tmp_path / "val", a=1, b=2)
    data = open_data(str(tmp_path))
    assert (data.name, data.classes, data.randomly_split, data.notes) == (tmp_path.name, ("a", "b"), False, [])
    np.testing.assert_array_equal(data.train.labels, [0, 0, 0, 1, 1])
    np.testing.assert_array_equal(data.validation.labels, [0, 1, 1])


def test_labels_of_val_are_those_of_train_and_a_missing_class_is_noted(tmp_path):
    fill(tmp_path / "train", a=1, b=1, c=1)
    fill(tmp_path / "val", c=2)
    data = open_data(tmp_path)
    np.testing.assert_array_equal(data.validation.labels, [2, 2])
    assert data.notes == ["no validation picture of a, b"]


@pytest.mark.parametrize(
    ("spec", "expected"),
    [
        ("pictures", "HERE/pictures"),
        ("/pictures", "/pictures"),
        ("cifar10:batches", "cifar10:HERE/batches"),
        ("fashion-mnist:files", "fashion-mnist:HERE/files"),
        ("fashion-mnist", "fashion-mnist"),
        ("./sample", "HERE/sample"),
        (Path("sample"), "HERE/sample"),
    ],
)
def test_data_can_be_named_from_any_working_directory(tmp_path, monkeypatch, spec, expected):
    monkeypatch.chdir(tmp_path)
    assert absolute_spec(spec) == expected.replace("HERE", str(tmp_path))
    assert absolute_spec("sample") is absolute_spec(None) is None


def test_grey_is_said_of_folders_with_grey_pictures_alone(tmp_path):
    for name in ("a", "b"):
        (tmp_path / "train" / name).mkdir(parents=True)
        for i in range(2):
            noise(mode="L").save(tmp_path / "train" / name / f"{i}.jpg")
    assert open_data(tmp_path).grey
    noise().save(tmp_path / "train" / "a" / "colour.jpg")
    assert not open_data(tmp_path).grey


def test_grey_is_not_said_where_the_validation_pictures_are_coloured(tmp_path):
    for part in ("train", "val"):
        for name in ("a", "b"):
            (tmp_path / part / name).mkdir(parents=True)
            noise(mode="L").save(tmp_path / part / name / "0.png")
    assert open_data(tmp_path).grey
    noise().save(tmp_path / "val" / "b" / "1.png")
    assert not open_data(tmp_path).grey


def test_broken_files_of_both_parts_are_noted_and_refused_with_strict(tmp_path):
    for part in ("train", "val"):
        fill(tmp_path / part, a=1, b=1)
        (tmp_path / part / "a" / f"{part}.jpg").write_text("no picture")
    data = open_data(tmp_path)
    assert (len(data.train), len(data.validation)) == (2, 2)
    assert data.notes == [
        "2 files skipped, no usable pictures:",
        f"  {tmp_path}/train/a/train.jpg is not an image file",
        f"  {tmp_path}/val/a/val.jpg is not an image file",
    ]
    (tmp_path / "train" / "a" / "train.jpg").unlink()
    with pytest.raises(ValueError, match=r"val holds files that are no usable pictures: \S+val\.jpg is not an image"):
        open_data(tmp_path, strict=True)


def test_pictures_in_no_class_are_counted_in_a_note(tmp_path):
    fill(tmp_path / "train", a=1, b=1)
    fill(tmp_path / "val", a=1, b=1)
    for name in ("train/1.png", "train/2.jpg", "val/1.png", "val/.hidden.png"):
        noise().save(tmp_path / name)
    (tmp_path / "train" / "labels.csv").write_text("nothing to train on")
    data = open_data(tmp_path)
    assert (len(data.train), len(data.validation)) == (2, 2)
    assert data.notes == [
        f"2 pictures in {tmp_path}/train itself left out: only those in the folder of a class are used",
        f"1 picture in {tmp_path}/val itself left out: only those in the folder of a class are used",
    ]


def test_an_empty_class_is_left_out_with_a_note(tmp_path):
    fill(tmp_path / "train", a=1, b=0, c=2)
    fill(tmp_path / "val", a=1, b=0, c=1)
    data = open_data(tmp_path)
    assert data.classes == data.validation.classes == ("a", "c")
    assert data.train.labels.tolist() == [0, 1, 1]
    assert data.notes == [
        f"no usable picture in {tmp_path}/{part}/b: left out, not counted as a class" for part in ("train", "val")
    ]


def test_a_class_of_broken_files_is_named_with_what_is_wrong_with_them_where_one_class_is_left(tmp_path):
    fill(tmp_path / "train", a=1, b=0)
    (tmp_path / "train" / "b" / "x.jpg").write_bytes(b"")
    with pytest.raises(
        ValueError,
        match=r"at least two classes, got a with a usable picture; no usable picture in \S+train/b.*"
        r"Not usable: \S+x\.jpg is not an image file",
    ):
        open_data(tmp_path)


def test_a_class_in_val_that_train_lacks_is_refused_by_name(tmp_path):
    fill(tmp_path / "train", a=1, b=1)
    fill(tmp_path / "val", a=1, bird=1)
    with pytest.raises(
        ValueError, match=r"val has classes that the training pictures lack: 'bird'; .*others than 'a', 'b'"
    ):
        open_data(tmp_path)


@pytest.mark.parametrize("counts", [{}, {"a": 2}])
def test_fewer_than_two_classes_are_refused(tmp_path, counts):
    (tmp_path / "train").mkdir()
    fill(tmp_path / "train", **counts)
    with pytest.raises(ValueError, match="must have a folder for each of at least two classes, got"):
        open_data(tmp_path)


def test_a_val_without_classes_is_refused(tmp_path):
    fill(tmp_path / "train", a=1, b=1)
    (tmp_path / "val").mkdir()
    with pytest.raises(ValueError, match="val holds no folder of a class"):
        open_data(tmp_path)


def test_a_folder_without_train_is_refused(tmp_path):
    with pytest.raises(ValueError, match=r"holds nothing; pictures are expected as FOLDER/train/CLASS/\*\.jpg"):
        open_data(tmp_path)


def test_a_folder_that_cannot_be_read_is_refused_by_name(tmp_path, monkeypatch):
    fill(tmp_path / "train", a=1, b=1)

    def refuse(path):
        raise PermissionError(13, "Permission denied", path)

    monkeypatch.setattr(os, "listdir", refuse)
    with pytest.raises(ValueError, match=r"the folder \S+ can't be read: Permission denied"):
        open_data(tmp_path)
