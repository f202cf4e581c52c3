"""What the options of several commands share."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from math import inf
from pathlib import Path
from typing import TYPE_CHECKING, Any

from npalexnet import backend
from npalexnet.alexnet import VARIANTS
from npalexnet.backend.cuda.device import probe
from npalexnet.fields import LARGEST

if TYPE_CHECKING:
    from npalexnet.inference.classifier import Classifier

PACKAGES = {  # by the extra that brings them
    **dict.fromkeys(("PIL", "filelock", "matplotlib", "safetensors", "tqdm"), "train"),
    "onnx": "export",
}
VARIANT_HELP = "which of the networks that are called AlexNet"
COLORS_HELP = {
    "mean": "mean of red, green and blue that is subtracted, from 0 to 1; if one is above 1, from 0 to 255",
    "std": "standard deviation of red, green and blue that is divided by, counted like the mean",
}
DEVICE_HELP = "cpu, cuda, cuda:N, or auto: a GPU if one is usable, else the CPU"


def number(kind: type, minimum: float, *, above: bool = False, maximum: float | None = None) -> Callable[[str], Any]:
    """Return a reader of command-line numbers that refuses those out of range."""

    def read(text: str) -> Any:
        value = kind(text)
        if kind is int and maximum is None and value > LARGEST:  # what files can hold
            raise argparse.ArgumentTypeError(f"must be at most {LARGEST}, got {text}")
        too_small = value <= minimum if above else value < minimum
        if not -inf < value < inf or too_small or (maximum is not None and value > maximum):
            bounds = f"{'above' if above else 'at least'} {minimum}"
            bounds += f" and at most {maximum}" if maximum is not None else ""
            bounds += " and finite" if kind is float and maximum is None else ""
            raise argparse.ArgumentTypeError(f"must be {bounds}, got {text}")
        return value

    read.__name__ = kind.__name__  # argparse's "invalid int value"
    return read


def as_path(text: str) -> Path:
    """Read a path; an empty one, of a shell's variable that isn't set, would be the working directory."""
    if not text:
        raise argparse.ArgumentTypeError("must be a path, got ''")
    return Path(text)


def add_weights(parser: argparse.ArgumentParser) -> None:
    """Add RUN, the trained network."""
    parser.add_argument(
        "weights", type=as_path, metavar="RUN",
        help="folder that train wrote, or a file of weights: .safetensors, .pth, .npz, .onnx or .caffemodel",
    )  # fmt: skip
    file = parser.add_argument_group("what a file of weights does not say")
    file.add_argument("--variant", choices=tuple(VARIANTS), help=f"{VARIANT_HELP} (default: told from the weights)")
    file.add_argument(
        "--classes", type=as_path, metavar="FILE",
        help="the classes' names, one a line, or JSON (default: the file's own, or ImageNet's for 1,000 outputs)",
    )  # fmt: skip
    for name, text in COLORS_HELP.items():
        add_color(f"--{name}", file, help=f"{text} (default: the file's own, or what goes with the variant)")


def add_color(name: str, group: Any, **settings: Any) -> None:
    """Add --mean or --std, of colours that go from 0 to 1 or to 255."""
    kind = number(float, 0, above=name == "--std", maximum=255)
    group.add_argument(name, type=kind, nargs=3, metavar=("R", "G", "B"), **settings)


def load_classifier(options: argparse.Namespace, device: str = "cpu") -> Classifier:
    """Load RUN as the options of `add_weights` say."""
    from npalexnet.inference.classifier import Classifier  # not for commands without a network: it takes a while

    return Classifier.load(
        options.weights, device, variant=options.variant, classes=options.classes, mean=options.mean, std=options.std
    )


def add_data(parser: argparse.ArgumentParser) -> None:
    """Add --data and --labels, the validation data."""
    parser.add_argument(
        "--data",
        metavar="SPEC",
        help="data with validation images, named as for train (default: those that the run was evaluated on)",
    )
    parser.add_argument("--labels", metavar="FILE", help="file that lists images and their classes, as for train")


def add_ten_crop(parser: argparse.ArgumentParser) -> None:
    """Add --ten-crop."""
    parser.add_argument(
        "--ten-crop", action="store_true",
        help="average over ten crops of each image: the corners, the middle and their mirror images",
    )  # fmt: skip


def add_out(parser: argparse.ArgumentParser, folder: str) -> None:
    """Add --out, by default a folder of this name in the run's."""
    parser.add_argument(
        "--out",
        type=as_path,
        metavar="FOLDER",
        help=f"where to write (default: {folder}/ in the run's folder, or beside the file of weights)",
    )


def add_variant(parser: argparse.ArgumentParser) -> None:
    """Add ``--variant`` to a command's parser."""
    parser.add_argument("--variant", choices=tuple(VARIANTS), default="seed", help=VARIANT_HELP)


def add_device(parser: argparse.ArgumentParser, default: str = "auto") -> None:
    """Add --device and --threads."""
    parser.add_argument("--device", default=default, help=DEVICE_HELP)
    add_threads(parser)


def chosen_device(name: str) -> str:
    """Return the own name of a device, for "auto", too; says where a GPU can't be used though CuPy is installed."""
    if name == "auto" and not (gpu := probe()).usable and gpu.stage != "package":
        print(f"No GPU is used: {gpu.reason} (stage: {gpu.stage})", file=sys.stderr)
    try:
        return backend.get_device(name).name
    except ValueError as error:
        meant = "cuda" if name.lower() in ("gpu", "nvidia") else name.lower()
        if meant == name or meant not in ("cpu", "cuda", "auto"):
            raise
        raise ValueError(f"{error}; did you mean {meant}?") from None


def described_device(name: str) -> str:
    """Return "2 CPU threads", or the name of a GPU."""
    threads = backend.get_num_threads()
    return f"{threads} CPU thread{'s' * (threads > 1)}" if backend.get_device(name) is backend.CPU else name


def add_threads(parser: argparse.ArgumentParser) -> None:
    """Add --threads."""
    parser.add_argument(
        "--threads", type=number(int, 1), metavar="N",
        help="threads that compute on the CPU (default: NPALEXNET_NUM_THREADS, else the cores)",
    )  # fmt: skip
