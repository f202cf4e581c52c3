"""A graph of ONNX: operators in a row, and the arrays that they use."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import count
from typing import Any

import numpy as np

from npalexnet.formats.torch_file_writer import little_endian_bytes
from npalexnet.layers.parameter import Shape


class Graph:
    """The operators so far, each of which takes the output of the one before it.

    Parameters
    ----------
    images : str
        Name of the input.
    shape : tuple of int
        The shape of a batch of one.
    dtype : dtype
        What is computed in: float32 or float64. Weights of another dtype are kept in it, and cast.
    weights : mapping
        From names to arrays.
    reserved : sequence of str
        Further names that no value may get.
    """

    def __init__(
        self,
        images: str,
        shape: Shape,
        dtype: np.dtype,
        weights: Mapping[str, np.ndarray],
        reserved: Sequence[str] = (),
    ) -> None:
        self.nodes: list[Any] = []  # onnx.NodeProto
        self.initializers: list[Any] = []  # onnx.TensorProto
        self.value, self.shape, self.dtype = images, shape, dtype
        self._weights = weights
        self._layer = self._prefix = ""  # name of the layer whose operators are added, and how its weights' names begin
        self._names = {images, *weights, *reserved}

    def begin_layer(self, name: str, kind: str) -> None:
        """Begin with the operators of a layer: its name in the network, or its kind if that is all there is."""
        self._layer, self._prefix = (name, f"{name}.") if name else (kind, "")

    def add(self, operator: str, *inputs: str, before: tuple[str, ...] = (), **attributes: Any) -> None:
        """Add an operator; its inputs are those `before`, the value so far, and further ones."""
        from onnx import helper

        output = self._unused(operator)
        inputs = (*before, self.value, *inputs)
        self.nodes.append(helper.make_node(operator, inputs, [output], name=output, **attributes))
        self.value = output

    def number(self, what: str, value: Any) -> str:
        """Add a number, or an array of numbers, of the dtype that is computed in; returns its name."""
        return self._constant(what, np.asarray(value, self.dtype))

    def integers(self, what: str, values: Sequence[int]) -> str:
        """Add a list of integers; returns its name."""
        return self._constant(what, np.array(values, np.int64))

    def _constant(self, what: str, array: np.ndarray) -> str:
        """Add a constant as an operator: the initializers are the network's parameters, and nothing else."""
        from onnx import helper

        name = self._unused(what)
        self.nodes.append(helper.make_node("Constant", [], [name], name=name, value=_tensor(name, array)))
        return name

    def _unused(self, what: str) -> str:
        """Return a name in the layer that nothing has."""
        names = (f"{self._layer}.{what}{number or ''}" for number in count())
        name = next(name for name in names if name not in self._names)
        self._names.add(name)
        return name

    def weight(self, name: str, *, transposed: bool = False) -> str:
        """Add a parameter of the layer; returns the name of what is computed with."""
        from onnx import helper

        full = self._prefix + name
        array = self._weights[full]
        value = full
        self.initializers.append(_tensor(full, array))
        steps = []
        if array.dtype != self.dtype:
            steps.append(("Cast", {"to": helper.np_dtype_to_tensor_dtype(self.dtype)}))
        if transposed:
            steps.append(("Transpose", {"perm": (1, 0)}))
        for operator, attributes in steps:
            output = self._unused(f"{name}.{operator}")
            self.nodes.append(helper.make_node(operator, [value], [output], name=output, **attributes))
            value = output
        return value


def _tensor(name: str, array: np.ndarray) -> Any:
    """Return an array as an onnx.TensorProto."""
    from onnx import TensorProto, helper

    types = {"float16": TensorProto.FLOAT16, "bfloat16": TensorProto.BFLOAT16, "float32": TensorProto.FLOAT,
             "float64": TensorProto.DOUBLE, "int64": TensorProto.INT64}  # fmt: skip
    return helper.make_tensor(
        name, types[array.dtype.name], array.shape, little_endian_bytes(array).tobytes(), raw=True
    )
