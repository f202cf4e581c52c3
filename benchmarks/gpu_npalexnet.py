"""npalexnet in the GPU questions: a precision, a clock, its memory, and its CUDA graph."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

import npalexnet as na
from benchmarks.clocks import Clock, HostClock, cupy_clock
from benchmarks.npalexnet_rival import NpalexnetRival
from benchmarks.precisions import FP32, Precision
from npalexnet.backend import Array
from npalexnet.backend.cuda.device import CudaDevice
from npalexnet.backend.cuda.launcher import cuda_kernels_enabled


class PreciseNpalexnet(NpalexnetRival):
    """npalexnet, see `gpu_rivals.Precise`.

    Parameters
    ----------
    threads, classes : int
        How many.
    dropout : float
        In the training step.
    state : mapping of str to ndarray
        The parameters that each precision begins with.
    device : str
        Where it computes.
    """

    def __init__(
        self, threads: int, classes: int, dropout: float, state: Mapping[str, np.ndarray], device: str
    ) -> None:
        super().__init__(threads, classes, dropout, device)
        self.state = state
        self.clock: Clock = HostClock() if device == "cpu" else cupy_clock(self.device.xp)
        self.use(FP32)

    def use(self, precision: Precision) -> None:
        """Compute so from now on, from the initial parameters."""
        na.set_float32_matmul_precision(precision.matmul)
        self.dtype = precision.dtype
        self.model.load_state_dict(self.state)

    def upload(self, images: np.ndarray, labels: np.ndarray) -> object:
        """Copy a batch to the device."""
        return self.device.from_host(images), self.device.from_host(labels)

    def runner(self, task: str) -> Callable[[], object]:
        """Return what a task does again and again; the model is in its mode already."""
        if task == "forward":
            model = self.model.eval()
            return lambda: model(self.images)
        self.model.train()

        def step() -> None:
            self._backward()
            self.optimizer.step()

        return step

    def numbers(self, logits: Array) -> np.ndarray:
        """Return logits as float32 on the host."""
        return self.device.to_host(logits).astype("float32", copy=False)

    def flags(self) -> str:
        """Return what the numbers depend on, as the library says it."""
        return (
            f"float32 matmul precision {na.get_float32_matmul_precision()!r}, images in {self.dtype.name}, parameters "
            f"in {self.model.dtype}, kernels {'on' if cuda_kernels_enabled() else 'off'}{self._products()}"
        )

    def _products(self) -> str:
        """Who multiplied so far, on a GPU."""
        if not isinstance(self.device, CudaDevice):
            return ""
        kinds = self.device.products_by_cublas()
        return f", products by {', '.join(f'{who} ({kind})' for kind, who in _named(kinds)) or 'nobody yet'}"

    def free(self) -> None:
        """Give back to the device what is not in use."""
        if hasattr(self.device.xp, "get_default_memory_pool"):
            self.device.xp.get_default_memory_pool().free_all_blocks()

    def peak_memory(self) -> dict[str, int]:
        """Return the bytes that CuPy's pool holds after a step (it only grows), and the most that arrays had of it."""
        xp, step = self.device.xp, self.runner("step")
        pool = xp.get_default_memory_pool()

        class Watch(xp.cuda.MemoryHook):  # type: ignore[name-defined]
            name = "benchmarks"
            most = 0

            def malloc_postprocess(self, **given: Any) -> None:
                self.most = max(self.most, pool.used_bytes())

        step()  # what the first one alone does: kernels are compiled, the optimizer makes its arrays
        self.synchronize()
        pool.free_all_blocks()
        with Watch() as watch:
            step()
            self.synchronize()
        return {"reserved": pool.total_bytes(), "allocated": max(watch.most, pool.used_bytes())}


def _named(kinds: Mapping[str, bool]) -> list[tuple[str, str]]:
    return [(kind, "cuBLAS" if works else "CuPy") for kind, works in kinds.items()]


def npalexnet_graph(rival: PreciseNpalexnet) -> Callable[[], Array]:
    """Capture the forward pass, and return what replays it, with the images copied to where the graph reads them."""
    graphed = na.make_graphed_callable(rival.model.eval(), rival.images)
    if rival.device.name.startswith("cuda") and not graphed.captured:
        raise RuntimeError("no CUDA graph was captured; the log says why")
    return lambda: graphed(rival.images)
