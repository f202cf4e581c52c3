"""Published data sets in a folder: which one its files are of, and how it is read."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path, PurePath

from npalexnet.data.cifar10 import SUBFOLDER as CIFAR10_BINARY
from npalexnet.data.cifar10 import read_cifar10
from npalexnet.data.cifar100 import find_cifar100, read_cifar100
from npalexnet.data.cifar_python import CIFAR10, CIFAR100, find_cifar_python, read_cifar_python
from npalexnet.data.datasets import ArrayDataset
from npalexnet.data.fashion_mnist import SUBFOLDER as FASHION_MNIST
from npalexnet.data.fashion_mnist import read_fashion_mnist
from npalexnet.data.layout import DEEPEST, TRAIN
from npalexnet.data.mnist import SUBFOLDER as MNIST
from npalexnet.data.mnist import holds_mnist, read_mnist
from npalexnet.data.tree import Disk, Tree

Known = tuple[str, Callable[[str], ArrayDataset]]  # its name, and a reader of its "train" and "test"
_ON_DISK = ("data_batch_1.bin", "train-images-idx3", "train-images.idx3")
KINDS = ("cifar10", "cifar100", "mnist", "fashion-mnist")


def find_known(tree: Tree) -> Known | None:
    """Return the published data set whose files a folder or archive holds, or None.

    A ValueError if it may be more than one, or can't be read.
    """
    tree.entries(tree.place)
    versions = {"cifar10": CIFAR10, "cifar100": CIFAR100}
    kinds = [kind for kind, version in versions.items() if find_cifar_python(tree, version)]
    if isinstance(tree, Disk):
        kinds += _on_disk(Path(tree.place))
    elif not kinds:
        _check_no_binary_files(tree)
    kinds = list(dict.fromkeys(kinds))
    if not kinds:
        return None
    train = [name for name in tree.entries(tree.place) if name.lower() in TRAIN]
    pictures = [name for name in train if tree.is_folder(tree.join(tree.place, name))]
    if len(kinds) > 1 or pictures:
        also = f" and {pictures[0]}/" if pictures else ""
        named = " or ".join(f"{kind}:{tree.place}" for kind in kinds)
        raise ValueError(f"{tree.place} may be {' or '.join(kinds)}{also}: say which, by {named}")
    return known_data(kinds[0], tree)


def known_data(kind: str, tree: Tree) -> Known:
    """Return one of `KINDS` with what reads it from a folder or archive."""
    folder = Path(tree.place)
    if kind == "mnist":
        return "MNIST", lambda part: read_mnist(folder, part)
    if kind == "fashion-mnist":
        return "Fashion-MNIST", lambda part: read_fashion_mnist(folder, part)
    version = CIFAR10 if kind == "cifar10" else CIFAR100
    place = find_cifar_python(tree, version)
    binary = isinstance(tree, Disk) and kind in _on_disk(folder)
    if place is not None and not binary:
        return version.name, lambda part: read_cifar_python(tree, place, part, version)
    if not isinstance(tree, Disk):
        raise ValueError(
            f"{tree.place} holds no {version.name} in its Python version, which alone is read in an archive: unpack it"
        )
    if kind == "cifar10":
        return version.name, lambda part: read_cifar10(folder, part)
    where = find_cifar100(folder)
    if where is None:
        raise ValueError(
            f"{folder} holds no CIFAR-100: its files are train.bin and test.bin, or train, test and meta of the Python "
            "version"
        )
    return version.name, lambda part: read_cifar100(where, part)


def _check_no_binary_files(tree: Tree) -> None:
    """Raise a ValueError if an archive holds files of a data set that are read from a disk alone."""
    folders = [tree.place]
    for folder in folders:
        inside = {name: tree.join(folder, name) for name in tree.entries(folder)}
        if found := [path for name, path in inside.items() if name.startswith(_ON_DISK) and tree.is_file(path)]:
            kind = "CIFAR-10" if found[0].endswith(".bin") else "MNIST"
            raise ValueError(f"{found[0]} may be of {kind}, whose binary files are not read in an archive: unpack it")
        if len(inside) == 1 and len(folders) < DEEPEST:
            folders += [path for path in inside.values() if tree.is_folder(path)]


def _on_disk(folder: Path) -> list[str]:
    """Return the data sets whose binary files a folder holds; MNIST and Fashion-MNIST have files of the same names."""
    kinds = []
    if any((place / "data_batch_1.bin").is_file() for place in (folder, folder / CIFAR10_BINARY)):
        kinds.append("cifar10")
    if find_cifar100(folder) is not None:
        kinds.append("cifar100")
    named = {MNIST: "mnist", FASHION_MNIST: "fashion-mnist"}
    kinds += [kind for name, kind in named.items() if holds_mnist(folder / name / "raw")]
    if holds_mnist(folder) or holds_mnist(folder / "raw"):
        parts = PurePath(folder.absolute()).parts
        told = [kind for name, kind in named.items() if name in parts]
        told += ["fashion-mnist"] if "fashion-mnist" in parts else []
        kinds += told or ["mnist", "fashion-mnist"]
    return kinds
