"""AlexNet in ONNX Runtime, ready to be timed: forward alone."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
import onnx
import onnxruntime
from onnx import helper, numpy_helper

import npalexnet as na
from benchmarks.clocks import HostClock
from benchmarks.workload import IMAGE_SIZE
from npalexnet.layers.sequential import Sequential

OPSET, IR_VERSION = 17, 8  # from 2022: every ONNX Runtime that is asked for in pyproject.toml reads them


class OnnxRival:
    """ONNX Runtime's CPU kernels, with all of its graph optimisations.

    Parameters
    ----------
    threads : int
        How many.
    model : AlexNet
        Whose layers and weights the graph has.
    """

    name = "ONNX Runtime"
    clock = HostClock()
    tasks = ("forward",)

    def __init__(self, threads: int, model: na.AlexNet) -> None:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads, options.inter_op_num_threads = threads, 1
        # Its idle threads spin while it runs, which is fast, and stop when it is done: others have their turn then.
        options.add_session_config_entry("session.intra_op.allow_spinning", "1")
        options.add_session_config_entry("session.force_spinning_stop", "1")
        graph = onnx_alexnet(model).SerializeToString()
        self.session = onnxruntime.InferenceSession(graph, options, providers=["CPUExecutionProvider"])
        self.threads = self.session.get_session_options().intra_op_num_threads

    def take(self, images: np.ndarray, labels: np.ndarray) -> None:
        self.images = images

    def runner(self, task: str) -> Callable[[], np.ndarray]:
        """Return the forward pass: there is no other task."""
        return self.logits

    def logits(self) -> np.ndarray:
        (logits,) = self.session.run(None, {"images": self.images})
        return logits


def onnx_alexnet(model: na.AlexNet) -> onnx.ModelProto:
    """Return the same network as an ONNX model, "images" of (N, 3, 227, 227) -> "logits" of (N, classes)."""
    nodes = list(_nodes(model))
    nodes[-1].output[0] = "logits"
    classes = model.output_shape((1, 3, IMAGE_SIZE, IMAGE_SIZE))[1]
    images = helper.make_tensor_value_info("images", onnx.TensorProto.FLOAT, ("N", 3, IMAGE_SIZE, IMAGE_SIZE))
    logits = helper.make_tensor_value_info("logits", onnx.TensorProto.FLOAT, ("N", classes))
    weights = [numpy_helper.from_array(value, name) for name, value in model.state_dict().items()]
    graph = helper.make_graph(nodes, "AlexNet", [images], [logits], weights)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=IR_VERSION)


def _nodes(model: na.AlexNet) -> Iterator[onnx.NodeProto]:
    parts: dict[str, Sequential] = {"layers": model.layers, "classifier": model.classifier}
    previous = "images"
    for part, layers in parts.items():
        for name, layer in layers.named_children():
            name = f"{part}.{name}"
            parameters = [f"{name}.{parameter}" for parameter, _ in layer.named_parameters()]
            match layer:
                case na.Conv2d():
                    pads = (*layer.padding, *layer.padding)  # above, left, below, right
                    yield helper.make_node("Conv", [previous, *parameters], [name], strides=layer.stride, pads=pads)
                case na.MaxPool2d():
                    window, strides = layer.kernel_size, layer.stride
                    yield helper.make_node("MaxPool", [previous], [name], kernel_shape=window, strides=strides)
                case na.ReLU():
                    yield helper.make_node("Relu", [previous], [name])
                case na.Flatten():
                    yield helper.make_node("Flatten", [previous], [name])
                case na.Linear():
                    yield helper.make_node("Gemm", [previous, *parameters], [name], transB=1)
                case na.Dropout():
                    continue  # in eval mode there is nothing to do
                case _:
                    raise TypeError(f"no node of ONNX is known for {layer!r}")
            previous = name
