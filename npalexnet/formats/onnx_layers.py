"""Each layer in ONNX's operators, for a batch of any size and images of one size.

Windows that end beyond the image are written as padding at the bottom and right, never as ``ceil_mode``: what that
does with a last window that begins outside of the image has changed in ONNX, and differs in its implementations.

References
----------
The operators of opset 17: https://github.com/onnx/onnx/blob/main/docs/Operators.md. ``ceil_mode``: onnx/onnx, pull
request 5741 and issue 4958. What ONNX Runtime refuses: microsoft/onnxruntime, ``core/providers/cpu/nn/lrn.h`` (even
sizes), ``lrn.cc`` (other than four axes) and ``pool_attributes.h`` (as much padding as a window has elements).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from math import inf
from typing import Any

import numpy as np

from npalexnet.formats.onnx_graph import Graph
from npalexnet.layers.activation import Flatten, ReLU
from npalexnet.layers.average_pooling import AdaptiveAvgPool2d, AvgPool2d
from npalexnet.layers.conv import Conv2d
from npalexnet.layers.dropout import Dropout
from npalexnet.layers.layer import Layer
from npalexnet.layers.linear import Linear
from npalexnet.layers.normalization import LocalResponseNorm, SpatialResponseNorm
from npalexnet.layers.parameter import Shape
from npalexnet.layers.pooling import MaxPool2d
from npalexnet.layers.sequential import Sequential
from npalexnet.windows import Geometry


def check_exportable(model: Layer) -> None:
    """Raise a TypeError if ONNX's operators are not known for a layer of the model, or for the way it joins them."""
    for name, layer in _containers_and_leaves("", model):
        if not _is_plain(layer, Sequential) and _known(layer) is None:
            kinds = ", ".join(kind.__name__ for kind in OPERATORS)
            where = f" ({name})" if name else ""
            raise TypeError(
                f"{type(layer).__name__}{where} can't be exported to ONNX, only Sequentials of {kinds}; the other "
                "formats hold any layer's weights"
            )


def _containers_and_leaves(name: str, layer: Layer) -> Iterator[tuple[str, Layer]]:
    yield name, layer
    for child, inner in layer.named_children():
        yield from _containers_and_leaves(f"{name}.{child}" if name else child, inner)


def add_layer(graph: Graph, name: str, layer: Layer) -> None:
    """Add the operators of a layer that `check_exportable` has passed; a ValueError if its input can't be so."""
    kind = _known(layer)
    assert kind is not None
    output_shape = layer.output_shape(graph.shape)
    graph.begin_layer(name, kind.__name__)
    OPERATORS[kind](graph, layer)
    graph.shape = output_shape


def _is_plain(layer: Layer, kind: type[Layer]) -> bool:
    """Whether a layer computes what `kind` does: subclasses may compute something else."""
    return isinstance(layer, kind) and type(layer).compute is kind.compute and type(layer).infer is kind.infer


def _known(layer: Layer) -> type[Layer] | None:
    return next((kind for kind in OPERATORS if _is_plain(layer, kind)), None)


def pads(geometry: Geometry, who: str, shape: Shape) -> tuple[int, int, int, int]:
    """Return the rows and columns (top, left, bottom, right) with which as many windows fit without ``ceil_mode``."""
    before, after = [], []
    windows = geometry.windows(who, shape)
    for size, kernel, stride, dilation, start, number in zip(
        shape[2:], windows.kernel_size, windows.stride, windows.dilation, windows.padding, windows.output_size,
        strict=True,
    ):  # fmt: skip
        before.append(start)
        after.append(max(0, (number - 1) * stride + dilation * (kernel - 1) + 1 - size - start))
    return before[0], before[1], after[0], after[1]


# --- the layers -------------------------------------------------------------------------------------------------------


def _conv(graph: Graph, layer: Conv2d) -> None:
    inputs = [graph.weight("weight")] + ([] if layer.bias is None else [graph.weight("bias")])
    graph.add(
        "Conv", *inputs, kernel_shape=layer.kernel_size, strides=layer.stride, dilations=layer.dilation,
        pads=pads(layer.geometry, "Conv2d", graph.shape), group=layer.groups,
    )  # fmt: skip


def _max_pool(graph: Graph, layer: MaxPool2d) -> None:
    around = pads(layer.geometry, "MaxPool2d", graph.shape)
    firsts = layer.geometry.windows("MaxPool2d", graph.shape).first_inside(*graph.shape[2:])
    if any(size in first for first, size in zip(firsts, layer.kernel_size, strict=True)):
        raise ValueError(
            f"{layer!r} can't be exported to ONNX for images of {graph.shape[2]} x {graph.shape[3]}: a window has no "
            "pixel inside, and ONNX does not say what the largest of none is"
        )
    if any(pad >= size for pad, size in zip(around, layer.kernel_size * 2, strict=True)):
        # ONNX Runtime refuses so many: with dilation a window can reach further out than its number of elements
        edges = graph.integers("edges", [0, 0, *around[:2], 0, 0, *around[2:]])
        graph.add("Pad", edges, graph.number("fill", -inf))
        around = 0, 0, 0, 0
    graph.add("MaxPool", kernel_shape=layer.kernel_size, strides=layer.stride, dilations=layer.dilation, pads=around)


def _relu(graph: Graph, layer: ReLU) -> None:
    graph.add("Relu")


def _flatten(graph: Graph, layer: Flatten) -> None:
    graph.add("Flatten", axis=1)


def _dropout(graph: Graph, layer: Dropout) -> None:
    """Add nothing: in eval mode it is the identity."""


def _linear(graph: Graph, layer: Linear) -> None:
    if len(graph.shape) == 2:
        inputs = [graph.weight("weight")] + ([] if layer.bias is None else [graph.weight("bias")])
        graph.add("Gemm", *inputs, transB=1)
        return
    graph.add("MatMul", graph.weight("weight", transposed=True))
    if layer.bias is not None:
        graph.add("Add", graph.weight("bias"))


def _avg_pool(graph: Graph, layer: AvgPool2d) -> None:
    graph.add(
        "AveragePool", kernel_shape=layer.kernel_size, strides=layer.stride,
        pads=pads(layer.geometry, "AvgPool2d", graph.shape), count_include_pad=int(layer.count_include_pad),
    )  # fmt: skip
    if layer.count_include_pad:  # all that windows reach, but beyond torch's padding nothing was to be counted
        rows, columns = (
            np.minimum(kernel, padding + size + padding - stride * np.arange(number)) / kernel
            for size, kernel, stride, padding, number in zip(
                graph.shape[2:], layer.kernel_size, layer.stride, layer.padding, layer.output_shape(graph.shape)[2:],
                strict=True,
            )
        )  # fmt: skip
        share = np.outer(rows, columns)  # (oH, oW), of each window
        if (share != 1).any():
            graph.add("Div", graph.number("share", share))


def _adaptive_avg_pool(graph: Graph, layer: AdaptiveAvgPool2d) -> None:
    sizes, parts = graph.shape[2:], layer.output_size
    if sizes == parts:
        return
    if all(size % part == 0 for size, part in zip(sizes, parts, strict=True)):
        window = [size // part for size, part in zip(sizes, parts, strict=True)]
        graph.add("AveragePool", kernel_shape=window, strides=window)
        return
    rows, columns = (_averaging(size, part) for size, part in zip(sizes, parts, strict=True))
    graph.add("MatMul", before=(graph.number("rows", rows),))  # (oH, H) @ (N, C, H, W)
    graph.add("MatMul", graph.number("columns", columns.T))  # (N, C, oH, W) @ (W, oW)


def _averaging(size: int, parts: int) -> np.ndarray:
    """Return the matrix, (parts, size), that takes the averages of neighbouring parts, which may overlap by one."""
    matrix = np.zeros((parts, size))
    for p in range(parts):
        start, stop = p * size // parts, -(-(p + 1) * size // parts)
        matrix[p, start:stop] = 1 / (stop - start)
    return matrix


def _local_response_norm(graph: Graph, layer: LocalResponseNorm) -> None:
    alpha = layer.alpha * layer.size / layer.divisor  # of which ONNX takes a size-th
    C, *rest = graph.shape[1:]
    if layer.groups > 1:  # each as an image of its own
        graph.add("Reshape", graph.integers("groups", [-1, C // layer.groups, *rest]))
    if layer.size % 2 and len(rest) == 2 and graph.dtype == np.float32:
        graph.add("LRN", size=layer.size, alpha=alpha, beta=layer.beta, bias=layer.k)
    else:
        # ONNX Runtime has LRN for images and odd sizes alone, and ONNX's neighbours for an even size are not torch's.
        # In float64 its attributes, which are float32, would not be exact.
        ones = [1] * len(rest)
        zeros = [0] * len(rest)
        around = [layer.size // 2, *zeros, (layer.size - 1) // 2, *zeros]
        _response_norm(graph, layer, alpha, [layer.size, *ones], around, across_channels=True)
    if layer.groups > 1:
        graph.add("Reshape", graph.integers("all", [-1, C, *rest]))


def _spatial_response_norm(graph: Graph, layer: SpatialResponseNorm) -> None:
    alpha = layer.alpha * layer.size**2 / layer.divisor
    around = [layer.size // 2] * 2 + [(layer.size - 1) // 2] * 2
    _response_norm(graph, layer, alpha, [layer.size] * 2, around, across_channels=False)


def _response_norm(
    graph: Graph, layer: Any, alpha: float, window: list[int], around: list[int], *, across_channels: bool
) -> None:
    """Add ``x * (k + alpha * average of x**2)**-beta``."""
    x = graph.value
    graph.add("Mul", x)
    if across_channels:
        axis = graph.integers("axis", [1])
        graph.add("Unsqueeze", axis)  # (N, 1, C, ...), so that the window slides over channels
    graph.add("AveragePool", kernel_shape=window, pads=around, count_include_pad=1)
    if across_channels:
        graph.add("Squeeze", axis)
    graph.add("Mul", graph.number("alpha", alpha))
    graph.add("Add", graph.number("k", layer.k))
    graph.add("Pow", graph.number("power", -layer.beta))
    graph.add("Mul", x)


OPERATORS: dict[type[Any], Callable[[Graph, Any], None]] = {
    Conv2d: _conv, MaxPool2d: _max_pool, LocalResponseNorm: _local_response_norm, ReLU: _relu, Flatten: _flatten,
    Linear: _linear, Dropout: _dropout, AvgPool2d: _avg_pool, AdaptiveAvgPool2d: _adaptive_avg_pool,
    SpatialResponseNorm: _spatial_response_norm,
}  # fmt: skip
