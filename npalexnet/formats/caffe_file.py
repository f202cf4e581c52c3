"""The weights in a ``.caffemodel``: a network of Caffe with the numbers of its layers.

The fields of its messages are numbered as in src/caffe/proto/caffe.proto of https://github.com/BVLC/caffe, whose three
generations of layers (V0, V1 and the current ones) are all read.
"""

from __future__ import annotations

from math import prod
from pathlib import Path

import numpy as np

from npalexnet.fields import found
from npalexnet.files import open_regular
from npalexnet.formats import wire
from npalexnet.formats.tensor_file import Operator, TensorFile, damaged, shaped

_NAME, _LAYERS_V1, _LAYERS = 1, 2, 100  # of a network
_V1_TYPES = {4: "Convolution", 14: "InnerProduct", 15: "LRN", 17: "Pooling", 18: "ReLU", 6: "Dropout", 20: "Softmax"}
KINDS = {
    "Convolution": "conv", "InnerProduct": "linear", "LRN": "lrn", "Pooling": "max_pool", "ReLU": "relu",
    "conv": "conv", "innerproduct": "linear", "lrn": "lrn", "pool": "max_pool", "relu": "relu",  # of V0
}  # fmt: skip
_LEGACY_SHAPE = (1, 2, 3, 4)  # num, channels, height, width
_FLOATS, _SHAPE, _DOUBLES = 5, 7, 8  # of a blob


def read_caffe(path: Path) -> TensorFile:
    """Return the blobs of a ``.caffemodel``, ``LAYER.weight`` and ``LAYER.bias``, and its layers in their order.

    Raises
    ------
    OSError
        If it can't be read.
    ValueError
        If it is damaged, or has no weights.
    """
    with open_regular(path) as file:
        content = memoryview(file.read())
    tensors: dict[str, np.ndarray] = {}
    texts, operators = {}, []
    try:
        for number, _, value in wire.fields(content):
            if number == _NAME:
                texts["name"] = wire.text(value)
            elif number in (_LAYERS_V1, _LAYERS):
                layer = _v1_layer if number == _LAYERS_V1 else _layer
                name, kind, blobs = layer(wire.data(value))
                operators.append(_operator(name, kind, [_blob(name, blob) for blob in blobs], tensors))
    except ValueError as error:
        raise damaged(path, error) from None
    if not tensors:
        raise ValueError(f"{path} is no .caffemodel, or one of layers without weights")
    return TensorFile(path, "caffe", tensors, texts, tuple(operators))


def _operator(name: str, kind: str, blobs: list[np.ndarray], tensors: dict[str, np.ndarray]) -> Operator:
    """Put a layer's blobs among the tensors, and return the layer."""
    names = [f"{name}.{('weight', 'bias')[i] if i < 2 else i}" for i in range(len(blobs))]
    if twice := set(names) & set(tensors):
        raise wire.WireError(f"the tensor {found(min(twice))} is in it twice")
    tensors |= zip(names, blobs, strict=True)
    return Operator(KINDS.get(kind, kind), *names[:2])


def _layer(message: memoryview) -> tuple[str, str, list[memoryview]]:
    """Return a layer's name, type and blobs."""
    name, kind, blobs = "", "", []
    for number, _, value in wire.fields(message):
        if number == 1:
            name = wire.text(value)
        elif number == 2:
            kind = wire.text(value)
        elif number == 7:
            blobs.append(wire.data(value))
    return name, kind, blobs


def _v1_layer(message: memoryview) -> tuple[str, str, list[memoryview]]:
    """Return the name, the type and the blobs of a layer of the first version, or of the one that it may hold."""
    name, kind, blobs = "", "", []
    for number, _, value in wire.fields(message):
        if number == 1:  # V0
            for part, _, content in wire.fields(wire.data(value)):
                if part == 1:
                    name = wire.text(content)
                elif part == 2:
                    kind = wire.text(content)
                elif part == 50:
                    blobs.append(wire.data(content))
        elif number == 4:
            name = wire.text(value)
        elif number == 5:
            kind = _V1_TYPES.get(wire.signed(value), "other")
        elif number == 6:
            blobs.append(wire.data(value))
    return name, kind, blobs


def _blob(layer: str, message: memoryview) -> np.ndarray:
    """Return a blob's numbers in its shape, which older files give as four lengths."""
    legacy: dict[int, int] = {}
    shape: list[int] | None = None
    parts: dict[int, list[memoryview]] = {_FLOATS: [], _DOUBLES: []}
    for number, wire_type, value in wire.fields(message):
        if number in _LEGACY_SHAPE:
            legacy[number] = wire.signed(value)
        elif number == _SHAPE:
            shape = []
            for part, kind, lengths in wire.fields(wire.data(value)):
                if part == 1:
                    shape += wire.integers(kind, lengths)
        elif number in parts:
            if wire_type == wire.VARINT:
                raise wire.WireError(f"the numbers of the layer {found(layer)} are no floats")
            parts[number].append(wire.data(value))
    doubles = wire.numbers(parts[_DOUBLES], "<f8")
    values = doubles if doubles.size else wire.numbers(parts[_FLOATS], "<f4")
    if shape is None:
        shape = [legacy.get(number, 0) for number in _LEGACY_SHAPE]
        if prod(shape) == values.size:
            while len(shape) > 1 and shape[0] == 1:  # 1 x 1 x 1 x N, as biases have it; 1 x 1 x M x N of linear layers
                shape = shape[1:]
    return shaped(layer, values, tuple(shape))
