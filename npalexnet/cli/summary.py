"""``npalexnet summary``: the layers of the network, without running it."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from dataclasses import dataclass
from math import prod

from npalexnet.alexnet import VARIANTS, AlexNet
from npalexnet.cli.options import add_variant, number
from npalexnet.layers.layer import Layer
from npalexnet.layers.parameter import Shape
from npalexnet.terminal import table
from npalexnet.weights import MOST_CLASSES


@dataclass(frozen=True)
class LayerSummary:
    """A layer's size and cost."""

    name: str  # "layers.0"
    kind: str  # "Conv2d"
    output_shape: Shape  # for the given input
    parameters: int  # number of trainable numbers
    multiply_adds: int  # in the matrix products of a forward pass
    activation_bytes: int  # size of the output


def summarize(model: Layer, input_shape: Shape, item_bytes: int) -> Iterator[LayerSummary]:
    """Yield the size and cost of each layer of a feed-forward model; a ValueError if it can't take the input's shape.

    `input_shape` is a batch's shape, (N, 3, 227, 227); `item_bytes` is the size of a number, 4 for float32.
    """
    model.output_shape(input_shape)
    for name, layer in model.named_leaves():
        output_shape, parameters = layer.output_shape(input_shape), sum(p.size for p in layer.parameters())
        cost = parameters, layer.multiply_adds(input_shape), prod(output_shape) * item_bytes
        yield LayerSummary(name, type(layer).__name__, output_shape, *cost)
        input_shape = output_shape


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
    model = AlexNet(options.num_classes, init="torch", variant=options.variant)
    layers = list(summarize(model, (options.batch_size, 3, model.image_size, model.image_size), item_bytes=4))
    costs = [(layer.parameters, layer.multiply_adds, layer.activation_bytes) for layer in layers]
    total = LayerSummary("total", "", (), *map(sum, zip(*costs, strict=True)))
    print(f"AlexNet for {options.num_classes} classes, a batch of {options.batch_size}, float32")
    print(f"{options.variant}: {VARIANTS[options.variant].summary}\n")
    header = ["layer", "kind", "output shape", "parameters", "multiply-adds (M)", "activations (MiB)"]
    print(table(header, [_row(layer) for layer in (*layers, total)], left=3))
    print(
        f"\nThe parameters take {total.parameters * 4 / 2**20:,.1f} MiB. Activations are the layers' outputs. "
        "Multiply-adds\n"
        "are those of a forward pass's matrix products; a training step takes about three times as many."
    )
    return 0


def _row(layer: LayerSummary) -> list[str]:
    numbers = f"{layer.parameters:,}", f"{layer.multiply_adds / 1e6:,.1f}", f"{layer.activation_bytes / 2**20:,.2f}"
    return [layer.name, layer.kind, " x ".join(map(str, layer.output_shape)), *numbers]
