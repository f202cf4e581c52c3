"""``npalexnet summary``: the layers of the network, without running it."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from dataclasses import dataclass
from math import prod

from npalexnet.alexnet import IMAGE_SIZE, AlexNet
from npalexnet.cli.options import number
from npalexnet.layers.layer import Layer
from npalexnet.layers.parameter import Shape
from npalexnet.terminal import table


@dataclass(frozen=True)
class LayerSummary:
    """A layer's size and cost.

    Attributes
    ----------
    name, kind : str
        ``"layers.0"``, ``"Conv2d"``.
    output_shape : tuple of int
        For the given input.
    parameters : int
        Number of trainable numbers.
    multiply_adds : int
        In the matrix products of a forward pass.
    activation_bytes : int
        Size of the output.
    """

    name: str
    kind: str
    output_shape: Shape
    parameters: int
    multiply_adds: int
    activation_bytes: int


def summarize(model: Layer, input_shape: Shape, item_bytes: int) -> Iterator[LayerSummary]:
    """Yield the size and cost of each layer of a feed-forward model.

    Parameters
    ----------
    model : Layer
        `AlexNet`, a `Sequential`, or a single layer.
    input_shape : tuple of int
        Shape of the batch: (N, 3, 227, 227).
    item_bytes : int
        Bytes of a number: 4 for float32.

    Raises
    ------
    ValueError
        If the model can't take the shape.
    """
    model.output_shape(input_shape)
    for name, layer in model.named_leaves():
        output_shape = layer.output_shape(input_shape)
        yield LayerSummary(
            name,
            type(layer).__name__,
            output_shape,
            sum(parameter.size for parameter in layer.parameters()),
            layer.multiply_adds(input_shape),
            prod(output_shape) * item_bytes,
        )
        input_shape = output_shape


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the options of the command to its parser."""
    parser.add_argument("--batch-size", type=number(int, 1), default=1, metavar="N", help="images in the batch")
    parser.add_argument(
        "--num-classes", type=number(int, 1, maximum=1_000_000), default=1000, metavar="K",
        help="width of the last layer",
    )  # fmt: skip


def run(options: argparse.Namespace) -> int:
    """Print AlexNet's layers and their totals."""
    model = AlexNet(options.num_classes)
    layers = list(summarize(model, (options.batch_size, 3, IMAGE_SIZE, IMAGE_SIZE), item_bytes=4))
    parameters = sum(layer.parameters for layer in layers)
    multiply_adds = sum(layer.multiply_adds for layer in layers)
    activation_bytes = sum(layer.activation_bytes for layer in layers)
    rows = [
        [
            layer.name,
            layer.kind,
            " x ".join(map(str, layer.output_shape)),
            *_figures(layer.parameters, layer.multiply_adds, layer.activation_bytes),
        ]
        for layer in layers
    ]
    rows.append(["total", "", "", *_figures(parameters, multiply_adds, activation_bytes)])
    print(f"AlexNet for {options.num_classes} classes, a batch of {options.batch_size}, float32\n")
    header = ["layer", "kind", "output shape", "parameters", "multiply-adds (M)", "activations (MiB)"]
    print(table(header, rows, left=3))
    print(
        f"\nThe parameters take {parameters * 4 / 2**20:,.1f} MiB. Activations are the layers' outputs. Multiply-adds\n"
        "are those of a forward pass's matrix products; a training step takes about three times as many."
    )
    return 0


def _figures(parameters: int, multiply_adds: int, activation_bytes: int) -> list[str]:
    return [f"{parameters:,}", f"{multiply_adds / 1e6:,.1f}", f"{activation_bytes / 2**20:,.2f}"]
