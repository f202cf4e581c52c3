"""What a network consists of, layer by layer, without running it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from math import prod

from npalexnet.layers.layer import Layer
from npalexnet.layers.parameter import Shape
from npalexnet.layers.sequential import Sequential


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
    """Yield the figures of each layer of a model whose parts follow one another.

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
    for name, layer in leaves(model):
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


def leaves(layer: Layer, prefix: str = "") -> Iterator[tuple[str, Layer]]:
    """Yield the layers that hold no others, in the order of the forward pass, with their full names."""
    children = list(layer.named_children())
    if not children and not isinstance(layer, Sequential):
        yield prefix.rstrip("."), layer
    for name, child in children:
        yield from leaves(child, f"{prefix}{name}.")
