"""``npalexnet summary``: the layers of the network, without running it."""

from __future__ import annotations

import argparse

from npalexnet.alexnet import VARIANTS, AlexNet
from npalexnet.cli.options import add_variant, number
from npalexnet.weights import MOST_CLASSES


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the options of the command to its parser."""
    parser.add_argument("--batch-size", type=number(int, 1), default=1, metavar="N", help="images in the batch")
    parser.add_argument(
        "--num-classes", type=number(int, 1, maximum=MOST_CLASSES), default=1000, metavar="K",
        help="width of the last layer",
    )  # fmt: skip
    add_variant(parser)


def run(options: argparse.Namespace) -> int:
    """Print AlexNet's layers and their totals."""
    summary = AlexNet(options.num_classes, init="torch", variant=options.variant).summary(options.batch_size)
    print(f"AlexNet for {options.num_classes} classes, a batch of {options.batch_size}, float32")
    print(f"{options.variant}: {VARIANTS[options.variant].summary}\n")
    print(summary)
    print(
        f"\nThe parameters take {summary.total.parameters * 4 / 2**20:,.1f} MiB. Activations are the layers' outputs. "
        "Multiply-adds\n"
        "are those of a forward pass's matrix products; a training step takes about three times as many."
    )
    return 0
