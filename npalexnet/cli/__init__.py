"""The command line, ``npalexnet``: a module a command, each with its `add_options` and its `run`."""

from __future__ import annotations

import argparse
import logging
import os
import sys
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib import import_module

from npalexnet import __version__, backend, get_convolution_algorithm
from npalexnet.cli.options import PACKAGES
from npalexnet.cli.parser import Parser
from npalexnet.terminal import console, output_works, reason, shown

COMMANDS = {
    "train": (
        "Train AlexNet on pictures",
        "Without --data, on the built-in sample of Fashion-MNIST: 2,000 training and 500 validation images of ten "
        "classes of clothing. Ctrl-C stops after the current step and keeps what was learned, as do SIGTERM, "
        "SIGHUP and SIGUSR1 (exit status 128 + the signal's number); a second one stops at once; --resume continues. "
        "Where tensorboard or tensorboardX is installed, its event files are written to the run, too.",
    ),
    "predict": ("Predict the classes of images", "By default, from the middle of each image."),
    "evaluate": (
        "Measure a network's accuracy on validation images",
        "Prints a table of the classes, and writes confusion.png and confusion.csv.",
    ),
    "look": (
        "Look inside a network",
        "Writes index.html, one file for any browser: what the network answers for your images and what that depends "
        "on, its mistakes, the images that activate its channels most, its feature maps, its filters, its training. "
        "Figures of them are written beside it.",
    ),
    "explain": (
        "Take one picture through a network, number by number, on an interactive page",
        "Writes one HTML file for any browser: of each layer's outputs, the window, the products and the sum that made "
        "it and, backward, where its gradient goes.",
    ),
    "export": (
        "Export a trained network: to ONNX, or its weights to torch, safetensors or NumPy",
        "The names of the classes and how images are prepared are kept in all of them.",
    ),
    "summary": ("Print each layer with its shape, parameters, multiply-adds and memory", ""),
    "exercise": (
        "Write convolution and the rest yourself: exercises, and a judge of your code",
        "start writes stubs to a folder; check runs your functions, and says what is wrong and where it comes from.",
    ),
    "gradcheck": ("Check every layer's gradients against finite differences", ""),
    "info": ("Print versions, devices and, where a device is not usable, why", ""),
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command.

    Returns the exit status: 0 success, 1 an error, 2 a wrong command line, 130 Ctrl-C (and, of `train`, 128 + the
    number of another signal). What can't be printed is an error at the end; it keeps no command from its work. (That a
    reader has left is none: ``npalexnet summary | head``.)
    """
    if "matplotlib" not in sys.modules:  # of a notebook, say, and maybe not installed here: figures go to files alone
        os.environ.pop("MPLBACKEND", None)
    with console() as output, _without_pillows_remarks():
        try:
            status = _run(sys.argv[1:] if arguments is None else arguments)
        except SystemExit as stopped:  # argparse's, after a wrong command line or a help text
            if stopped.code or output_works():
                raise
            status = 0
        if not output_works() and not isinstance(output.failure, BrokenPipeError) and not status:
            print(f"npalexnet: error: can't write to standard output: {output.failure}", file=sys.stderr)
            return 1
        return status


def _run(arguments: Sequence[str]) -> int:
    options = _parser(arguments).parse_args(arguments)
    try:
        if options.threads is not None:
            backend.set_num_threads(options.threads)
        backend.get_num_threads(), get_convolution_algorithm()  # a bad environment variable is refused at once
        return options.run(options)
    except KeyboardInterrupt:
        print(f"\nnpalexnet {options.command}: interrupted", file=sys.stderr)
        return 130
    except MemoryError as error:
        message = f"not enough memory: {error}"
    except (OSError, ValueError, RuntimeError) as error:
        message = reason(error)
    except ModuleNotFoundError as error:
        if error.name is None or error.name.partition(".")[0] not in PACKAGES:
            raise
        extra = PACKAGES[error.name.partition(".")[0]]
        message = f"{error.name} is not installed; pip install 'npalexnet[{extra}]' brings all that this command needs"
    print(f"npalexnet {options.command}: error: {shown(message)}", file=sys.stderr)
    return 1


@contextmanager
def _without_pillows_remarks() -> Iterator[None]:
    """Context in which Pillow does not print what is odd in the metadata of pictures: the pixels alone are used."""
    logging.getLogger("PIL").addHandler(logging.NullHandler())
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", module=r"PIL\.")
        yield


def _parser(arguments: Sequence[str]) -> Parser:
    """Return the parser; only the modules of commands among the arguments are imported."""
    parser = Parser(
        prog="npalexnet",
        description="AlexNet without a framework: train it, use it, look inside.",
        epilog="Exit status: 0 success, 1 an error, 2 a wrong command line, 130 stopped with Ctrl-C (train: 128 + the "
        "number of the signal that stopped it).",
    )
    parser.add_argument("--version", action="version", version=f"npalexnet {__version__}")
    parser.set_defaults(threads=None)
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for name, (title, details) in COMMANDS.items():
        command = commands.add_parser(
            name, help=title[0].lower() + title[1:], description=f"{title}. {details}".strip(),
            formatter_class=_HelpFormatter,
        )  # fmt: skip
        if name in arguments:
            module = import_module(f"npalexnet.cli.{name}")
            module.add_options(command)
            command.set_defaults(run=module.run)
    return parser


class _HelpFormatter(argparse.ArgumentDefaultsHelpFormatter):
    """Shows the default of each option that has one."""

    def _get_help_string(self, action: argparse.Action) -> str | None:
        without = action.default is None or action.default is False
        return action.help if without else super()._get_help_string(action)
