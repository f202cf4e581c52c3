"""What layers and their channels are called on a page: "convolution 2, channel 17"."""

from __future__ import annotations

from npalexnet.layers.activation import ReLU
from npalexnet.layers.average_pooling import AdaptiveAvgPool2d, AvgPool2d
from npalexnet.layers.conv import Conv2d
from npalexnet.layers.layer import Layer
from npalexnet.layers.linear import Linear
from npalexnet.layers.normalization import ResponseNorm
from npalexnet.layers.pooling import MaxPool2d
from npalexnet.visualize.activations import check_layer

KINDS = {
    Conv2d: "convolution", Linear: "linear layer", MaxPool2d: "pooling", AvgPool2d: "average pooling",
    AdaptiveAvgPool2d: "average pooling", ResponseNorm: "normalisation",
}  # fmt: skip


def layer_title(model: Layer, name: str) -> str:
    """Return what a layer is called: "convolution 2" for what comes out of its ReLU, "pooling 1".

    A convolution or linear layer whose ReLU comes next is "convolution 2 before ReLU"; a layer of another kind has the
    name that ``npalexnet summary`` prints, and its type.
    """
    check_layer(model, name)
    leaves = list(model.named_leaves())
    number = next(i for i, (known, _) in enumerate(leaves) if known == name)
    layer, following = leaves[number][1], leaves[number + 1][1] if number + 1 < len(leaves) else None
    rectified = isinstance(layer, ReLU) and number > 0 and isinstance(leaves[number - 1][1], Conv2d | Linear)
    named = leaves[number - 1][1] if rectified else layer
    kind = _kind(named)
    if kind is None:
        return f"{name} ({type(layer).__name__})"
    which = sum(_kind(part) == kind for _, part in leaves[: number + (not rectified)])
    before = " before ReLU" * (isinstance(layer, Conv2d | Linear) and isinstance(following, ReLU))
    return f"{kind} {which}{before}"


def unit_title(model: Layer, name: str, channel: int) -> str:
    """Return what a channel of a layer is called: "convolution 2, channel 17", "linear layer 3, unit 1"."""
    title = layer_title(model, name)
    return f"{title}, {'unit' if title.startswith('linear') else 'channel'} {channel}"


def _kind(layer: Layer) -> str | None:
    return next((word for kind, word in KINDS.items() if isinstance(layer, kind)), None)
