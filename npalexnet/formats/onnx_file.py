"""The weights in an ONNX file: the initialisers of its graph, and which layers they belong to.

The fields of its messages are numbered as in https://github.com/onnx/onnx/blob/main/onnx/onnx.proto.
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from npalexnet.dtypes import BITS, decode, from_codes
from npalexnet.fields import found
from npalexnet.files import open_regular
from npalexnet.formats import wire
from npalexnet.formats.tensor_file import MOST_DIMENSIONS, Operator, TensorFile, Unreadable, damaged, shaped

_GRAPH, _PROPERTIES = 7, 14  # of a model
_NODE, _INITIALIZER = 1, 5  # of a graph
_DIMS, _TYPE, _FLOATS, _INT32S, _INT64S, _NAME, _RAW, _DOUBLES, _UINT64S, _EXTERNAL, _LOCATION = (
    1, 2, 4, 5, 7, 8, 9, 10, 11, 13, 14,
)  # fmt: skip  # of a tensor
_TYPES = {  # by number: the name in `npalexnet.dtypes`, and the field that holds it if the raw bytes don't
    1: ("float32", _FLOATS), 2: ("uint8", _INT32S), 3: ("int8", _INT32S), 4: ("uint16", _INT32S),
    5: ("int16", _INT32S), 6: ("int32", _INT32S), 7: ("int64", _INT64S), 9: ("bool", _INT32S),
    10: ("float16", _INT32S), 11: ("float64", _DOUBLES), 12: ("uint32", _UINT64S), 13: ("uint64", _UINT64S),
    14: ("complex64", _FLOATS), 15: ("complex128", _DOUBLES), 16: ("bfloat16", _INT32S),
    17: ("float8_e4m3fn", _INT32S), 18: ("float8_e4m3fnuz", _INT32S), 19: ("float8_e5m2", _INT32S),
    20: ("float8_e5m2fnuz", _INT32S), 21: ("uint4", _INT32S), 22: ("int4", _INT32S), 23: ("float4_e2m1fn", _INT32S),
    24: ("float8_e8m0fnu", _INT32S), 25: ("uint2", _INT32S), 26: ("int2", _INT32S), 27: ("float6_e2m3fn", _INT32S),
    28: ("float6_e3m2fn", _INT32S),
}  # fmt: skip
_STRING = 8
KINDS = {
    "Conv": "conv", "Gemm": "linear", "MatMul": "linear", "Relu": "relu", "LRN": "lrn", "MaxPool": "max_pool",
    "AveragePool": "average_pool", "GlobalAveragePool": "average_pool",
}  # fmt: skip
_SAME = ("Identity", "Cast", "Dropout")  # operators that pass a weight on


class _Node(NamedTuple):
    kind: str
    inputs: list[str]
    outputs: list[str]
    attributes: dict[str, int]
    value: memoryview | None  # of a constant


def read_onnx(path: Path) -> TensorFile:
    """Return the initialisers of an ONNX file, its layers in their order, and its metadata.

    A `Gemm` or `MatMul` whose weights are (in, out) gives them transposed, (out, in).

    Raises
    ------
    OSError
        If it can't be read.
    ValueError
        If it is damaged, or keeps its numbers in other files.
    """
    with open_regular(path) as file:
        content = memoryview(file.read())
    try:
        graph, texts = _model(content)
        if graph is None:
            raise Unreadable("holds no graph of ONNX; a TensorFlow model begins like this, and can't be read")
        tensors, nodes = _graph(graph)
        operators = _operators(nodes, tensors)
    except Unreadable as error:
        raise ValueError(f"{path} {error}") from None
    except ValueError as error:
        raise damaged(path, error) from None
    return TensorFile(path, "onnx", tensors, texts, operators)


def _model(content: memoryview) -> tuple[memoryview | None, dict[str, str]]:
    graph, texts = None, {}
    for number, _, value in wire.fields(content):
        if number == _GRAPH:
            graph = wire.data(value)
        elif number == _PROPERTIES:
            entry = {part: wire.text(text) for part, _, text in wire.fields(wire.data(value))}
            texts[entry.get(1, "")] = entry.get(2, "")
    return graph, texts


def _graph(graph: memoryview) -> tuple[dict[str, np.ndarray], list[_Node]]:
    """Return the tensors of a graph, constants among them, and its nodes in their order."""
    tensors: dict[str, np.ndarray] = {}
    nodes = []
    for number, _, value in wire.fields(graph):
        if number == _INITIALIZER:
            name, array = _tensor(wire.data(value))
            if name in tensors:
                raise wire.WireError(f"the tensor {found(name)} is in it twice")
            if array is not None:
                tensors[name] = array
        elif number == _NODE:
            node = _node(wire.data(value))
            if node.kind == "Constant" and node.value is not None and node.outputs:
                _, array = _tensor(node.value)
                if array is not None:
                    tensors[node.outputs[0]] = array
            else:
                nodes.append(node)
    return tensors, nodes


def _node(message: memoryview) -> _Node:
    kind, inputs, outputs, attributes, constant = "", [], [], {}, None
    for number, _, value in wire.fields(message):
        if number == 1:
            inputs.append(wire.text(value))
        elif number == 2:
            outputs.append(wire.text(value))
        elif number == 4:
            kind = wire.text(value)
        elif number == 5:
            name, whole = "", None
            for part, _, content in wire.fields(wire.data(value)):
                if part == 1:
                    name = wire.text(content)
                elif part == 3:
                    whole = wire.signed(content)
                elif part == 5 and kind == "Constant":
                    constant = wire.data(content)
            if whole is not None:
                attributes[name] = whole
    return _Node(kind, inputs, outputs, attributes, constant)


def _tensor(message: memoryview) -> tuple[str, np.ndarray | None]:
    """Return a tensor's name and values; None for texts."""
    shape: list[int] = []
    name, kind, raw, external = "", 0, None, False
    parts: dict[int, list[Any]] = {}
    for number, wire_type, value in wire.fields(message):
        if number == _DIMS:
            shape += wire.integers(wire_type, value)
        elif number == _TYPE:
            kind = wire.signed(value)
        elif number == _NAME:
            name = wire.text(value)
        elif number == _RAW:
            raw = wire.data(value)
        elif number == _EXTERNAL or (number == _LOCATION and value == 1):
            external = True
        elif number in (_FLOATS, _DOUBLES):
            parts.setdefault(number, []).append(wire.data(value))
        elif number in (_INT32S, _INT64S, _UINT64S):
            parts.setdefault(number, []).extend(wire.integers(wire_type, value))
            if len(parts[number]) > wire.MOST_FIELDS:
                raise wire.WireError(f"the tensor {found(name)} is a list of more than {wire.MOST_FIELDS:,} numbers")
    if external:
        raise Unreadable(
            f"keeps the numbers of {found(name)} in another file (ONNX's external data): in Python, "
            "onnx.save(onnx.load(FILE), NEW_FILE) puts all into one"
        )
    if kind == _STRING:
        return name, None
    if kind not in _TYPES:
        raise Unreadable(
            f"can't be read: the tensor {found(name)} is of the type number {kind}; save it as float32, float16 or "
            "bfloat16"
        )
    dtype, field = _TYPES[kind]
    bits, listed = BITS[dtype], parts.get(field, [])
    if raw is not None:
        values = decode(wire.numbers([raw], "u1"), dtype)
    elif field in (_FLOATS, _DOUBLES):
        values = decode(wire.numbers(listed, "u1"), dtype)
    else:
        values = decode(_whole_numbers(listed, max(bits // 8, 1)), dtype)
    if bits == 6 and raw is None:  # one in each, where smaller types have a whole byte
        values = from_codes(_whole_numbers(listed, 1), dtype)
    elif 0 < (spare := values.size - math.prod(shape[:MOST_DIMENSIONS])) * bits < 8:  # which fill the last byte
        values = values[:-spare]
    return name, shaped(name, values, tuple(shape))


def _whole_numbers(numbers: list[int], size: int) -> np.ndarray:
    """Return the lowest bytes of each number, one after the other."""
    mask = 2 ** (8 * size) - 1
    return np.array([number & mask for number in numbers], f"<u{size}").view(np.uint8)


def _operators(nodes: list[_Node], tensors: dict[str, np.ndarray]) -> tuple[Operator, ...]:
    """Return the layers with their weights, which are made (out, in) in `tensors` where they are (in, out)."""
    names = {name: name for name in tensors}  # what passes a weight on, to the weight's own name
    operators: list[Operator] = []
    sums: dict[str, int] = {}  # of the outputs of products, which layers they are
    turned = set()
    for node in nodes:
        inputs = [names.get(name) for name in node.inputs]
        if node.kind in _SAME and inputs and inputs[0]:
            names |= dict.fromkeys(node.outputs[:1], inputs[0])
        elif node.kind == "Transpose" and inputs and inputs[0] and tensors[inputs[0]].ndim == 2 and node.outputs:
            tensors[node.outputs[0]] = tensors[inputs[0]].T
            names[node.outputs[0]] = node.outputs[0]
        elif node.kind in ("Conv", "Gemm", "MatMul"):
            weight, bias = [*inputs[1:], None, None][:2]
            by_rows = node.kind == "MatMul" or (node.kind == "Gemm" and not node.attributes.get("transB"))
            if weight and by_rows and tensors[weight].ndim == 2 and weight not in turned:
                tensors[weight] = tensors[weight].T
                turned.add(weight)
            sums |= dict.fromkeys(node.outputs[:1], len(operators))
            operators.append(Operator(KINDS[node.kind], weight, bias))
        elif node.kind == "Add":
            product = next((name for name in node.inputs if name in sums), None)
            bias = next((name for name in inputs if name), None)
            if product and bias and operators[sums[product]].bias is None:
                operators[sums[product]] = operators[sums[product]]._replace(bias=bias)
        else:
            operators.append(Operator(KINDS.get(node.kind, node.kind)))
    return tuple(operators)
