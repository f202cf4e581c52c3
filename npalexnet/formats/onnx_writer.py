"""ONNX models: a network's operators, its weights, and how to use it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from npalexnet.files import atomic_write
from npalexnet.formats.onnx_graph import Graph
from npalexnet.formats.onnx_layers import add_layer, check_exportable
from npalexnet.formats.preprocessing import in_words
from npalexnet.layers.layer import Layer
from npalexnet.layers.parameter import Shape

OPSET, IR_VERSION = 17, 8  # of 2022: older programs read them, too
IMAGES, LOGITS = "images", "logits"  # the input and the output
MOST_BYTES = 2**31 - 2**20  # of weights: protobuf's messages end at 2 GiB, and there is a little more in them
DESCRIPTION = "npalexnet"  # in the metadata, which maps strings to strings: the description, as JSON


def write_onnx(
    path: str | Path,
    model: Layer,
    weights: Mapping[str, np.ndarray],
    input_shape: Shape,
    description: Mapping[str, Any],
) -> str:
    """Write a network as an ONNX model, checked by ONNX's own checker before anything is at `path`; return what it is.

    Parameters and errors are those of `onnx_model`; `path` is replaced atomically.
    """
    from onnx import checker

    proto = onnx_model(model, weights, input_shape, description)
    ends = " -> ".join(f"{end.name} {_described(end)}" for end in (*proto.graph.input, *proto.graph.output))
    content = proto.SerializeToString(deterministic=True)
    del proto  # which holds all weights once more
    checker.check_model(content, full_check=True)
    with atomic_write(path) as temporary:
        temporary.write_bytes(content)
    return f"an ONNX model of opset {OPSET}, {ends}"


def onnx_model(
    model: Layer, weights: Mapping[str, np.ndarray], input_shape: Shape, description: Mapping[str, Any]
) -> Any:
    """Return a network as an ONNX model: "images", (N, ...), -> "logits", for any N.

    It computes what the network does in eval mode, in float64 if its weights are, else in float32: weights of 16 bits
    are kept so, and cast when it begins.

    Parameters
    ----------
    model : Layer
        Of the package's layers, in Sequentials.
    weights : mapping
        Its `state_dict`, perhaps of another dtype.
    input_shape : tuple of int
        Of one image, (3, H, W).
    description : mapping
        What JSON can hold. It goes into the metadata under "npalexnet"; in words, so do its "classes" and "pipeline".

    Returns
    -------
    onnx.ModelProto

    Raises
    ------
    TypeError
        If the model has layers of other kinds.
    ValueError
        If the shape does not fit the model, or the weights are more than a file of ONNX can hold.
    """
    from onnx import helper

    check_exportable(model)
    size = sum(array.nbytes for array in weights.values())
    if size > MOST_BYTES:
        raise ValueError(f"an ONNX file holds at most 2 GiB, the weights are {size / 2**30:.1f} GiB")
    dtype = np.dtype("float64" if any(array.dtype == np.float64 for array in weights.values()) else "float32")
    graph = Graph(IMAGES, (1, *input_shape), dtype, weights, reserved=(LOGITS,))
    for name, layer in model.named_leaves():
        add_layer(graph, name, layer)
    if not graph.nodes:
        graph.add("Identity")
    graph.nodes[-1].output[0] = LOGITS
    kind = helper.np_dtype_to_tensor_dtype(dtype)
    ends = [helper.make_tensor_value_info(IMAGES, kind, ("N", *input_shape))]
    ends += [helper.make_tensor_value_info(LOGITS, kind, ("N", *graph.shape[1:]))]
    prepared = in_words(description.get("pipeline"))
    ends[0].doc_string = prepared or "(N, C, H, W)"
    ends[1].doc_string = "Logits: the probabilities are their softmax."
    name = description.get("variant") or type(model).__name__
    proto = helper.make_graph(graph.nodes, str(name), ends[:1], ends[1:], graph.initializers)
    result = helper.make_model(
        proto, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=IR_VERSION, producer_name="npalexnet"
    )
    helper.set_model_props(result, metadata(description, prepared))
    return result


def _described(value: Any) -> str:
    """Return the dtype and the shape of an input or output, "float32 (N, 10)"."""
    from onnx import helper

    kind = value.type.tensor_type
    sizes = ", ".join(size.dim_param or str(size.dim_value) for size in kind.shape.dim)
    return f"{helper.tensor_dtype_to_np_dtype(kind.elem_type)} ({sizes})"


def metadata(description: Mapping[str, Any], prepared: str) -> dict[str, str]:
    """Return the metadata: the whole description as JSON, and what others look for in words of their own."""
    texts = {"output": "logits; the probabilities are their softmax", DESCRIPTION: json.dumps(description)}
    if prepared:
        texts["preprocessing"] = prepared
    if description.get("classes"):
        texts["classes"] = json.dumps(description["classes"])
    return texts
