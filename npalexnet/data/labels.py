"""A file that lists pictures and their classes: ``name,label`` a line, as CSV, TSV or text."""

from __future__ import annotations

import codecs
import csv
import os
import posixpath
from collections.abc import Iterable
from typing import NamedTuple
from unicodedata import normalize

from npalexnet.data.layout import TEST, TRAIN, VALIDATION
from npalexnet.data.members import MOST_BYTES
from npalexnet.data.names import listed, normal
from npalexnet.data.tree import Disk, Tree

NAMES = {
    "file", "filename", "file_name", "name", "path", "filepath", "file_path", "image", "image_path", "img", "picture",
}  # fmt: skip
LABELS = {"label", "labels", "class", "class_name", "classname", "category", "target", "y"}
PARTS = {"split", "splits", "set", "data set", "data_set", "dataset", "subset", "partition", "part", "phase", "usage"}
SUFFIXES = ("", ".jpg", ".jpeg", ".png")  # that a list may leave out
_LINES = "a line for each picture must have its name and its class: cat-1.jpg,cat"


class Listed(NamedTuple):
    """Pictures of a list, by path and class, those that it holds out for validation, and what the user should know."""

    pictures: list[tuple[str, str]]
    notes: list[str]
    held_out: list[tuple[str, str]]


class _Columns(NamedTuple):
    """Where the names, the classes and, if it is stated, the parts are, and the first row that is no heading."""

    name: int
    label: int
    part: int | None
    first: int


def read_labels(path: str, tree: Tree, *, strict: bool = False) -> Listed:
    """Return the pictures that a file lists.

    Parameters
    ----------
    path : str
        A line for each picture: its name, and its class; between them a comma, a semicolon, a tab or a blank. The
        first line may name the columns, and one of these, ``split`` say, the part that each picture belongs to, as the
        folders do in `npalexnet.data.layout`. Names are relative to the tree, or else to the file's own folder.
    tree : Tree
    strict : bool
        Refuse a list of pictures that do not exist.

    Raises
    ------
    ValueError
        If it can't be understood, lists a picture twice in different classes or parts, or no picture that exists.
    OSError
        If it can't be read.
    """
    rows = _rows(path)
    if not rows:
        raise ValueError(f"{path} is empty; {_LINES}")
    own = os.path.dirname(os.path.abspath(path)) if isinstance(tree, Disk) else None
    columns = _columns(rows, path, tree, own)
    parts, notes = _parts(rows, columns, path)
    known: dict[str, tuple[str, str, str, int]] = {}  # by their absolute paths: the path as found, class, part, line
    missing: list[str] = []
    for (number, row), part in zip(rows[columns.first :], parts, strict=True):
        if (
            len(row) <= max(columns.name, columns.label)
            or not row[columns.name].strip()
            or not row[columns.label].strip()
        ):
            raise ValueError(f"line {number} of {path} must have a name and a class, got {_cells(row)!r}")
        name, label = row[columns.name].strip(), row[columns.label].strip()
        place = _existing(name, tree, own)
        if place is None:
            missing.append(name)
            continue
        key = os.path.abspath(place) if own is not None else place
        _, *before, line = known.setdefault(key, (place, label, part, number))
        for what, one, other in zip(("classes", "parts"), before, (label, part), strict=True):
            if normal(one) != normal(other):
                raise ValueError(f"{path} gives {name} two {what}: {one} in line {line}, {other} in line {number}")
    if not parts:
        raise ValueError(f"{path} has a heading alone; {_LINES}")
    if not known:
        where = tree.place if own in (None, os.path.abspath(tree.place)) else f"{tree.place} or {own}"
        raise ValueError(f"none of the {len(missing):,} pictures that {path} lists is in {where}: {listed(missing, 3)}")
    if missing:
        absent = f"{len(missing):,} of the pictures that {path} lists do not exist"
        if strict:
            raise ValueError(f"{absent}: {listed(missing)}")
        notes.append(f"{absent}, left out: {listed(missing)}")
    by_part: dict[str, list[tuple[str, str]]] = {}
    for place, label, part, _ in known.values():
        by_part.setdefault(part, []).append((place, label))
    held_out = by_part.get("val") or by_part.get("test") or []
    if "val" in by_part and "test" in by_part:
        notes.append(
            f"{len(by_part['test']):,} pictures that {path} lists for testing left out: others are for validation"
        )
    return Listed(by_part.get("train", []), notes, held_out)


def label_order(labels: Iterable[str]) -> list[str]:
    """Return classes sorted by name; if all are whole numbers, by these."""
    labels = list(labels)
    numbers = all(label.isascii() and label.isdecimal() and len(label) < 10 for label in labels)
    return sorted(labels, key=lambda label: (int(label), label)) if numbers else sorted(labels)


def _parts(rows: list[tuple[int, list[str]]], columns: _Columns, path: str) -> tuple[list[str], list[str]]:
    """Return "train", "val" or "test" for each row, and notes; all are for training if the list does not say."""
    lines = rows[columns.first :]
    everything = ["train"] * len(lines)
    if columns.part is None:
        return everything, []
    names = {name: part for part, names in (("train", TRAIN), ("val", VALIDATION), ("test", TEST)) for name in names}
    stated = [row[columns.part].strip() if columns.part < len(row) else "" for _, row in lines]
    parts = [names.get(text.lower()) for text in stated]
    heading = rows[0][1][columns.part].strip()
    if not any(parts):
        note = f"the column {heading} of {path} left out: it does not say train, val or test"
        return everything, [note] * bool(lines)
    for (number, _), text, part in zip(lines, stated, parts, strict=True):
        if part is None:
            raise ValueError(
                f"line {number} of {path} must have train, val or test as its {heading}, got {text[:80]!r}"
            )
    return [part for part in parts if part is not None], []


def _cells(row: list[str]) -> str:
    return ",".join(row)[:200]


def _rows(path: str) -> list[tuple[int, list[str]]]:
    """Return the cells of each line that is not empty, with its number."""
    if not os.path.isfile(path):
        what = "is not a regular file" if os.path.exists(path) else "does not exist"
        raise ValueError(f"the list of labels {path} {what}; it must be a file with name,label in each line")
    if os.path.getsize(path) > MOST_BYTES:
        raise ValueError(f"{path} is too large for a list of pictures: at most {MOST_BYTES:,} bytes are read")
    with open(path, "rb") as file:
        head = file.read(4096)
    utf16 = head.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)) and not head.startswith(codecs.BOM_UTF32_LE)
    if not utf16 and (head.startswith(b"PK\3\4") or head.count(0) > len(head) // 4):
        raise ValueError(f"{path} is a spreadsheet, or no text in UTF-8: save the list of pictures as CSV in UTF-8")
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


def _columns(rows: list[tuple[int, list[str]]], path: str, tree: Tree, own: str | None) -> _Columns:
    """Find out which column is what."""
    head = [cell.strip().lower() for cell in rows[0][1]]
    names, labels, parts = ([i for i, cell in enumerate(head) if cell in known] for known in (NAMES, LABELS, PARTS))
    if len(names) == 1 and len(labels) == 1:
        if len(parts) > 1:
            both = " and ".join(head[i] for i in parts)
            raise ValueError(f"{path} has several columns that may say what is for validation, {both}: keep one")
        return _Columns(names[0], labels[0], parts[0] if parts else None, 1)
    if len(head) != 2:
        cells = listed([cell[:80] for cell in rows[0][1]])
        raise ValueError(
            f"{path} has {len(head):,} column{'s' * (len(head) != 1)}, {cells}: it must have two, name and class, or a "
            "first line that calls one of them file and one of them label"
        )
    for number, row in rows[:2]:  # the first row may be a heading in other words
        for i in (0, 1):
            if len(row) == 2 and _existing(row[i].strip(), tree, own) is not None:
                return _Columns(i, 1 - i, None, int(number != rows[0][0]))
    return _Columns(0, 1, None, int(bool(names) or bool(labels)))


def _existing(name: str, tree: Tree, own: str | None) -> str | None:
    """Return the path of a file that a list names, maybe without its suffix, or None if there is none."""
    name = name.replace("\\", "/") if "/" not in name and "\\" in name else name
    if not name or "\0" in name:
        return None
    name = posixpath.normpath(name)  # "./a.png" and "b/../a.png" are the same picture
    forms = [name] if name.isascii() else [name, normalize("NFC", name), normalize("NFD", name)]  # see `normal`
    for place in (tree.join(folder, form) for folder in (tree.place, own) if folder is not None for form in forms):
        for suffix in SUFFIXES:
            if tree.is_file(place + suffix):
                return place + suffix
    return None
