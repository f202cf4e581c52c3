"""The command line, ``npalexnet``: a module a command, each with its `add_options` and its `run`."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from importlib import import_module

from npalexnet import __version__, backend, get_convolution_algorithm
from npalexnet.terminal import steady_output

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
        "Draws its filters, its feature maps for an image, what its prediction depends on, the images that activate "
        "its channels most, and its mistakes; and writes index.html, one file that shows them all.",
    ),
    "summary": ("Print each layer with its shape, parameters, multiply-adds and memory", ""),
    "gradcheck": ("Check every layer's gradients against finite differences", ""),
    "info": ("Print versions, devices and, where a device is not usable, why", ""),
}
PACKAGES = ("PIL", "filelock", "matplotlib", "safetensors", "tqdm")  # of the extra "train"
WRITES_FILES = ("train", "evaluate", "look")  # output that can't be printed does not end them


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command; returns the exit status.

    0 is success, 1 an error, or output that could not be written, 2 a wrong command line, 130 Ctrl-C (and, of `train`,
    128 + the number of another signal).
    """
    arguments = sys.argv[1:] if arguments is None else arguments
    with steady_output() as streams:
        options = _parser(arguments).parse_args(arguments)
        streams[0].essential = options.command not in WRITES_FILES
        status = _run(options)
    return status or int(any(stream.failed for stream in streams))


def _run(options: argparse.Namespace) -> int:
    """Run a command; returns the exit status. An error is a line on the standard error stream."""
    try:
        if options.threads is not None:
            backend.set_num_threads(options.threads)
        backend.get_num_threads(), get_convolution_algorithm()  # a bad environment variable is refused at once
        status = options.run(options)
        sys.stdout.flush()
        return status
    except BrokenPipeError:  # `npalexnet summary | head`: the reader has left, which is not an error
        return 0
    except KeyboardInterrupt:
        print(f"\nnpalexnet {options.command}: interrupted", file=sys.stderr)
        return 130
    except MemoryError as error:
        message = f"not enough memory: {error}"
    except (OSError, ValueError, RuntimeError) as error:
        message = str(error)
    except ModuleNotFoundError as error:
        if error.name is None or error.name.partition(".")[0] not in (
            "PIL",
            "filelock",
            "matplotlib",
            "safetensors",
            "tqdm",
        ):
            raise
        message = f"{error.name} is not installed; pip install 'npalexnet[train]' brings all that this command needs"
    print(f"npalexnet {options.command}: error: {message}", file=sys.stderr)
    return 1


def _parser(arguments: Sequence[str]) -> argparse.ArgumentParser:
    """Return the parser; only the modules of commands among the arguments are imported."""
    parser = argparse.ArgumentParser(
        prog="npalexnet",
        description="AlexNet without a framework: train it, use it, look inside.",
        epilog="Exit status: 0 success, 1 an error, 2 a wrong command line, 130 stopped with Ctrl-C.",
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
