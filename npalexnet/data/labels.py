"""A file that lists pictures and their classes: ``name,label`` a line, as CSV, TSV or text."""

from __future__ import annotations

import codecs
import csv
import os
from collections.abc import Iterable
from typing import NamedTuple

from npalexnet.data.members import MOST_BYTES
from npalexnet.data.names import listed, normal
from npalexnet.data.tree import Disk, Tree

NAMES = {
    "file", "filename", "file_name", "name", "path", "filepath", "file_path", "image", "image_path", "img", "picture",
}  # fmt: skip
LABELS = {"label", "labels", "class", "class_name", "classname", "category", "target", "y"}
SUFFIXES = ("", ".jpg", ".jpeg", ".png")  # that a list may leave out


class Listed(NamedTuple):
    """Pictures of a list, by path and class, and what the user should know."""

    pictures: list[tuple[str, str]]
    notes: list[str]


def read_labels(path: str, tree: Tree) -> Listed:
    """Return the pictures that a file lists.

    Parameters
    ----------
    path : str
        A line for each picture: its name, and its class; between them a comma, a semicolon, a tab or a blank. The
        first line may name the columns. Names are relative to the tree, or else to the file's own folder.
    tree : Tree

    Raises
    ------
    ValueError
        If it can't be understood, lists a picture in two classes, or no picture that exists.
    OSError
        If it can't be read.
    """
    rows = _rows(path)
    if not rows:
        raise ValueError(f"{path} is empty; a line for each picture must have its name and its class: cat-1.jpg,cat")
    own = os.path.dirname(os.path.abspath(path)) if isinstance(tree, Disk) else None
    name_at, label_at, first = _columns(rows, path, tree, own)
    known: dict[str, tuple[str, int]] = {}
    missing: list[str] = []
    for number, row in rows[first:]:
        if len(row) <= max(name_at, label_at) or not row[name_at].strip() or not row[label_at].strip():
            raise ValueError(f"line {number} of {path} must have a name and a class, got {','.join(row)!r}")
        name, label = row[name_at].strip(), row[label_at].strip()
        place = _existing(name, tree, own)
        if place is None:
            missing.append(name)
            continue
        before, line = known.setdefault(place, (label, number))
        if normal(before) != normal(label):
            raise ValueError(f"{path} gives {name} two classes: {before} in line {line}, {label} in line {number}")
    if not known:
        where = tree.place if own in (None, os.path.abspath(tree.place)) else f"{tree.place} or {own}"
        raise ValueError(f"none of the {len(missing):,} pictures that {path} lists is in {where}: {listed(missing, 3)}")
    notes = []
    if missing:
        notes.append(f"{len(missing):,} of the pictures that {path} lists do not exist, left out: {listed(missing)}")
    return Listed([(place, label) for place, (label, _) in known.items()], notes)


def label_order(labels: Iterable[str]) -> list[str]:
    """Return classes sorted by name; if all are whole numbers, by these."""
    labels = list(labels)
    numbers = all(label.isascii() and label.isdecimal() and len(label) < 10 for label in labels)
    return sorted(labels, key=lambda label: (int(label), label)) if numbers else sorted(labels)


def _rows(path: str) -> list[tuple[int, list[str]]]:
    """Return the cells of each line that is not empty, with its number."""
    if not os.path.isfile(path):
        what = "is not a regular file" if os.path.exists(path) else "does not exist"
        raise ValueError(f"the list of labels {path} {what}; it must be a file with name,label in each line")
    if os.path.getsize(path) > MOST_BYTES:
        raise ValueError(f"{path} is too large for a list of pictures: at most {MOST_BYTES:,} bytes are read")
    with open(path, "rb") as file:
        utf16 = file.read(2) in (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)
    encoding = "utf-16" if utf16 else "utf-8-sig"
    try:
        with open(path, encoding=encoding, errors="strict" if utf16 else "surrogateescape", newline="") as file:
            first = next((line for line in file if line.strip()), "")
            file.seek(0)
            delimiter = next((mark for mark in "\t;," if mark in first), None)
            if delimiter is None:
                lines = enumerate((line.split() and line.rsplit(None, 1) for line in file), 1)
                return [(number, cells) for number, cells in lines if cells]
            reader = csv.reader(file, delimiter=delimiter, strict=True)
            return [(reader.line_num, cells) for cells in reader if any(cell.strip() for cell in cells)]
    except (csv.Error, UnicodeError) as error:
        raise ValueError(f"{path} is not a list of pictures and classes: {error}") from None


def _columns(rows: list[tuple[int, list[str]]], path: str, tree: Tree, own: str | None) -> tuple[int, int, int]:
    """Return the columns of names and of classes, and the first row that is no heading."""
    head = [cell.strip().lower() for cell in rows[0][1]]
    names = [i for i, cell in enumerate(head) if cell in NAMES]
    labels = [i for i, cell in enumerate(head) if cell in LABELS]
    if len(names) == 1 and len(labels) == 1:
        return names[0], labels[0], 1
    if len(head) != 2:
        raise ValueError(
            f"{path} has {len(head)} column{'s' * (len(head) != 1)}, {listed(rows[0][1])}: it must have two, name and "
            "class, or a first line that calls one of them file and one of them label"
        )
    for number, row in rows[:2]:  # the first row may be a heading in other words
        for i in (0, 1):
            if len(row) == 2 and _existing(row[i].strip(), tree, own) is not None:
                return i, 1 - i, int(number != rows[0][0])
    return (0, 1, int(bool(names) or bool(labels)))


def _existing(name: str, tree: Tree, own: str | None) -> str | None:
    """Return the path of a file that a list names, maybe without its suffix, or None if there is none."""
    name = name.replace("\\", "/") if "/" not in name and "\\" in name else name
    if not name or "\0" in name:
        return None
    for folder in (tree.place, own):
        if folder is not None:
            place = tree.join(folder, name.removeprefix("./"))
            for suffix in SUFFIXES:
                if tree.is_file(place + suffix):
                    return place + suffix
    return None
