"""Folders of pictures in the layouts that people have: pixels, labels, classes and what is said."""

import numpy as np
import pytest
from PIL import Image

from npalexnet.data import open_data
from npalexnet.data.layout import find_layout
from npalexnet.data.tree import Disk
from tests.data.pictures import fill

COLOURS = {"cat": (200, 10, 20), "dog": (10, 200, 20), "owl": (10, 20, 200)}


def colour(folder, count=4, classes=("cat", "dog")):
    """Write `count` pictures of each class, all of its colour."""
    for name in classes:
        (folder / name).mkdir(parents=True, exist_ok=True)
        for i in range(count):
            Image.new("RGB", (6, 5), COLOURS[name]).save(folder / name / f"{i}.png")


def check_pixels(dataset):
    """Each picture has the colour of the class that its label names."""
    assert len(dataset) > 0
    for i in range(len(dataset)):
        picture, label = dataset[i]
        assert label == dataset.labels[i]
        assert picture.size == (6, 5)
        assert np.asarray(picture).reshape(-1, 3).tolist() == [list(COLOURS[dataset.classes[label]])] * 30


def check(data, train, validation, classes=("cat", "dog")):
    assert data.classes == data.validation.classes == classes
    assert (len(data.train), len(data.validation)) == (train, validation)
    check_pixels(data.train)
    check_pixels(data.validation)


def test_folders_of_classes_alone_are_split_at_random(tmp_path):
    colour(tmp_path, 20)
    data = open_data(tmp_path, seed=2)
    check(data, 36, 4)
    assert data.randomly_split
    assert data.found == (
        f"Found the folders of classes in {tmp_path}: 40 pictures of 2 classes, 4 of them held out for validation"
    )
    assert data.notes == [
        f"{tmp_path} has no train/ or val/: 4 of its pictures were chosen at random for validation, 2 of each class, "
        "with seed 2"
    ]


@pytest.mark.parametrize(
    ("train", "held_out"),
    [("Train", "valid"), ("TRAIN", "Val"), ("train", "validation"), ("training", "VALIDATION"), ("train", "test")],
)
def test_other_names_of_the_parts_whatever_the_case(tmp_path, train, held_out):
    colour(tmp_path / train, 3)
    colour(tmp_path / held_out, 2)
    data = open_data(tmp_path)
    check(data, 6, 4)
    assert not data.randomly_split
    assert data.found == (
        f"Found {train}/ and {held_out}/ in {tmp_path}: 6 pictures of 2 classes to train on, 4 pictures of {held_out}/ "
        "held out for validation"
    )
    assert data.notes == []


def test_test_is_left_out_with_a_note_where_there_are_pictures_for_validation(tmp_path):
    for part, count in (("train", 3), ("valid", 2), ("test", 1)):
        colour(tmp_path / part, count)
    data = open_data(tmp_path)
    check(data, 6, 4)
    assert data.notes == [f"{tmp_path}/test left out: valid/ is for validation"]


def test_a_test_folder_without_classes_has_no_labels_and_is_left_out_with_a_note(tmp_path):
    colour(tmp_path / "train", 10)
    (tmp_path / "test").mkdir()
    Image.new("RGB", (6, 5)).save(tmp_path / "test" / "1.png")
    data = open_data(tmp_path)
    check(data, 18, 2)
    assert data.notes[0] == f"{tmp_path}/test left out: it holds no folder of a class, its pictures have no labels"


def test_folders_that_hold_nothing_but_another_one_are_passed_through(tmp_path):
    colour(tmp_path / "pets" / "pictures" / "train", 3)
    colour(tmp_path / "pets" / "pictures" / "val", 2)
    (tmp_path / "__MACOSX").mkdir()
    check(open_data(tmp_path), 6, 4)


@pytest.mark.parametrize(("train", "val"), [("train/train", "val/val"), ("Training/all/pictures", "test/test")])
def test_parts_that_hold_nothing_but_the_folder_of_the_classes_are_passed_through(tmp_path, train, val):
    colour(tmp_path / train, 3)
    colour(tmp_path / val, 2)
    data = open_data(tmp_path)
    check(data, 6, 4)
    assert data.notes == []
    check_pixels(open_data(tmp_path, validation_only=True).validation)


def test_a_folder_of_pictures_beside_annotations_is_named(tmp_path):
    colour(tmp_path / "images", 3)
    (tmp_path / "annotations").mkdir()
    (tmp_path / "annotations" / "0.xml").write_text("no picture")
    with pytest.raises(ValueError, match=r"; pictures may be in \S+images$"):
        open_data(tmp_path)
    check(open_data(tmp_path / "images"), 4, 2)


def test_classes_that_differ_in_capitals_alone_are_said(tmp_path):
    fill(tmp_path, cat=2, Cat=2, dog=2)
    if len(list(tmp_path.iterdir())) < 3:
        pytest.skip("this file system has one folder for both")
    data = open_data(tmp_path)
    assert data.classes == ("Cat", "cat", "dog")
    assert "two classes each, though they differ in capitals or blanks alone: 'Cat' and 'cat'" in data.notes


def test_a_class_with_a_blank_behind_it_is_refused_so_that_it_can_be_seen(tmp_path):
    fill(tmp_path / "train", cat=2, dog=2)
    fill(tmp_path / "val", **{"cat ": 1, "dog": 1})
    with pytest.raises(ValueError, match=r"lack: 'cat '; it must have no others than 'cat', 'dog'"):
        open_data(tmp_path)


def test_folders_beside_train_are_left_out_with_a_note(tmp_path):
    colour(tmp_path / "train", 3)
    colour(tmp_path / "val", 3)
    colour(tmp_path / "extra", 1)
    data = open_data(tmp_path)
    check(data, 6, 6)
    assert data.notes == [f"extra/ in {tmp_path} left out: beside train/ it is no class"]


def test_what_systems_leave_is_left_out_without_a_word(tmp_path):
    for part in ("train", "val"):
        colour(tmp_path / part, 3)
        for place in (tmp_path, tmp_path / part, tmp_path / part / "cat"):
            for name in ("__MACOSX", "@eaDir", ".ipynb_checkpoints", "$RECYCLE.BIN", "lost+found"):
                (place / name).mkdir(exist_ok=True)
                (place / name / "0.png").write_bytes(b"not a picture")
            for name in ("Thumbs.db", "thumbs.DB", "desktop.ini", "Desktop.ini", ".DS_Store", "._0.png"):
                (place / name).write_bytes(b"not a picture")
    data = open_data(tmp_path, strict=True)
    check(data, 6, 6)
    assert data.notes == []


def test_classes_whose_names_are_of_two_unicode_forms_are_the_same(tmp_path):
    composed, decomposed = "caf\N{LATIN SMALL LETTER E WITH ACUTE}", "cafe\N{COMBINING ACUTE ACCENT}"
    fill(tmp_path / "train", **{composed: 2, "dog": 2})
    fill(tmp_path / "val", **{decomposed: 1, "dog": 1})
    data = open_data(tmp_path)
    assert data.classes == data.validation.classes == (composed, "dog")
    assert data.validation.labels.tolist() == [0, 1]
    assert data.notes == []


def test_two_folders_that_are_one_class_are_said(tmp_path):
    composed, decomposed = "\N{LATIN SMALL LETTER U WITH DIAERESIS}", "u\N{COMBINING DIAERESIS}"
    fill(tmp_path, **{composed: 10, decomposed: 10, "dog": 10})
    if len(list(tmp_path.iterdir())) == 2:
        pytest.skip("this file system has one folder for both")
    data = open_data(tmp_path)
    assert data.classes == ("dog", decomposed)  # the one that is found first, sorted by name
    assert np.bincount(np.concatenate([data.train.labels, data.validation.labels])).tolist() == [10, 20]
    assert any("are one class" in note for note in data.notes)


@pytest.mark.parametrize(
    ("folders", "message"),
    [
        (("train", "Train"), "holds both Train/ and train/, which are the same part"),
        (("train", "val", "valid"), "holds both val/ and valid/, which are the same part"),
    ],
)
def test_two_folders_for_one_part_are_asked_about(tmp_path, folders, message):
    for name in folders:
        colour(tmp_path / name, 2)
    if len(list(tmp_path.iterdir())) < len(folders):
        pytest.skip("this file system has one folder for both")
    with pytest.raises(ValueError, match=message):
        open_data(tmp_path)


def test_a_class_that_may_be_a_part_is_asked_about(tmp_path):
    fill(tmp_path, cat=2, dog=2, test=2)
    with pytest.raises(ValueError, match=r"holds cat/, dog/, and test/ that may be a class or pictures"):
        open_data(tmp_path)


def test_a_train_of_loose_pictures_beside_others_is_asked_about(tmp_path):
    fill(tmp_path, train=2, bus=2)
    with pytest.raises(ValueError, match=r"train holds files, but no folder of a class, and bus/ beside it may be"):
        open_data(tmp_path)


def test_pictures_without_classes_are_refused_with_what_may_be_meant(tmp_path):
    fill(tmp_path, all=3)
    (tmp_path / "labels.csv").write_text("0.png,cat\n")
    with pytest.raises(ValueError, match=r"holds folders: all and 1 file; .*a list of labels may be \S+labels\.csv"):
        open_data(tmp_path)


def test_many_folders_are_not_all_listed(tmp_path):
    for i in range(300):
        (tmp_path / f"{i:03}").mkdir()
    with pytest.raises(ValueError, match=r"008, 009, \.\.\. \(300 in all\)"):
        find_layout(Disk(tmp_path))
