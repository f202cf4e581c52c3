"""AlexNet in ONNX Runtime, ready to be timed: forward alone."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import onnxruntime

import npalexnet as na
from benchmarks.clocks import HostClock
from benchmarks.workload import IMAGE_SIZE
from npalexnet.formats.onnx_writer import onnx_model


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
        graph = onnx_model(model, model.state_dict(), (3, IMAGE_SIZE, IMAGE_SIZE), {}).SerializeToString()
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
