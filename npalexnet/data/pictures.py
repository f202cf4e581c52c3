"""Opening pictures in folders, archives and lists: the parts to train on and to validate with, and what was found."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import PurePath
from typing import NamedTuple

import numpy as np

from npalexnet.data.datasets import Dataset, Subset
from npalexnet.data.folder import FolderDataset, count_loose, faults_listed, read_folder, usable_pictures
from npalexnet.data.labels import label_order, read_labels
from npalexnet.data.layout import find_layout
from npalexnet.data.names import listed, normal, quoted
from npalexnet.data.split import Source, counted, random_split, restore_split
from npalexnet.data.tree import Tree

MOST_FAULTS = 50  # that the notes list
_Usable = tuple[FolderDataset, list[str]]


class Options(NamedTuple):
    """What `open_data` was given besides the place of the pictures."""

    seed: int
    strict: bool
    validation_fraction: float
    split: Mapping[str, Sequence[str]] | None
    validation_only: bool


class Opened(NamedTuple):
    """Pictures to train on and to validate with."""

    train: Dataset
    validation: Dataset
    grey: bool
    notes: list[str]
    found: str
    randomly_split: bool


def open_pictures(tree: Tree, options: Options) -> Opened:
    """Open the pictures of a folder or an archive, however it is laid out; see `find_layout`."""
    layout = find_layout(tree, validation_only=options.validation_only)
    held_out = layout.held_out
    if layout.train is None:  # to validate with alone
        assert held_out is not None
        validation, faults = read_folder(held_out, strict=options.strict, tree=tree)
        if not len(validation):
            raise ValueError(f"{held_out} holds no folder of a class with a picture{_reasons(validation, faults)}")
        pictures_of = f"{counted(len(validation))} of {len(validation.classes):,} classes"
        found = f"Found {_part(held_out)} in {layout.root}: {pictures_of}"
        notes = [*_skipped(faults), *layout.notes, *validation.notes]
        return Opened(Subset(validation, []), validation, validation.grey, notes, found, False)
    pictures, faults = read_folder(layout.train, strict=options.strict, tree=tree)
    where = "the folders of classes" if layout.train == layout.root else _part(layout.train)
    _check_classes(pictures, layout.train, faults, "have a folder for each of at least two classes")
    notes = [*layout.notes, *pictures.notes, *_loose(layout.train, tree)]
    # A run from before other names than val/ were known has its own split, and goes on with it.
    if held_out is None or (options.split is not None and _part(held_out) != "val/"):
        flat = layout.train == layout.root
        lacks = f"{layout.root} has no {'train/ or val/' if flat else 'val/'}"
        source = Source(lacks, layout.train, "its pictures" if flat else f"pictures of {_part(layout.train)}", not flat)
        if held_out is None or not _is_other(source, pictures, options):
            return _split(pictures, source, f"{where} in {layout.root}", [*_skipped(faults), *notes], options)
    validation, more_faults = read_folder(held_out, pictures.classes, strict=options.strict, tree=tree)
    if not len(validation):
        raise ValueError(
            f"{held_out} holds no folder of a class with a picture: fill it, or remove it to have a part of "
            f"{_part(layout.train)} split off"
        )
    grey, faults = pictures.grey and validation.grey, faults + more_faults
    notes = [*_skipped(faults), *notes, *validation.notes, *_loose(held_out, tree), *_missing_classes(validation)]
    found = (
        f"Found {where} and {_part(held_out)} in {layout.root}: {counted(len(pictures))} of {len(pictures.classes):,} "
        f"classes to train on, {counted(len(validation))} of {_part(held_out)} held out for validation"
    )
    return Opened(pictures, validation, grey, notes, found, False)


def open_listed(tree: Tree, path: str, options: Options) -> Opened:
    """Open the pictures that a file lists; unless it says which are for validation, a part is split off at random."""
    found = read_labels(path, tree, strict=options.strict)

    def usable(listing: Sequence[tuple[str, str]], classes: Sequence[str] | None = None) -> _Usable:
        return usable_pictures(listing, classes, strict=options.strict, tree=tree, where=path, order=label_order)

    if not found.pictures and options.validation_only:
        validation, faults = usable(found.held_out)
        where = f"Found a list of pictures, {path}: {counted(len(validation))} of {len(validation.classes):,} classes"
        notes = [*_skipped(faults), *found.notes]
        return Opened(Subset(validation, []), validation, validation.grey, notes, where, False)
    pictures, faults = usable(found.pictures)
    _check_classes(pictures, path, faults, "list pictures of at least two classes")
    source = Source(f"{path} names no pictures for validation", path, "its pictures", False)
    if not found.held_out:
        notes = [*_skipped(faults), *found.notes, *pictures.notes]
        return _split(pictures, source, f"a list of pictures, {path}", notes, options)
    known = {normal(name) for name in pictures.classes}
    if unknown := dict.fromkeys(label for _, label in found.held_out if normal(label) not in known):
        raise ValueError(
            f"{path} lists pictures for validation of classes that it has no usable picture of to train on: "
            f"{quoted(unknown)}; it has {quoted(pictures.classes)}"
        )
    validation, more_faults = usable(found.held_out, pictures.classes)
    if not len(validation):
        raise ValueError(f"{path} lists no usable picture for validation{_reasons(validation, more_faults)}")
    where = (
        f"Found a list of pictures, {path}: {counted(len(pictures))} of {len(pictures.classes):,} classes to train on, "
        f"{counted(len(validation))} held out for validation"
    )
    notes = [*_skipped(faults + more_faults), *found.notes, *pictures.notes, *_missing_classes(validation)]
    return Opened(pictures, validation, pictures.grey and validation.grey, notes, where, False)


def _split(pictures: FolderDataset, source: Source, where: str, notes: list[str], options: Options) -> Opened:
    restored = None
    if options.split is not None:
        restored = restore_split(source, pictures, options.split, options.validation_only)
        if restored is None:
            notes = [f"{source.place} holds no picture that the run's split names: these are other data", *notes]
            if not source.is_train:  # pictures that nobody called training pictures, and that were none of this run
                found = f"Found {where}: {counted(len(pictures))} of {len(pictures.classes):,} classes"
                return Opened(Subset(pictures, []), pictures, pictures.grey, notes, found, False)
    train, validation, how = restored or random_split(source, pictures, options.seed, options.validation_fraction)
    found = (
        f"Found {where}: {counted(len(pictures))} of {len(pictures.classes):,} classes, {len(validation):,} of them "
        "held out for validation"
    )
    notes = [*notes, *how, *_missing_classes(validation)]
    return Opened(train, validation, pictures.grey, notes, found, True)


def _is_other(source: Source, pictures: FolderDataset, options: Options) -> bool:
    assert options.split is not None
    return restore_split(source, pictures, options.split, options.validation_only) is None


def _check_classes(pictures: FolderDataset, where: str, faults: Sequence[str], needed: str) -> None:
    if len(pictures.classes) < 2:
        got = f"{listed(pictures.classes) or 'none'} with a usable picture"
        raise ValueError(f"{where} must {needed}, got {got}{_reasons(pictures, faults)}")


def _reasons(pictures: FolderDataset, faults: Sequence[str]) -> str:
    unusable = f". Not usable: {'; '.join(faults_listed(faults, 10))}" if faults else ""
    return "".join(f"; {note}" for note in pictures.notes) + unusable


def _part(path: str) -> str:
    return f"{PurePath(path).name}/"


def _skipped(faults: list[str]) -> list[str]:
    head = f"{len(faults):,} file{'s' * (len(faults) > 1)} skipped, no usable pictures:"
    return [head, *(f"  {fault}" for fault in faults_listed(faults, MOST_FAULTS))] if faults else []


def _loose(folder: str, tree: Tree) -> list[str]:
    count = count_loose(folder, tree)
    note = f"{counted(count)} in {folder} itself left out: only those in the folder of a class are used"
    return [note] if count else []


def _missing_classes(validation: Dataset) -> list[str]:
    counts = np.bincount(validation.labels, minlength=len(validation.classes))
    missing = [name for name, count in zip(validation.classes, counts, strict=True) if not count]
    return [f"no validation picture of {listed(missing)}"] if missing else []


def data_name(place: str) -> str:
    """Return what pictures are called: as their folder or file."""
    return os.path.basename(os.path.realpath(place)) or place
