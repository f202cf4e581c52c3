"""Training and validation data, from what a user names."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from npalexnet.alexnet import IMAGE_SIZE
from npalexnet.data.archive import Archive, archive_kind, other_archive
from npalexnet.data.datasets import ArrayDataset, Dataset, posix
from npalexnet.data.fashion_mnist import FOLDER as FASHION_MNIST_FOLDER
from npalexnet.data.fashion_mnist import read_fashion_mnist
from npalexnet.data.known import KINDS, find_known, known_data
from npalexnet.data.loader import DataLoader
from npalexnet.data.pictures import Options, data_name, open_listed, open_pictures
from npalexnet.data.pipeline import evaluation_pipeline, training_pipeline
from npalexnet.data.sample import SAMPLE, is_sample, load_sample
from npalexnet.data.statistics import Statistics
from npalexnet.data.transforms import Triple
from npalexnet.data.tree import Disk, Tree

_CHOICES = (
    "data is a folder of train/<class>/*.jpg and val/<class>/*.jpg, or of <class>/*.jpg, a zip or tar file of one, "
    "cifar10:FOLDER, cifar100:FOLDER, mnist:FOLDER, fashion-mnist, or sample, which is built in"
)


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
    found : str
        A line that says how the data are laid out.
    randomly_split : bool
        Whether `validation` was split off `train`; a run then keeps `split`.
    """

    name: str
    train: Dataset
    validation: Dataset
    grey: bool
    notes: list[str] = field(default_factory=list)
    found: str = ""
    randomly_split: bool = False

    @property
    def classes(self) -> tuple[str, ...]:
        """The names of the classes."""
        return self.train.classes

    def loaders(
        self,
        batch_size: int,
        *,
        augment: str = "simple",
        pixels: str = "std",
        seed: int = 0,
        workers: int = 1,
        image_size: int = IMAGE_SIZE,
        mean_and_std: tuple[Triple, Triple] | None = None,
    ) -> tuple[DataLoader, DataLoader]:
        """Return the loaders of the training and the validation pictures, the former with an augmentation.

        The statistics of the colours are measured on the training pictures.

        Parameters
        ----------
        batch_size : int
            Pictures in a batch.
        augment : {"simple", "crops", "paper", "resized"}
        pixels : {"std", "255"}
            See `training_pipeline`.
        seed : int
            Of the order and the augmentation.
        workers : int
            Threads of each loader.
        image_size : int
            Height and width of the network's images: `AlexNet.image_size`.
        mean_and_std : pair of three floats, optional
            What to standardise the colours with, instead of their own statistics and whatever `pixels` is: for weights
            that were trained so.
        """
        mean_image = 256 if augment in ("crops", "paper") and mean_and_std is None else None
        statistics = Statistics.fit(self.train, mean_image=mean_image, workers=max(2, workers))
        if mean_and_std is not None:
            statistics, pixels = replace(statistics, mean=mean_and_std[0], std=mean_and_std[1]), "std"
        train, validation = (
            pipeline(statistics, augment, pixels=pixels, image_size=image_size)
            for pipeline in (training_pipeline, evaluation_pipeline)
        )
        return (
            DataLoader(self.train, train, batch_size, seed=seed, workers=workers),
            DataLoader(self.validation, validation, batch_size, seed=seed, workers=workers, shuffle=False),
        )

    def split(self) -> dict[str, list[str]]:
        """Return the names of the pictures of each part, ready for JSON."""
        return {
            part: [posix(dataset.name(i)) for i in range(len(dataset))]
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
    labels: str | os.PathLike[str] | None = None,
) -> Data:
    """Open the data that a user names.

    Parameters
    ----------
    spec : str, path or None
        - None or ``sample``: the sample of Fashion-MNIST that the package carries; a folder of that name is
          ``./sample``;
        - ``cifar10:FOLDER``, ``cifar100:FOLDER``: the files of the binary or of the Python version;
        - ``mnist:FOLDER``: its IDX files;
        - ``fashion-mnist`` or ``fashion-mnist:FOLDER``: its IDX files, by default where Debian's package puts them;
        - else a folder, or a zip or tar file, of pictures: ``train/<class>/*`` and ``val/<class>/*``, or ``<class>/*``;
          see `npalexnet.data.layout.find_layout`. Without ``val``, a part of ``train`` is split off at random. A folder
          that holds the files of one of the data sets above is read as that one.
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
    labels : path, optional
        A file of ``name,label`` that lists the pictures, see `npalexnet.data.labels.read_labels`; names are relative to
        `spec`, or without it to the file's own folder.

    Raises
    ------
    ValueError
        If there is no such data, or it is not fit to train on; the message says where and why.
    OSError
        If a file can't be read.
    """
    for name, value in (("spec", spec), ("labels", labels)):
        if not isinstance(value, str | os.PathLike | None):
            raise TypeError(f"{name} must be a path or a text, got {type(value).__name__}")
    if labels is not None:
        labels = os.fspath(labels)
        spec = os.path.dirname(labels) or os.curdir if spec is None else spec
    elif spec is None or is_sample(spec):
        return _two_splits("Fashion-MNIST's sample", load_sample)
    spec = os.fspath(spec)
    if not 0 < validation_fraction < 1:
        raise ValueError(f"validation_fraction must be between 0 and 1, got {validation_fraction}")
    kind, _, place = spec.partition(":")
    if (
        (meant := _data_set(kind))
        and not os.path.exists(spec)
        and not (spec == "fashion-mnist" or (kind in KINDS and place))
    ):
        raise ValueError(
            f"the data {spec!r} do not exist; {meant} needs the folder of its files: {meant}:FOLDER"
            + " (or, where Debian's package put it, fashion-mnist)" * (meant == "fashion-mnist")
        )
    if labels is not None and (spec == "fashion-mnist" or (kind in KINDS and place)):
        raise ValueError(f"labels go with a folder or an archive of pictures, not with {spec!r}")
    if kind in KINDS and kind != "fashion-mnist" and place:
        return _two_splits(*known_data(kind, _tree(place) if kind.startswith("cifar") else Disk(_folder(place))), place)
    if spec == "fashion-mnist" or (kind == "fashion-mnist" and place):
        where = _folder(place) if place else FASHION_MNIST_FOLDER
        return _two_splits("Fashion-MNIST", lambda part: read_fashion_mnist(where, part), where)
    return _open_tree(spec, labels, Options(seed, strict, validation_fraction, split, validation_only))


def absolute_spec(spec: str | os.PathLike[str] | None) -> str | None:
    """Return a `spec` for the same data that works in any working directory; None for the sample."""
    if spec is None or (spec == SAMPLE and not os.path.lexists(spec)):
        return None
    spec = os.fspath(spec)
    kind, _, place = spec.partition(":")
    if kind in KINDS and place:
        return f"{kind}:{os.path.abspath(place)}"
    return spec if spec == "fashion-mnist" else os.path.abspath(spec)


def _two_splits(name: str, read: Callable[[str], ArrayDataset], place: str | Path = "") -> Data:
    train, test = read("train"), read("test")
    images = f"{len(train):,} images to train on, {len(test):,} of its test images for validation"
    found = f"Found {name} in {place}: {images}" if place else ""
    return Data(name, train, test, train.images.ndim == 3, found=found)


def _data_set(name: str) -> str:
    """Return the published data set that somebody calls so, as ``CIFAR-10`` or ``fashionmnist``, or ""."""
    bare = {kind.replace("-", ""): kind for kind in KINDS}
    return bare.get(name.lower().replace("-", "").replace("_", ""), "")


def _folder(place: str) -> Path:
    if not os.path.isdir(place):
        what = "is not a folder" if os.path.exists(place) else "does not exist"
        raise ValueError(f"the data folder {place!r} {what}; {_CHOICES}")
    return Path(place)


def _tree(place: str) -> Tree:
    """Return a folder, or the folders in an archive."""
    if os.path.isfile(place):
        if archive_kind(place) is None:
            what = other_archive(place)
            advice = f" ({what}: unpack it)" if what else ""
            if place.lower().endswith((".csv", ".tsv", ".txt")):
                advice = " (a list of labels is given as --labels)"
            raise ValueError(
                f"the data file {place!r} is not a folder, and no zip or tar file either{advice}; {_CHOICES}"
            )
        return Archive(place)
    return Disk(_folder(place))


def _open_tree(place: str, labels: str | None, options: Options) -> Data:
    tree = _tree(place)
    name = data_name(place)
    if labels is not None:
        return Data(name, *open_listed(tree, labels, options))
    known = find_known(tree)
    if known is not None:
        return _two_splits(*known, place)
    return Data(name, *open_pictures(tree, options))
