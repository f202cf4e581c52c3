"""The command line: ``npalexnet train``, ``predict``, ``evaluate``, ``look``, ``summary``, ``gradcheck``, ``info``."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable, Sequence
from importlib import import_module
from math import inf
from pathlib import Path
from typing import Any

from npalexnet import __version__, backend
from npalexnet.training.options import add_options as add_training_options

INTERRUPTED = 130  # the exit status of a program that Ctrl-C ended, by the shells' convention


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command; returns the exit status: 0 fine, 1 it went wrong, 2 the command line is wrong, 130 Ctrl-C."""
    options = _parser().parse_args(arguments)
    try:
        if options.threads is not None:
            backend.set_num_threads(options.threads)
        backend.get_num_threads()  # a bad environment variable is refused before anything is begun
        return options.run(options)
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


def _train(options: argparse.Namespace) -> int:
    for needed in ("PIL", "matplotlib", "safetensors", "tqdm"):
        import_module(needed)  # a missing one is to be known before training, not when its result is to be written
    from npalexnet.training.session import train

    return 0 if train(vars(options)) else INTERRUPTED


def _predict(options: argparse.Namespace) -> int:
    from npalexnet.predict import predict

    return predict(
        options.weights,
        options.images,
        top=options.top,
        ten_crop=options.ten_crop,
        as_json=options.json,
        device=options.device,
    )


def _evaluate(options: argparse.Namespace) -> int:
    from npalexnet.evaluate import run

    return run(options)


def _look(options: argparse.Namespace) -> int:
    from npalexnet.look import run

    return run(options)


def _summary(options: argparse.Namespace) -> int:
    from npalexnet.alexnet import IMAGE_SIZE, AlexNet
    from npalexnet.summary import summarize
    from npalexnet.table import table

    model = AlexNet(options.num_classes)
    layers = list(summarize(model, (options.batch_size, 3, IMAGE_SIZE, IMAGE_SIZE), item_bytes=4))
    rows = [
        [
            layer.name,
            layer.kind,
            " x ".join(map(str, layer.output_shape)),
            f"{layer.parameters:,}",
            f"{layer.multiply_adds / 1e6:,.1f}",
            f"{layer.activation_bytes / 2**20:,.2f}",
        ]
        for layer in layers
    ]
    parameters = sum(layer.parameters for layer in layers)
    multiply_adds = sum(layer.multiply_adds for layer in layers)
    activations = sum(layer.activation_bytes for layer in layers)
    rows.append(["total", "", "", f"{parameters:,}", f"{multiply_adds / 1e6:,.1f}", f"{activations / 2**20:,.2f}"])
    print(f"AlexNet for {options.num_classes} classes, a batch of {options.batch_size}, float32\n")
    header = ["layer", "kind", "output shape", "parameters", "multiply-adds (M)", "activations (MiB)"]
    print(table(header, rows, left=3))
    print(
        f"\nThe parameters take {parameters * 4 / 2**20:,.1f} MiB. Activations are the layers' outputs. A training step"
    )
    print("takes about three times the multiply-adds of the forward pass, which are those of the matrix products.")
    return 0


def _gradcheck(options: argparse.Namespace) -> int:
    from npalexnet.layer_checks import check_all_layers

    verdicts = []
    backend.get_device(options.device)
    print(f"Gradients by backward against central differences, float64, on {options.device}\n")
    print(f"{'layer':<56}{'derivatives':>12}{'worst error':>13}  verdict")
    for name, report in check_all_layers(options.device, seed=options.seed):
        compared = sum(row.elements + row.directions for row in report.rows)
        verdicts.append("WRONG" if not report.ok else "not differentiable" if report.not_differentiable else "ok")
        print(f"{name:<56}{compared:>12}{report.worst.error:>13.1e}  {verdicts[-1]}", flush=True)
        if not report.ok:
            print(report)
    print(f"\n{verdicts.count('ok')} of {len(verdicts)} ok; an error is relative to the derivative, 1e-6 is let pass")
    return 1 if "WRONG" in verdicts else 0


def _info(options: argparse.Namespace) -> int:
    import platform
    from importlib.metadata import PackageNotFoundError, version

    import numpy as np
    from threadpoolctl import threadpool_info

    from npalexnet.backend.cuda import probe
    from npalexnet.backend.launcher import cuda_kernels_enabled

    gpu = probe()
    blas = [f"{pool['internal_api']} {pool['version']}" for pool in threadpool_info() if pool["user_api"] == "blas"]
    print(f"npalexnet    {__version__}, Python {platform.python_version()}, {platform.system()} {platform.machine()}")
    print(f"cpu          usable: NumPy {np.__version__}, BLAS {', '.join(blas) or 'unknown'}")
    print(f"             {backend.get_num_threads()} threads")
    print(f"cuda         {'usable' if gpu.usable else 'not usable'}: {gpu.reason} (stage: {gpu.stage})")
    print(f"             kernels of our own {'on' if cuda_kernels_enabled() else 'off'}")
    for distribution in (
        "cupy-cuda13x",
        "cupy-cuda12x",
        "ml_dtypes",
        "matplotlib",
        "pillow",
        "safetensors",
        "tqdm",
        "torch",
    ):
        try:
            found = version(distribution)
        except PackageNotFoundError:
            found = "not installed"
        print(f"{distribution:<13}{found}")
    return 0


def _number(kind: type, minimum: float, *, above: bool = False, maximum: float | None = None) -> Callable[[str], Any]:
    """Return a reader of command-line numbers that refuses those out of range."""

    def read(text: str) -> Any:
        value = kind(text)
        too_small = value <= minimum if above else value < minimum
        if not -inf < value < inf or too_small or (maximum is not None and value > maximum):
            bounds = f"{'above' if above else 'at least'} {minimum}"
            bounds += f" and at most {maximum}" if maximum is not None else ""
            bounds += " and finite" if kind is float and maximum is None else ""
            raise argparse.ArgumentTypeError(f"must be {bounds}, got {text}")
        return value

    read.__name__ = kind.__name__  # argparse's "invalid int value"
    return read


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
    command.add_argument(
        "--top", type=_number(int, 1), default=3, metavar="K", help="print the K most probable classes"
    )
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
        "--images", type=_number(int, 1), default=1000, metavar="N", help="look at no more than N held-out images"
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
    whole, positive = _number(int, 0), _number(int, 1)

    def add(name: str, run: Callable[[argparse.Namespace], int], text: str, more: str = "") -> argparse.ArgumentParser:
        command = commands.add_parser(
            name, help=text[0].lower() + text[1:], description=f"{text}. {more}".strip(),
            formatter_class=argparse.ArgumentDefaultsHelpFormatter,
        )  # fmt: skip
        command.set_defaults(run=run)
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
        "train", _train, "Train AlexNet on pictures",
        "Without --data, on the built-in sample of Fashion-MNIST: 2,000 training and 500 held-out images of ten "
        "classes of clothing. Ctrl-C stops after the step under way and keeps what was learnt; --resume goes on.",
    )  # fmt: skip
    add_training_options(train, _number)
    add_threads_option(train)

    predict = add("predict", _predict, "Name what is on images", "The middle square of each image is looked at.")
    _add_predict(predict)
    add_machine_options(predict)

    evaluate = add(
        "evaluate", _evaluate, "Count how many held-out images a network names rightly",
        "Prints a table of the classes, and writes confusion.png and confusion.csv.",
    )  # fmt: skip
    _add_evaluate(evaluate)
    add_machine_options(evaluate)

    look = add(
        "look", _look, "Look inside a network",
        "Writes pictures of its filters, of what becomes of an image layer by layer, of what its answer depends on, of "
        "the images that excite its units, and of its mistakes; and index.html, one file that shows them together.",
    )  # fmt: skip
    _add_look(look)
    add_machine_options(look)

    summary = add("summary", _summary, "Print each layer with its shape, parameters, work and memory")
    summary.add_argument("--batch-size", type=positive, default=1, metavar="N", help="images in the batch")
    summary.add_argument(
        "--num-classes",
        type=_number(int, 1, maximum=1_000_000),
        default=1000,
        metavar="K",
        help="width of the last layer",
    )

    gradcheck = add("gradcheck", _gradcheck, "Hold every layer's gradients against finite differences")
    gradcheck.add_argument("--seed", type=whole, default=0, metavar="N", help="of inputs, parameters and directions")
    add_machine_options(gradcheck)

    add("info", _info, "Print versions, devices and, where a device is not usable, why")
    return parser
