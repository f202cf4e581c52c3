"""From what a user names to pictures to train on and others to test with."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from npalexnet.data.cifar10 import read_cifar10
from npalexnet.data.datasets import ArrayDataset, Dataset
from npalexnet.data.drawing import counted, draw, draw_again
from npalexnet.data.fashion_mnist import FOLDER as FASHION_MNIST_FOLDER
from npalexnet.data.fashion_mnist import read_fashion_mnist
from npalexnet.data.folder import count_loose, read_folder
from npalexnet.data.loader import DataLoader
from npalexnet.data.pipeline import evaluation_pipeline, training_pipeline
from npalexnet.data.sample import CLASSES, load_sample
from npalexnet.data.statistics import Statistics


@dataclass(frozen=True)
class Data:
    """Pictures to train on and others to test with.

    Attributes
    ----------
    name : str
        For the user.
    train, val : Dataset
        With the same classes in the same order.
    grey : bool
        Whether all pictures are.
    notes : list of str
        Lines for the user: which files were skipped, how the held-out pictures were drawn.
    drawn : bool
        Whether `val` was drawn from the training pictures; a run then keeps `split`.
    """

    name: str
    train: Dataset
    val: Dataset
    grey: bool
    notes: list[str] = field(default_factory=list)
    drawn: bool = False

    @property
    def classes(self) -> tuple[str, ...]:
        """The names of the classes."""
        return self.train.classes

    def loaders(
        self, batch_size: int, *, recipe: str = "simple", seed: int = 0, workers: int = 1
    ) -> tuple[DataLoader, DataLoader]:
        """Return loaders of the training and of the held-out pictures, prepared by one of the recipes.

        Colours are measured on the training pictures.

        Parameters
        ----------
        batch_size : int
            Pictures in a batch.
        recipe : {"simple", "paper"}
            See `training_pipeline`.
        seed : int
            Of order and augmentation.
        workers : int
            Threads that prepare pictures, of each loader.
        """
        mean_image = 256 if recipe == "paper" else None
        statistics = Statistics.fit(self.train, mean_image=mean_image, workers=max(2, workers))
        train, val = training_pipeline(statistics, recipe), evaluation_pipeline(statistics, recipe)
        return (
            DataLoader(self.train, train, batch_size, seed=seed, workers=workers),
            DataLoader(self.val, val, batch_size, seed=seed, workers=workers, shuffle=False),
        )

    def split(self) -> dict[str, list[str]]:
        """Return the names of the pictures of each part, ready for JSON."""
        return {
            part: [dataset.name(i) for i in range(len(dataset))]
            for part, dataset in (("train", self.train), ("val", self.val))
        }


def open_data(
    spec: str | os.PathLike[str] | None,
    *,
    seed: int = 0,
    strict: bool = False,
    val_share: float = 0.1,
    split: Mapping[str, Sequence[str]] | None = None,
    validation_only: bool = False,
) -> Data:
    """Open the data that a user names.

    Parameters
    ----------
    spec : str, path or None
        - None: the sample of Fashion-MNIST that the package carries;
        - ``cifar10:FOLDER``: CIFAR-10's binary files;
        - ``fashion-mnist`` or ``fashion-mnist:FOLDER``: its IDX files, by default where Debian's package puts them;
        - else a folder of pictures: ``train/<class>/*`` and ``val/<class>/*``. Without ``val``, a share of each class
          of ``train`` is drawn.
    seed : int
        Of that draw.
    strict : bool
        Refuse a folder with files that are no usable pictures; they are skipped, and named in the notes, otherwise.
    val_share : float
        How much of each class is drawn, between 0 and 1.
    split : mapping, optional
        What `Data.split` returned when a folder's held-out pictures were drawn: its pictures, known by class and file,
        are distributed so again. Those that it does not name are left out.
    validation_only : bool
        To test, not to train: of the pictures that `split` names the held-out ones alone must be there, and a folder
        with none of all is taken for other data, of which a share is drawn.

    Raises
    ------
    ValueError
        If there is no such data, or it is not fit to train on; the message says where and why.
    OSError
        If a file can't be read.
    """
    if spec is None:
        return _two_splits("Fashion-MNIST's sample", _sample)
    spec = os.fspath(spec)
    if not 0 < val_share < 1:
        raise ValueError(f"val_share must be between 0 and 1, got {val_share}")
    if spec == "cifar10" and not os.path.isdir(spec):
        raise ValueError("cifar10 needs the folder of its binary files: cifar10:FOLDER")
    kind, _, place = spec.partition(":")
    if kind == "cifar10" and place:
        return _two_splits("CIFAR-10", lambda part: read_cifar10(_folder(place), part))
    if spec == "fashion-mnist" or (kind == "fashion-mnist" and place):
        where = _folder(place) if place else FASHION_MNIST_FOLDER
        return _two_splits("Fashion-MNIST", lambda part: read_fashion_mnist(where, part))
    return _open_folder(_folder(spec), seed, strict, val_share, split, validation_only)


def absolute_spec(spec: str | os.PathLike[str]) -> str:
    """Return what names the same data from any working directory."""
    spec = os.fspath(spec)
    kind, _, place = spec.partition(":")
    if kind in ("cifar10", "fashion-mnist") and place:
        return f"{kind}:{os.path.abspath(place)}"
    return spec if spec == "fashion-mnist" else os.path.abspath(spec)


def _two_splits(name: str, read: Callable[[str], ArrayDataset]) -> Data:
    train, test = read("train"), read("test")
    return Data(name, train, test, grey=train.images.ndim == 3)


def _sample(part: str) -> ArrayDataset:
    return ArrayDataset(*load_sample(part), CLASSES)


def _folder(place: str) -> Path:
    if not os.path.isdir(place):
        what = "is not a folder" if os.path.exists(place) else "does not exist"
        raise ValueError(
            f"the data folder {place!r} {what}; data is a folder of train/<class>/*.jpg and val/<class>/*.jpg, "
            "cifar10:FOLDER, or fashion-mnist"
        )
    return Path(place)


def _open_folder(
    folder: Path, seed: int, strict: bool, val_share: float,
    split: Mapping[str, Sequence[str]] | None, validation_only: bool,
) -> Data:  # fmt: skip
    if not (folder / "train").is_dir():
        raise ValueError(f"{folder} has no folder train/; it must hold train/<class>/*.jpg for each class")
    pictures, faults = read_folder(str(folder / "train"), strict=strict)
    if len(pictures.classes) < 2:
        raise ValueError(
            f"{folder / 'train'} must have a folder for each of at least two classes, got "
            f"{', '.join(pictures.classes) or 'none'}"
        )
    train: Dataset = pictures
    val: Dataset
    grey, drawn, notes = pictures.grey, not (folder / "val").exists(), _loose(folder / "train")
    if drawn:
        again = None if split is None else draw_again(folder, pictures, split, validation_only)
        if split is not None and again is None:
            notes.append(f"{folder / 'train'} holds no picture that the run's split names: it is taken for other data")
        train, val, how = again or draw(folder, pictures, seed, val_share)
        notes += how
    else:
        val, more_faults = read_folder(str(folder / "val"), pictures.classes, strict=strict)
        if not len(val):
            raise ValueError(f"{folder / 'val'} holds no folder of a class: fill it, or remove it to have one drawn")
        grey, faults = grey and val.grey, faults + more_faults
        notes += _loose(folder / "val")
    return Data(folder.resolve().name, train, val, grey, [*_skipped(faults), *notes, *_untested(val)], drawn)


def _skipped(faults: list[str]) -> list[str]:
    head = f"{len(faults)} file{'s' * (len(faults) > 1)} skipped, no usable pictures:"
    return [head, *(f"  {fault}" for fault in faults)] if faults else []


def _loose(folder: Path) -> list[str]:
    count = count_loose(str(folder))
    note = f"{counted(count)} in {folder} itself left out: only those in the folder of a class are taken"
    return [note] if count else []


def _untested(val: Dataset) -> list[str]:
    counts = np.bincount(val.labels, minlength=len(val.classes))
    missing = [name for name, count in zip(val.classes, counts, strict=True) if not count]
    return [f"no held-out picture of {', '.join(missing)}"] if missing else []
