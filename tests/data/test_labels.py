"""Lists of pictures and classes: every form of them, and what is said of a wrong one."""

import codecs
import os

import numpy as np
import pytest

from npalexnet.data import open_data
from npalexnet.data.labels import label_order, read_labels
from npalexnet.data.tree import Disk
from tests.data.test_archive import packed
from tests.data.test_layout import check_pixels, colour

PICTURES = [(f"{name}/{i}.png", name) for name in ("cat", "dog") for i in range(10)]


@pytest.fixture
def pictures(tmp_path):
    colour(tmp_path / "all" / "pictures", 10)
    return tmp_path / "all" / "pictures"


def lines(mark, head=()):
    return "".join(f"{line}\n" for line in [*head, *(f"{name}{mark}{label}" for name, label in PICTURES)])


FORMS = {
    "csv": lines(","),
    "csv with a head": lines(",", ["file,label"]),
    "a head in other words": lines(",", ["bestand,klasse"]),
    "semicolons": lines(";", ["filename;class"]),
    "tsv": lines("\t"),
    "tsv with a head": lines("\t", ["Image\tCategory"]),
    "blanks": lines(" "),
    "several blanks": lines("   "),
    "class first": "".join(f"{label},{name}\n" for name, label in PICTURES),
    "more columns": "id,label,width,path\n" + "".join(f"1,{label},6,{name}\n" for name, label in PICTURES),
    "quotes": "".join(f'"{name}","{label}"\n' for name, label in PICTURES),
    "empty lines": "\n\n" + lines(",").replace("\n", "\n\n"),
    "Windows": lines(",").replace("/", "\\").replace("\n", "\r\n"),
    "dots": "".join(f"./{name}, {label}\n" for name, label in PICTURES),
}


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_every_form_of_a_list_gives_the_same_pictures(pictures, tmp_path, form, encoding):
    path = tmp_path / "labels.txt"
    path.write_bytes(FORMS[form].encode(encoding))
    found = read_labels(str(path), Disk(pictures))
    assert found.pictures == [(os.path.join(pictures, *name.split("/")), label) for name, label in PICTURES]
    assert found.notes == []


def test_listed_pictures_have_the_classes_of_the_list(pictures, tmp_path):
    (tmp_path / "labels.csv").write_text(FORMS["csv with a head"])
    data = open_data(pictures, labels=tmp_path / "labels.csv", seed=1)
    assert data.classes == ("cat", "dog")
    assert (len(data.train), len(data.validation)) == (18, 2)
    check_pixels(data.train)
    check_pixels(data.validation)
    assert data.found == (
        f"Found a list of pictures, {tmp_path}/labels.csv: 20 pictures of 2 classes, 2 of them held out for validation"
    )
    assert data.randomly_split
    assert open_data(pictures, labels=tmp_path / "labels.csv", seed=2, split=data.split()).split() == data.split()


def test_a_list_may_leave_out_suffixes_and_call_its_columns_as_it_likes(pictures, tmp_path):
    lines = [f"{name.removesuffix('.png')},{label}\n" for name, label in PICTURES]
    (tmp_path / "labels.csv").write_text("id,breed\n" + "".join(lines))
    data = open_data(pictures, labels=tmp_path / "labels.csv")
    assert (data.classes, len(data.train)) == (("cat", "dog"), 18)
    check_pixels(data.train)


def test_names_are_relative_to_the_lists_own_folder_without_another_one(pictures):
    (pictures / "labels.csv").write_text(FORMS["csv"])
    data = open_data(None, labels=pictures / "labels.csv")
    assert len(data.train) == 18
    check_pixels(data.train)


@pytest.mark.parametrize("kind", ["zip", "tar.gz"])
def test_a_list_names_pictures_in_an_archive(pictures, tmp_path, kind):
    packed(kind, pictures, tmp_path / "archive")
    (tmp_path / "labels.csv").write_text("".join(f"pictures/{name},{label}\n" for name, label in PICTURES))
    data = open_data(tmp_path / "archive", labels=tmp_path / "labels.csv")
    assert len(data.train) == 18
    check_pixels(data.train)


def test_numbers_as_classes_are_in_the_order_of_numbers(pictures, tmp_path):
    (tmp_path / "labels.csv").write_text("".join(f"cat/{i}.png,{10 - i}\n" for i in range(10)))
    assert label_order(["10", "9", "1"]) == ["1", "9", "10"]
    assert label_order(["10", "9", "one"]) == ["10", "9", "one"]
    with pytest.raises(ValueError, match=r"no class in \S+ has two pictures"):
        open_data(pictures, labels=tmp_path / "labels.csv")


def test_pictures_that_do_not_exist_are_left_out_with_a_note_and_a_line_twice_counts_once(pictures, tmp_path):
    (tmp_path / "labels.csv").write_text(FORMS["csv"] + "cat/77.png,cat\ncat/0.png,cat\n")
    data = open_data(pictures, labels=tmp_path / "labels.csv")
    assert len(data.train) + len(data.validation) == 20
    listed = f"1 of the pictures that {tmp_path}/labels.csv lists do not exist, left out: cat/77.png"
    assert listed in data.notes
    np.testing.assert_array_equal(np.bincount(data.validation.labels), [1, 1])


def with_parts(pictures, column, values):
    """A list of which the tenth picture of each class has the second value, the ninth the third, the others the first.

    Returns its path."""
    lines = [f"{name},{values[{9: 1, 8: 2}.get(i % 10, 0)]},{label}\n" for i, (name, label) in enumerate(PICTURES)]
    (pictures / "labels.csv").write_text(f"file,{column},label\n" + "".join(lines))
    return pictures / "labels.csv"


@pytest.mark.parametrize(
    ("column", "values", "sizes"),
    [
        ("split", ("train", "val", "train"), (18, 2)),
        ("Set", ("Training", "Validation", "validation"), (16, 4)),
        ("subset", ("train", "test", "test"), (16, 4)),
    ],
)
def test_a_column_that_says_which_pictures_are_for_validation_is_heard(pictures, column, values, sizes):
    path = with_parts(pictures, column, values)
    data = open_data(pictures, labels=path, seed=7)
    assert (len(data.train), len(data.validation)) == sizes
    held_out = {os.path.basename(data.validation.name(i)) for i in range(len(data.validation))}
    assert held_out == ({"9.png"} if sizes[1] == 2 else {"8.png", "9.png"})
    assert data.classes == data.validation.classes == ("cat", "dog")
    check_pixels(data.train)
    check_pixels(data.validation)
    assert not data.randomly_split
    assert data.notes == []
    assert data.found == (
        f"Found a list of pictures, {path}: {sizes[0]} pictures of 2 classes to train on, {sizes[1]} pictures held out "
        "for validation"
    )


def test_listed_pictures_for_testing_are_left_out_with_a_note_where_others_are_for_validation(pictures):
    path = with_parts(pictures, "split", ("train", "valid", "test"))
    data = open_data(pictures, labels=path)
    assert (len(data.train), len(data.validation)) == (16, 2)
    assert data.notes == [f"2 pictures that {path} lists for testing left out: others are for validation"]


def test_a_column_of_other_values_is_left_out_with_a_note_and_one_of_both_kinds_refused(pictures):
    path = with_parts(pictures, "part", ("0", "1", "2"))
    data = open_data(pictures, labels=path)
    assert data.randomly_split
    assert data.notes[0] == f"the column part of {path} left out: it does not say train, val or test"
    path = with_parts(pictures, "split", ("train", "val", "extra"))
    message = r"line 10 of \S+labels\.csv must have train, val or test as its split, got 'extra'"
    with pytest.raises(ValueError, match=message):
        open_data(pictures, labels=path)


def test_a_list_of_pictures_for_validation_alone_can_be_evaluated(pictures):
    path = with_parts(pictures, "split", ("test", "test", "test"))
    data = open_data(pictures, labels=path, validation_only=True)
    assert (len(data.train), len(data.validation)) == (0, 20)
    with pytest.raises(ValueError, match=r"must list pictures of at least two classes, got none"):
        open_data(pictures, labels=path)


def test_a_class_that_is_listed_for_validation_alone_is_refused(pictures):
    (pictures / "labels.csv").write_text(
        "file,label,split\ncat/0.png,cat,train\ncat/1.png,pet,train\ndog/0.png,dog,val\n"
    )
    with pytest.raises(ValueError, match=r"classes that it has no usable picture of to train on: 'dog'; it has 'cat'"):
        open_data(pictures, labels=pictures / "labels.csv")


@pytest.mark.parametrize("other", ["./cat/0.png", "dog/../cat/0.png", "cat//0.png", "{}/cat/0.png"])
def test_a_picture_by_two_names_is_one_picture(pictures, other):
    again = other.format(pictures)
    (pictures / "labels.csv").write_text(FORMS["csv"] + f"{again},cat\n")
    data = open_data(pictures, labels=pictures / "labels.csv")
    assert len(data.train) + len(data.validation) == 20
    (pictures / "labels.csv").write_text(FORMS["csv"] + f"{again},dog\n")
    with pytest.raises(ValueError, match="two classes: cat in line 1, dog in line 21"):
        open_data(pictures, labels=pictures / "labels.csv")


@pytest.mark.parametrize(("listed", "stored"), [("caf\xe9", "cafe\u0301"), ("cafe\u0301", "caf\xe9")])
def test_a_listed_name_is_found_in_another_unicode_form(tmp_path, listed, stored):
    colour(tmp_path / "all", 2)
    for i in (0, 1):
        (tmp_path / "all" / "cat" / f"{i}.png").rename(tmp_path / "all" / "cat" / f"{stored}{i}.png")
    rows = [f"cat/{listed}{i}.png,cat\ndog/{i}.png,dog\n" for i in (0, 1)]
    (tmp_path / "labels.csv").write_text("".join(rows), encoding="utf-8")
    assert len(read_labels(str(tmp_path / "labels.csv"), Disk(tmp_path / "all")).pictures) == 4


def test_strict_refuses_a_list_of_pictures_that_do_not_exist(pictures, tmp_path):
    (tmp_path / "labels.csv").write_text(FORMS["csv"] + "cat/77.png,cat\n")
    with pytest.raises(ValueError, match=r"1 of the pictures that \S+ lists do not exist: cat/77\.png"):
        open_data(pictures, labels=tmp_path / "labels.csv", strict=True)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("file,label\n", r"labels\.csv has a heading alone; a line for each picture must have its name and its class"),
        ("cat/0.png,cat\n".encode("utf-16-le"), r"labels\.csv is a spreadsheet, or no text in UTF-8: save .* as CSV"),
        ("cat/0.png,cat\n".encode("utf-32"), r"labels\.csv is a spreadsheet, or no text in UTF-8: save .* as CSV"),
        (b"PK\3\4\x14\0\6\0xl/workbook.xml", r"labels\.csv is a spreadsheet, or no text in UTF-8: save .* as CSV"),
        (
            "file,label,split,set\na,b,train,val\n",
            r"several columns that may say what is for validation, split and set",
        ),
        ("", r"labels\.csv is empty; a line for each picture must have its name and its class"),
        ("x.png,cat\ny.png,dog\n", r"none of the 2 pictures that \S+labels\.csv lists is in \S+"),
        ("cat/0.png,cat\ncat/0.png,dog\n", r"gives cat/0\.png two classes: cat in line 1, dog in line 2"),
        ("cat/0.png,cat\ncat/1.png\n", r"line 2 of \S+labels\.csv must have a name and a class, got 'cat/1\.png'"),
        ("cat/0.png,cat\ncat/1.png, \n", r"line 2 of \S+labels\.csv must have a name and a class"),
        ("cat/0.png\ncat/1.png\n", r"labels\.csv has 1 column, cat/0\.png: it must have two, name and class"),
        ("cat/0.png,cat,1\n", r"labels\.csv has 3 columns, cat/0\.png, cat, 1: it must have two"),
        ('cat/0.png,"cat\n', r"labels\.csv is not a list of pictures and classes"),
        ("cat/0.png,cat\ncat/1.png,cat\n", r"labels\.csv must list pictures of at least two classes, got cat"),
        (codecs.BOM_UTF16_LE + b"\x00\xd8x", r"labels\.csv is not a list of pictures and classes"),
    ],
)
def test_a_wrong_list_is_refused_with_the_line_and_what_would_be_right(pictures, tmp_path, content, message):
    (tmp_path / "labels.csv").write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(ValueError, match=message):
        open_data(pictures, labels=tmp_path / "labels.csv")


@pytest.mark.parametrize(("name", "what"), [("none.csv", "does not exist"), ("all", "is not a regular file")])
def test_a_list_that_is_no_file_is_refused(pictures, tmp_path, name, what):
    with pytest.raises(ValueError, match=f"the list of labels .*{name} {what}; it must be a file with name,label"):
        open_data(pictures, labels=tmp_path / name)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="named pipes are POSIX's")
def test_a_list_that_is_a_named_pipe_does_not_hang(pictures, tmp_path):
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(ValueError, match="is not a regular file"):
        open_data(pictures, labels=tmp_path / "pipe")


@pytest.mark.parametrize("spec", ["cifar10:somewhere", "mnist:somewhere", "fashion-mnist"])
def test_a_list_does_not_go_with_a_published_data_set(spec, tmp_path):
    with pytest.raises(ValueError, match="labels go with a folder or an archive of pictures"):
        open_data(spec, labels=tmp_path / "labels.csv")
