"""The layers of a network, with their sizes and costs; nothing is computed."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from html import escape
from math import prod

from npalexnet.layers.layer import Layer
from npalexnet.layers.parameter import Shape
from npalexnet.terminal import table

HEADER = ["layer", "kind", "output shape", "parameters", "multiply-adds (M)", "activations (MiB)"]


@dataclass(frozen=True)
class LayerSummary:
    """A layer's size and cost."""

    name: str  # "layers.0"
    kind: str  # "Conv2d"
    output_shape: Shape  # for the given input
    parameters: int  # number of trainable numbers
    multiply_adds: int  # in the matrix products of a forward pass
    activation_bytes: int  # size of the output


@dataclass(frozen=True, repr=False)
class Summary:
    """The layers of a network, in the order of the forward pass; printed, and in a notebook, it is a table.

    Attributes
    ----------
    layers : sequence of LayerSummary
    """

    layers: Sequence[LayerSummary]

    @property
    def total(self) -> LayerSummary:
        """The sums over the layers, under the name "total"."""
        costs = [(layer.parameters, layer.multiply_adds, layer.activation_bytes) for layer in self.layers]
        return LayerSummary("total", "", (), *map(sum, zip(*costs, strict=True)))

    def __str__(self) -> str:
        return table(HEADER, self._rows(), left=3)

    __repr__ = __str__

    def _repr_html_(self) -> str:
        head = "".join(f"<th>{escape(name)}</th>" for name in HEADER)
        rows = ("".join(f"<td>{escape(cell)}</td>" for cell in row) for row in self._rows())
        body = "".join(f"<tr>{row}</tr>" for row in rows)
        return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"

    def _rows(self) -> list[list[str]]:
        return [_row(layer) for layer in (*self.layers, self.total)]


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


def _row(layer: LayerSummary) -> list[str]:
    numbers = f"{layer.parameters:,}", f"{layer.multiply_adds / 1e6:,.1f}", f"{layer.activation_bytes / 2**20:,.2f}"
    return [layer.name, layer.kind, " x ".join(map(str, layer.output_shape)), *numbers]
