"""The command line: ``npalexnet train``, ``predict``, ``evaluate``, ``look``, ``summary``, ``gradcheck``, ``info``."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path

from npalexnet import __version__, backend
from npalexnet.cli.options import number
from npalexnet.cli.training_options import add_options as add_training_options
from npalexnet.training.interrupt import INTERRUPTED


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command; returns the exit status: 0 fine, 1 it went wrong, 2 the command line is wrong, 130 Ctrl-C."""
    options = _parser().parse_args(arguments)
    try:
        if options.threads is not None:
            backend.set_num_threads(options.threads)
        backend.get_num_threads()  # a bad environment variable is refused before anything is begun
        return import_module(options.module).run(options)
    except BrokenPipeError:  # `npalexnet summary | head`: nobody reads on, so nothing is wrong
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # for the interpreter's own flush at the end
        return 0
    except MemoryError as error:
        print(f"npalexnet {options.command}: error: not enough memory: {error}", file=sys.stderr)
        return 1
    except (OSError, ValueError, RuntimeError) as error:
        print(f"npalexnet {options.command}: error: {error}", file=sys.stderr)
        return 1
    except ModuleNotFoundError as error:
        if error.name is None or error.name.partition(".")[0] not in ("PIL", "matplotlib", "safetensors", "tqdm"):
            raise
        print(
            f"npalexnet {options.command}: error: {error.name} is not installed; pip install 'npalexnet[train]' brings "
            "all that this command needs",
            file=sys.stderr,
        )
        return 1
    except KeyboardInterrupt:
        print(f"\nnpalexnet {options.command}: interrupted", file=sys.stderr)
        return INTERRUPTED


def _unit(text: str) -> tuple[str, int]:
    layer, _, channel = text.rpartition(":")
    if not (layer and channel.isdecimal()):
        raise argparse.ArgumentTypeError(f"must be LAYER:CHANNEL, like layers.4:17, got {text!r}")
    return layer, int(channel)


def _add_predict(command: argparse.ArgumentParser) -> None:
    _add_weights(command)
    command.add_argument(
        "images", nargs="+", metavar="IMAGE",
        help="image file, folder (all image files in it and below), or - for paths on standard input, one a line",
    )  # fmt: skip
    command.add_argument("--top", type=number(int, 1), default=3, metavar="K", help="print the K most probable classes")
    _add_ten_crop(command)
    command.add_argument("--json", action="store_true", help="print a JSON object a line")


def _add_evaluate(command: argparse.ArgumentParser) -> None:
    _add_weights(command)
    _add_held_out(command)
    _add_ten_crop(command)
    _add_out(command, "evaluation")


def _add_look(command: argparse.ArgumentParser) -> None:
    _add_weights(command)
    command.add_argument(
        "image", nargs="?", default=argparse.SUPPRESS, metavar="IMAGE",
        help="image file to follow through the network (default: the first held-out one)",
    )  # fmt: skip
    _add_held_out(command)
    command.add_argument(
        "--images", type=number(int, 1), default=1000, metavar="N", help="look at no more than N held-out images"
    )
    command.add_argument(
        "--unit", type=_unit, action="append", default=argparse.SUPPRESS, metavar="LAYER:CHANNEL",
        help="show what excites this channel, like layers.4:17; may be given again (default: one of each convolution)",
    )  # fmt: skip
    command.add_argument(
        "--class", dest="class_name", default=argparse.SUPPRESS, metavar="NAME",
        help="what in the image speaks for this class (default: for the most probable one)",
    )  # fmt: skip
    _add_out(command, "look")


def _add_weights(command: argparse.ArgumentParser) -> None:
    command.add_argument("weights", type=Path, metavar="RUN", help="folder that train wrote, or a weights file in one")


def _add_held_out(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "--data", default=argparse.SUPPRESS, metavar="SPEC",
        help="data with held-out images, named as for train (default: those of the run)",
    )  # fmt: skip


def _add_ten_crop(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "--ten-crop", action="store_true", help="look at each image's corners, middle and their mirror images"
    )


def _add_out(command: argparse.ArgumentParser, folder: str) -> None:
    command.add_argument(
        "--out", type=Path, default=argparse.SUPPRESS, metavar="FOLDER",
        help=f"where to write (default: {folder}/ in the run's folder)",
    )  # fmt: skip


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="npalexnet",
        description="AlexNet without a framework: train it, use it, look at what it is made of.",
        epilog="Exit status: 0 fine, 1 something went wrong, 2 the command line is wrong, 130 stopped with Ctrl-C.",
    )
    parser.add_argument("--version", action="version", version=f"npalexnet {__version__}")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    whole, positive = number(int, 0), number(int, 1)

    def add(name: str, module: str, text: str, more: str = "") -> argparse.ArgumentParser:
        command = commands.add_parser(
            name, help=text[0].lower() + text[1:], description=f"{text}. {more}".strip(),
            formatter_class=argparse.ArgumentDefaultsHelpFormatter,
        )  # fmt: skip
        command.set_defaults(module=f"npalexnet.cli.{module}")  # imported when the command runs
        return command

    def add_machine_options(command: argparse.ArgumentParser) -> None:
        command.add_argument("--device", default="cpu", help="cpu, cuda, cuda:N, or auto: a GPU where one is usable")
        add_threads_option(command)

    def add_threads_option(command: argparse.ArgumentParser) -> None:
        command.add_argument(
            "--threads", type=positive, default=argparse.SUPPRESS, metavar="N",
            help="threads that compute on the CPU (default: NPALEXNET_NUM_THREADS, else the cores)",
        )  # fmt: skip

    # Not shown as defaults in --help.
    parser.set_defaults(threads=None, out=None, data=None, image=None, unit=None, class_name=None)

    train = add(
        "train", "train", "Train AlexNet on pictures",
        "Without --data, on the built-in sample of Fashion-MNIST: 2,000 training and 500 held-out images of ten "
        "classes of clothing. Ctrl-C stops after the step under way and keeps what was learnt; --resume goes on.",
    )  # fmt: skip
    add_training_options(train)
    add_threads_option(train)

    predict = add("predict", "predict", "Name what is on images", "The middle square of each image is looked at.")
    _add_predict(predict)
    add_machine_options(predict)

    evaluate = add(
        "evaluate", "evaluate", "Count how many held-out images a network names rightly",
        "Prints a table of the classes, and writes confusion.png and confusion.csv.",
    )  # fmt: skip
    _add_evaluate(evaluate)
    add_machine_options(evaluate)

    look = add(
        "look", "look", "Look inside a network",
        "Writes pictures of its filters, of what becomes of an image layer by layer, of what its answer depends on, of "
        "the images that excite its units, and of its mistakes; and index.html, one file that shows them together.",
    )  # fmt: skip
    _add_look(look)
    add_machine_options(look)

    summary = add("summary", "summary", "Print each layer with its shape, parameters, work and memory")
    summary.add_argument("--batch-size", type=positive, default=1, metavar="N", help="images in the batch")
    summary.add_argument(
        "--num-classes",
        type=number(int, 1, maximum=1_000_000),
        default=1000,
        metavar="K",
        help="width of the last layer",
    )

    gradcheck = add("gradcheck", "gradcheck", "Hold every layer's gradients against finite differences")
    gradcheck.add_argument("--seed", type=whole, default=0, metavar="N", help="of inputs, parameters and directions")
    add_machine_options(gradcheck)

    add("info", "info", "Print versions, devices and, where a device is not usable, why")
    return parser
