"""How a folder of pictures is laid out: where the classes are, and which part is held out for validation."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from npalexnet.data.names import listed
from npalexnet.data.tree import Tree

TRAIN = ("train", "training")
VALIDATION = ("val", "valid", "validation")
TEST = ("test", "testing")
DEEPEST = 8  # folders that hold nothing but another one, as archives have them
CHOICES = (
    "pictures are expected as FOLDER/train/CLASS/*.jpg, optionally with FOLDER/val/CLASS/*.jpg, as FOLDER/CLASS/*.jpg "
    "for two classes or more, or listed in a file of name,label (--labels FILE)"
)


class Layout(NamedTuple):
    """Where the pictures are.

    Attributes
    ----------
    root : str
        The folder that holds the others.
    train : str or None
        The folder of the classes' folders to train on; None if there are only pictures to validate with.
    held_out : str or None
        That of the classes' folders to validate with, if there is one.
    notes : list of str
        What is left out.
    """

    root: str
    train: str | None
    held_out: str | None
    notes: list[str]


def find_layout(tree: Tree, *, validation_only: bool = False) -> Layout:
    """Look at a folder or an archive; a ValueError says what is missing, or which choices there are.

    In this order, whatever the case of the letters:

    1. ``train/CLASS/*``, with ``val/``, ``valid/`` or ``validation/`` to validate with, or without one of them
       ``test/`` if it holds classes;
    2. ``CLASS/*``, with two folders of files or more;
    3. one of these in a folder that is the only one.

    A part, too, may hold nothing but a folder of the classes' folders: ``train/train/CLASS/*``.

    For `validation_only` the folder to train on may be missing.
    """
    root = tree.place
    for _ in range(DEEPEST):
        folders = [name for name in tree.entries(root) if tree.is_folder(tree.join(root, name))]
        found = _with_parts(tree, root, folders, validation_only) or _flat(tree, root, folders)
        if found is not None:
            return found
        if len(folders) != 1:
            break
        root = tree.join(root, folders[0])
    raise ValueError(_nothing(tree))


def _with_parts(tree: Tree, root: str, folders: Sequence[str], validation_only: bool) -> Layout | None:
    train, validation, test = (
        [name for name in folders if name.lower() in names] for names in (TRAIN, VALIDATION, TEST)
    )
    others = [name for name in folders if name not in [*train, *validation, *test]]
    if not (train or (validation_only and (validation or test) and not others)):
        return None
    for part in (train, validation, *([] if validation else [test])):
        if len(part) > 1:
            raise ValueError(
                f"{root} holds both {' and '.join(f'{name}/' for name in part)}, which are the same part: put their "
                "pictures into one, or move one away"
            )
    if train and not _folders_in(tree, tree.join(root, train[0])) and _files_in(tree, tree.join(root, train[0])):
        what = f"{tree.join(root, train[0])} holds files, but no folder of a class"
        if any(_files_in(tree, tree.join(root, name)) for name in others):
            raise ValueError(
                f"{what}, and {listed([f'{name}/' for name in others])} beside it may be classes: if {train[0]} is a "
                f"class, too, put all of these folders into one named train/; else sort its pictures into a folder for "
                "each class"
            )
        raise ValueError(f"{what}; {CHOICES}{_tables(tree, root)}")
    notes, held_out = [], validation[0] if validation else None
    if test and validation:
        notes.append(f"{tree.join(root, test[0])} left out: {validation[0]}/ is for validation")
    elif test and _folders_in(tree, tree.join(root, test[0])):
        held_out = test[0]
    elif test:
        notes.append(f"{tree.join(root, test[0])} left out: it holds no folder of a class, its pictures have no labels")
    if others:
        beside = listed([f"{name}/" for name in others])
        notes.append(f"{beside} in {root} left out: beside {(train or validation or test)[0]}/ it is no class")
    trained_on = _unwrapped(tree, tree.join(root, train[0])) if train else None
    return Layout(root, trained_on, None if held_out is None else _unwrapped(tree, tree.join(root, held_out)), notes)


def _unwrapped(tree: Tree, folder: str) -> str:
    """Return the folder that holds the classes' folders: this one, or the only one in it, if that has no pictures."""
    for _ in range(DEEPEST):
        names = tree.entries(folder)
        inner = tree.join(folder, names[0]) if names else folder
        if len(names) != 1 or not tree.is_folder(inner) or _files_in(tree, inner) or not tree.entries(inner):
            break
        folder = inner
    return folder


def _flat(tree: Tree, root: str, folders: Sequence[str]) -> Layout | None:
    """Return the layout of a folder that holds the classes' folders themselves, or None if it isn't one."""
    classes = [name for name in folders if _files_in(tree, tree.join(root, name))]
    held_out = [name for name in folders if name.lower() in (*VALIDATION, *TEST)]
    parts = [f"{name}/" for name in held_out if tree.entries(tree.join(root, name))]
    if len(folders) < 2 or not {f"{name}/" for name in classes} - set(parts):
        return None
    if len(classes) < 2 and any(_holds_classes(tree, tree.join(root, name)) for name in folders):
        return None  # pictures in one of them, and beside it annotations or the like
    if parts:
        rest = [f"{name}/" for name in classes if f"{name}/" not in parts]
        raise ValueError(
            f"{root} holds {listed(rest)}, and {' and '.join(parts)} that may be a class or pictures to validate with: "
            f"put the folders of all classes into one named train/, and {parts[0]} into it, too, if it is a class, or "
            "beside it if not"
        )
    return Layout(root, root, None, [])


def _folders_in(tree: Tree, folder: str) -> list[str]:
    return [name for name in tree.entries(folder) if tree.is_folder(tree.join(folder, name))]


def _files_in(tree: Tree, folder: str) -> bool:
    return any(not tree.is_folder(tree.join(folder, name)) for name in tree.entries(folder))


def _nothing(tree: Tree) -> str:
    """Return what to say of a folder in which no layout was found."""
    names = tree.entries(tree.place)
    folders = _folders_in(tree, tree.place)
    files = len(names) - len(folders)
    holds = [f"folders: {listed(folders)}"] * bool(folders) + [f"{files:,} file{'s' * (files != 1)}"] * bool(files)
    found = f"{tree.place} holds {' and '.join(holds) or 'nothing'}; {CHOICES}{_tables(tree, tree.place)}"
    inside = [place for name in folders if _holds_classes(tree, place := tree.join(tree.place, name))]
    return found + f"; pictures may be in {' or '.join(inside[:3])}" * bool(inside)


def _holds_classes(tree: Tree, folder: str) -> bool:
    try:
        inside = _folders_in(tree, folder)
        return len([name for name in inside if _files_in(tree, tree.join(folder, name))]) > 1
    except ValueError:  # it can't be read
        return False


def _tables(tree: Tree, root: str) -> str:
    """Return the files that may be lists of labels, or archives of pictures."""
    names = [name for name in tree.entries(root) if not tree.is_folder(tree.join(root, name))]
    tables = [tree.join(root, name) for name in names if name.lower().endswith((".csv", ".tsv", ".txt"))]
    archives = [tree.join(root, name) for name in names if name.lower().endswith((".zip", ".tar", ".tgz", ".tar.gz"))]
    return f"; a list of labels may be {listed(tables, 3)}" * bool(tables) + (
        f"; an archive can be named itself: {listed(archives, 3)}" * bool(archives)
    )
