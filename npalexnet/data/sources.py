"""Training and validation data, from what a user names."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from npalexnet.data.cifar10 import read_cifar10
from npalexnet.data.datasets import ArrayDataset, Dataset
from npalexnet.data.fashion_mnist import FOLDER as FASHION_MNIST_FOLDER
from npalexnet.data.fashion_mnist import read_fashion_mnist
from npalexnet.data.folder import count_loose, read_folder
from npalexnet.data.loader import DataLoader
from npalexnet.data.pipeline import evaluation_pipeline, training_pipeline
from npalexnet.data.sample import load_sample
from npalexnet.data.split import counted, random_split, restore_split
from npalexnet.data.statistics import Statistics


@dataclass(frozen=True)
class Data:
    """Pictures for training and for validation.

    Attributes
    ----------
    name : str
        What the data are called.
    train, validation : Dataset
        With the same classes in the same order.
    grey : bool
        Whether all pictures are grey.
    notes : list of str
        Lines for the user: which files were skipped, how the validation pictures were split off.
    randomly_split : bool
        Whether `validation` was split off `train`; a run then keeps `split`.
    """

    name: str
    train: Dataset
    validation: Dataset
    grey: bool
    notes: list[str] = field(default_factory=list)
    randomly_split: bool = False

    @property
    def classes(self) -> tuple[str, ...]:
        """The names of the classes."""
        return self.train.classes

    def loaders(
        self, batch_size: int, *, recipe: str = "simple", seed: int = 0, workers: int = 1
    ) -> tuple[DataLoader, DataLoader]:
        """Return the loaders of the training and the validation pictures, prepared by one of the recipes.

        The statistics of the colours are measured on the training pictures.

        Parameters
        ----------
        batch_size : int
            Pictures in a batch.
        recipe : {"simple", "paper"}
            See `training_pipeline`.
        seed : int
            Of the order and the augmentation.
        workers : int
            Threads of each loader.
        """
        mean_image = 256 if recipe == "paper" else None
        statistics = Statistics.fit(self.train, mean_image=mean_image, workers=max(2, workers))
        train, validation = training_pipeline(statistics, recipe), evaluation_pipeline(statistics, recipe)
        return (
            DataLoader(self.train, train, batch_size, seed=seed, workers=workers),
            DataLoader(self.validation, validation, batch_size, seed=seed, workers=workers, shuffle=False),
        )

    def split(self) -> dict[str, list[str]]:
        """Return the names of the pictures of each part, ready for JSON."""
        return {
            part: [dataset.name(i) for i in range(len(dataset))]
            for part, dataset in (("train", self.train), ("val", self.validation))
        }


def open_data(
    spec: str | os.PathLike[str] | None,
    *,
    seed: int = 0,
    strict: bool = False,
    validation_fraction: float = 0.1,
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
        - else a folder of pictures: ``train/<class>/*`` and ``val/<class>/*``. Without ``val``, a part of ``train`` is
          split off at random.
    seed : int
        Of that split.
    strict : bool
        Refuse a folder with files that are no usable pictures, instead of skipping them and naming them in the notes.
    validation_fraction : float
        How much of each class is split off, between 0 and 1.
    split : mapping, optional
        What `Data.split` returned for an earlier random split, which is restored: pictures are known by class and file
        name, and those that it does not name are left out.
    validation_only : bool
        Not for training: of the pictures that `split` names only those for validation must be there; and a folder with
        none of them at all counts as other data, which are split at random.

    Raises
    ------
    ValueError
        If there is no such data, or it is not fit to train on; the message says where and why.
    OSError
        If a file can't be read.
    """
    if spec is None:
        return _two_splits("Fashion-MNIST's sample", load_sample)
    spec = os.fspath(spec)
    if not 0 < validation_fraction < 1:
        raise ValueError(f"validation_fraction must be between 0 and 1, got {validation_fraction}")
    if spec == "cifar10" and not os.path.isdir(spec):
        raise ValueError("cifar10 needs the folder of its binary files: cifar10:FOLDER")
    kind, _, place = spec.partition(":")
    if kind == "cifar10" and place:
        return _two_splits("CIFAR-10", lambda part: read_cifar10(_folder(place), part))
    if spec == "fashion-mnist" or (kind == "fashion-mnist" and place):
        where = _folder(place) if place else FASHION_MNIST_FOLDER
        return _two_splits("Fashion-MNIST", lambda part: read_fashion_mnist(where, part))
    return _open_folder(_folder(spec), seed, strict, validation_fraction, split, validation_only)


def absolute_spec(spec: str | os.PathLike[str]) -> str:
    """Return a `spec` for the same data that works in any working directory."""
    spec = os.fspath(spec)
    kind, _, place = spec.partition(":")
    if kind in ("cifar10", "fashion-mnist") and place:
        return f"{kind}:{os.path.abspath(place)}"
    return spec if spec == "fashion-mnist" else os.path.abspath(spec)


def _two_splits(name: str, read: Callable[[str], ArrayDataset]) -> Data:
    train, test = read("train"), read("test")
    return Data(name, train, test, grey=train.images.ndim == 3)


def _folder(place: str) -> Path:
    if not os.path.isdir(place):
        what = "is not a folder" if os.path.exists(place) else "does not exist"
        raise ValueError(
            f"the data folder {place!r} {what}; data is a folder of train/<class>/*.jpg and val/<class>/*.jpg, "
            "cifar10:FOLDER, or fashion-mnist"
        )
    return Path(place)


def _open_folder(
    folder: Path, seed: int, strict: bool, validation_fraction: float,
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
    validation: Dataset
    grey, split_here, notes = pictures.grey, not (folder / "val").exists(), _loose(folder / "train")
    if split_here:
        restored = None if split is None else restore_split(folder, pictures, split, validation_only)
        if split is not None and restored is None:
            notes.append(f"{folder / 'train'} holds no picture that the run's split names: these are other data")
        train, validation, how = restored or random_split(folder, pictures, seed, validation_fraction)
        notes += how
    else:
        validation, more_faults = read_folder(str(folder / "val"), pictures.classes, strict=strict)
        if not len(validation):
            raise ValueError(
                f"{folder / 'val'} holds no folder of a class: fill it, or remove it to have a part of train/ split off"
            )
        grey, faults = grey and validation.grey, faults + more_faults
        notes += _loose(folder / "val")
    notes = [*_skipped(faults), *notes, *_missing_classes(validation)]
    return Data(folder.resolve().name, train, validation, grey, notes, split_here)


def _skipped(faults: list[str]) -> list[str]:
    head = f"{len(faults)} file{'s' * (len(faults) > 1)} skipped, no usable pictures:"
    return [head, *(f"  {fault}" for fault in faults)] if faults else []


def _loose(folder: Path) -> list[str]:
    count = count_loose(str(folder))
    note = f"{counted(count)} in {folder} itself left out: only those in the folder of a class are used"
    return [note] if count else []


def _missing_classes(validation: Dataset) -> list[str]:
    counts = np.bincount(validation.labels, minlength=len(validation.classes))
    missing = [name for name, count in zip(validation.classes, counts, strict=True) if not count]
    return [f"no validation picture of {', '.join(missing)}"] if missing else []
