"""What a network consists of, layer by layer, without running it: ``npalexnet summary``."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from dataclasses import dataclass
from math import prod

from npalexnet.alexnet import IMAGE_SIZE, AlexNet
from npalexnet.layers.layer import Layer
from npalexnet.layers.parameter import Shape
from npalexnet.terminal import table


@dataclass(frozen=True)
class LayerSummary:
    """One layer's figures.

    Attributes
    ----------
    name, kind : str
        ``"layers.0"``, ``"Conv2d"``.
    output_shape : tuple of int
        For the given input.
    parameters : int
        Number of learnt numbers.
    multiply_adds : int
        Of a forward pass, in matrix products.
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
    """Yield the figures of each layer of a feed-forward model.

    Parameters
    ----------
    model : Layer
        `AlexNet`, a `Sequential`, or a single layer.
    input_shape : tuple of int
        Of the batch: (N, 3, 227, 227).
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


def run(options: argparse.Namespace) -> int:
    """Print AlexNet's layers and their totals, as the command line's options say."""
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
        f"\nThe parameters take {parameters * 4 / 2**20:,.1f} MiB. Activations are the layers' outputs. A training step"
    )
    print("takes about three times the multiply-adds of the forward pass, which are those of the matrix products.")
    return 0


def _figures(parameters: int, multiply_adds: int, activation_bytes: int) -> list[str]:
    return [f"{parameters:,}", f"{multiply_adds / 1e6:,.1f}", f"{activation_bytes / 2**20:,.2f}"]
