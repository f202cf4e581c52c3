"""torch in the GPU questions: a precision, a clock, its memory, and its CUDA graph. It imports torch."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import nullcontext

import numpy as np
import torch

from benchmarks.clocks import Clock, HostClock, torch_clock
from benchmarks.precisions import FP32, Precision
from benchmarks.torch_rival import TorchRival


class PreciseTorch(TorchRival):
    """torch, see `gpu_rivals.Precise`; the parameters are those of `TorchRival`, `state` with values."""

    def __init__(
        self,
        threads: int,
        classes: int,
        dropout: float,
        channels_last: bool,
        state: Mapping[str, np.ndarray],
        device: str,
    ) -> None:
        super().__init__(threads, classes, dropout, channels_last, state, device)
        self.state = {name: torch.from_numpy(value.copy()) for name, value in state.items()}
        self.clock: Clock = HostClock() if device == "cpu" else torch_clock(torch, self.device)
        self.use(FP32)

    def use(self, precision: Precision) -> None:
        """Compute so from now on, from the initial parameters.

        With bfloat16, what autocast would do to the images in each pass is done before: npalexnet gets such, too.
        """
        torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = precision.matmul == "high"
        self.dtype = getattr(torch, precision.dtype_name)
        half = self.dtype is not torch.float32
        self.computing = torch.autocast(self.device.type, dtype=self.dtype) if half else nullcontext()
        self.model.load_state_dict(self.state)

    def upload(self, images: np.ndarray, labels: np.ndarray) -> object:
        """Copy a batch to the device."""
        return torch.from_numpy(images).to(self.device), torch.from_numpy(labels).to(self.device)

    def runner(self, task: str) -> Callable[[], object]:
        """Return what a task does again and again; the model is in its mode already."""
        if task == "forward":
            self.model.eval()
            return self.infer
        self.model.train()

        def step() -> None:
            self._backward()
            self.optimizer.step()

        return step

    def numbers(self, logits: torch.Tensor) -> np.ndarray:
        """Return logits as float32 on the host."""
        return logits.float().cpu().numpy()

    def flags(self) -> str:
        """Return what the numbers depend on, as the library says it."""
        matmul, cudnn = torch.backends.cuda.matmul, torch.backends.cudnn
        autocast = "off" if self.dtype is torch.float32 else f"to {self.dtype}"
        return (
            f"eager, matmul.allow_tf32 {matmul.allow_tf32}, cudnn.allow_tf32 {cudnn.allow_tf32}, cudnn.benchmark "
            f"{cudnn.benchmark}, cudnn.deterministic {cudnn.deterministic}, bf16 reduced-precision reduction "
            f"{matmul.allow_bf16_reduced_precision_reduction}, autocast {autocast}, images in {self.dtype}, fused SGD, "
            f"CUDA {torch.version.cuda}, cuDNN {cudnn.version()}"
        )

    def free(self) -> None:
        """Give back to the device what is not in use."""
        torch.cuda.empty_cache()

    def peak_memory(self) -> dict[str, int]:
        """Return the most bytes that torch's allocator held during a step, and the most that tensors had of it."""
        step = self.runner("step")
        step()  # what the first one alone does: cuDNN tries its algorithms, the optimizer makes its tensors
        self.synchronize()
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats(self.device)
        step()
        self.synchronize()
        return {
            "reserved": torch.cuda.max_memory_reserved(self.device),
            "allocated": torch.cuda.max_memory_allocated(self.device),
        }


def torch_graph(rival: PreciseTorch) -> Callable[[], torch.Tensor]:
    """Capture the forward pass, and return what replays it, with the images copied to where the graph reads them."""
    images, static = rival.images, rival.images.clone(memory_format=torch.preserve_format)
    forward = rival.runner("forward")
    graph, aside = torch.cuda.CUDAGraph(), torch.cuda.Stream()
    rival.images = static
    try:
        aside.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(aside):
            for _ in range(3):  # libraries choose their algorithms, and make what they keep
                forward()
        torch.cuda.current_stream().wait_stream(aside)
        with torch.cuda.graph(graph):
            logits = forward()
    finally:
        rival.images = images

    def replay() -> torch.Tensor:
        static.copy_(images)
        graph.replay()
        return logits

    return replay
