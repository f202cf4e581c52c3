"""What each variant looks like from outside: the names and shapes of its weights, and the order of its layers."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import Any

from npalexnet.alexnet import VARIANTS
from npalexnet.layers.activation import ReLU
from npalexnet.layers.layer import Layer
from npalexnet.layers.normalization import LocalResponseNorm
from npalexnet.layers.pooling import MaxPool2d
from npalexnet.layers.sequential import Sequential
from npalexnet.variants import Makers

LAYERS = ("conv1", "conv2", "conv3", "conv4", "conv5", "fc6", "fc7", "fc8")  # as the field calls those with weights
CONVOLUTIONS, LAST = 5, len(LAYERS) - 1
PARTS = ("weight", "bias")
_KINDS = {ReLU: "relu", LocalResponseNorm: "lrn", MaxPool2d: "max_pool"}
COMPARED = {"conv", *_KINDS.values()}  # of a file's layers, those whose order says which variant it is


@dataclass(frozen=True)
class Figure:
    """A variant's layers with weights, in order, and the kinds of all its layers up to the classifier.

    Attributes
    ----------
    names : tuple of str
        "layers.0", ..., "classifier.6".
    shapes : tuple of tuple of int
        Of their weights, (out, in, kH, kW) or (out, in); the last layer's `out` is that of any number of classes.
    order : tuple of str
        "conv", "relu", "lrn" and "max_pool".
    """

    names: tuple[str, ...]
    shapes: tuple[tuple[int, ...], ...]
    order: tuple[str, ...]


class _Sketch(Layer):
    """Stands in a figure for a convolution or a linear layer, without weights."""

    def __init__(self, shape: tuple[int, ...]) -> None:
        self.shape = shape


class _Sketches(Makers):
    """Makes sketches instead of layers."""

    def conv(self, channels: int, out: int, kernel_size: int, *, groups: int = 1, **_: Any) -> _Sketch:  # type: ignore[override]
        """Sketch a convolution."""
        return _Sketch((out, channels // groups, kernel_size, kernel_size))

    def linear(self, features: int, out: int) -> _Sketch:  # type: ignore[override]
        """Sketch a linear layer."""
        return _Sketch((out, features))


@cache
def figure_of(variant: str) -> Figure:
    """Return what a variant, one of `VARIANTS`, looks like."""
    parts = VARIANTS[variant].figure(_Sketches(num_classes=1, dropout=0.0, settings={"seed": 0}))
    names, shapes, order = [], [], []
    for name, layer in Sequential(**parts).named_leaves():
        if isinstance(layer, _Sketch):
            names.append(name)
            shapes.append(layer.shape)
        if len(names) <= CONVOLUTIONS:
            kind = "conv" if isinstance(layer, _Sketch) else _KINDS.get(type(layer))
            order += [kind] if kind else []
    return Figure(tuple(names), tuple(shapes), tuple(order))
