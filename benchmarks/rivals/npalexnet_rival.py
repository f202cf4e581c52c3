"""AlexNet in npalexnet, ready to be timed."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, nullcontext
from functools import partial
from typing import Any

import numpy as np

import npalexnet as na
from benchmarks.clocks import cupy_clock
from benchmarks.precisions import FP32, Precision
from benchmarks.rivals.rival import OURS, LayerAdapter, Rival, sgd_adapter
from benchmarks.workload import SGD
from npalexnet.backend import Array, get_device


class NpalexnetRival(Rival):
    """npalexnet, in the dtype of its images.

    With `algorithm` its convolutions are held to it, "im2col" or "winograd"; without, they are what npalexnet's setting
    says, which is "auto" unless the environment says something else.
    """

    dtype = np.dtype("float32")

    def __init__(
        self,
        threads: int,
        classes: int,
        dropout: float,
        device: str = "cpu",
        state: Mapping[str, np.ndarray] | None = None,
        algorithm: str | None = None,
    ) -> None:
        self.name = OURS if device == "cpu" else f"{OURS}, GPU"
        self.algorithm = algorithm
        if algorithm:
            self.name = f"{self.name}, {algorithm}"
        self.use_threads(threads)
        self.device, self.state = get_device(device), state
        if device != "cpu":
            self.clock = cupy_clock(self.device.xp)
        self.model = na.AlexNet(num_classes=classes, dropout=dropout, seed=0, device=device, init="torch")
        self.criterion = na.CrossEntropyLoss()
        self.optimizer = na.SGD(self.model.parameters(), **SGD)
        self.free = partial(_free, self.device.xp)
        self.use(FP32)

    def use_threads(self, threads: int) -> None:
        na.set_num_threads(threads)
        self.threads = na.get_num_threads()

    def use(self, precision: Precision) -> None:
        na.set_float32_matmul_precision(precision.matmul)
        self.dtype = precision.dtype
        if self.state is not None:
            self.model.load_state_dict(self.state)

    def take(self, images: np.ndarray, labels: np.ndarray) -> None:
        self.images, self.labels = self.array(images), self.device.from_host(labels)

    def array(self, host: np.ndarray) -> Array:
        return self.device.from_host(host).astype(self.dtype, copy=False)

    def product(self, left: Array, right: Array) -> Callable[[], object]:
        out = self.device.xp.zeros((left.shape[0], right.shape[1]), self.dtype)
        return lambda: self.device.matmul(left, right, out=out)

    def upload(self, images: np.ndarray, labels: np.ndarray) -> tuple[Array, Array]:
        return self.device.from_host(images), self.device.from_host(labels)

    def numbers(self, array: Array) -> np.ndarray:
        return self.device.to_host(array).astype("float32", copy=False)

    def convolving(self) -> AbstractContextManager[None]:
        """Context of every forward pass; backward uses the algorithm of its forward."""
        return na.convolution_algorithm(self.algorithm) if self.algorithm else nullcontext()

    def infer(self) -> Array:
        with self.convolving():
            return self.model(self.images)

    def backward(self) -> Array:
        self.optimizer.zero_grad()
        with self.convolving():
            loss = self.criterion(self.model(self.images), self.labels)
        self.model.backward(self.criterion.backward(), input_gradient=False)
        return loss

    def squared_gradients(self) -> Iterator[float]:
        gradients = (p.grad for p in self.model.parameters() if p.grad is not None)
        return (float((gradient.astype("float64") ** 2).sum()) for gradient in gradients)

    def flags(self) -> str:
        from npalexnet.backend.cuda.device import CudaDevice
        from npalexnet.backend.cuda.launcher import cuda_kernels_enabled

        products = ""
        if isinstance(self.device, CudaDevice):
            kinds = [f"{'cuBLAS' if c else 'CuPy'} ({kind})" for kind, c in self.device.products_by_cublas().items()]
            products = f", products by {', '.join(kinds) or 'nobody yet'}"
        return (
            f"float32 matmul precision {na.get_float32_matmul_precision()!r}, images in {self.dtype.name}, parameters "
            f"in {self.model.dtype}, kernels {'on' if cuda_kernels_enabled() else 'off'}{products}"
        )

    def synchronize(self) -> None:
        self.device.synchronize()

    def peak_memory(self) -> dict[str, int]:
        """Return what CuPy's pool holds after a step (it only grows), and the most that arrays had of it."""
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

    def capture(self) -> Callable[[], Array]:
        graphed = na.make_graphed_callable(self.model.eval(), self.images)
        if self.device.name.startswith("cuda") and not graphed.captured:
            raise RuntimeError("no CUDA graph was captured; the log says why")
        return lambda: graphed(self.images)

    def times_alone(self, kind: str) -> bool:
        """Held to an algorithm, it differs in convolutions alone."""
        return self.algorithm is None or kind == "conv"

    def layer(self, number: int, x: np.ndarray, grad_y: np.ndarray, input_gradient: bool) -> LayerAdapter:
        layer = [*self.model.train().layers, *self.model.classifier][number]
        return _Adapter(self, layer, self.array(x), self.array(grad_y), input_gradient)

    def loss(self, logits: np.ndarray, labels: np.ndarray) -> LayerAdapter:
        loss = _Loss(self.device.from_host(labels))
        return _Adapter(self, loss, self.array(logits), np.float32(1), input_gradient=True)

    def update(self, gradients: list[np.ndarray]) -> LayerAdapter:
        parameters = [na.Parameter(parameter.data.copy()) for parameter in self.model.parameters()]
        for parameter, gradient in zip(parameters, gradients, strict=True):
            parameter.grad = self.device.from_host(gradient)
        return sgd_adapter(na.SGD(parameters, **SGD).step, lambda: [self.numbers(p.data) for p in parameters])


class _Adapter:
    """A layer with its input and its output's gradient."""

    def __init__(self, rival: NpalexnetRival, layer: na.Layer, x: Array, grad_y: Any, input_gradient: bool) -> None:
        self.rival, self.layer, self.input_gradient = rival, layer, input_gradient
        self.x, self.grad_y = x, grad_y
        self.y = self.grad_x = None

    def forward(self) -> None:
        with self.rival.convolving():
            self.y = self.layer(self.x)

    def backward(self) -> None:
        self.grad_x = self.layer.backward(self.grad_y, input_gradient=self.input_gradient)

    def forget(self) -> None:
        self.y = self.grad_x = None
        self.layer.to(self.rival.device.name)  # where it is: that forgets what backward would need
        self.layer.zero_grad()

    def found(self) -> list[np.ndarray]:
        gradients = [self.grad_x, *(parameter.grad for parameter in self.layer.parameters())]
        return [self.rival.numbers(array) for array in (self.y, *gradients) if array is not None]


class _Loss(na.Layer):
    """CrossEntropyLoss with its labels, to be called as a layer: (N, K) -> a scalar."""

    def __init__(self, labels: Array) -> None:
        self.criterion, self.labels = na.CrossEntropyLoss(), labels

    def forward(self, x: Array) -> Array:
        return self.criterion(x, self.labels)

    def backward(self, grad_y: Any, *, input_gradient: bool = True) -> Array:
        return self.criterion.backward(grad_y)


def _free(xp: Any) -> None:
    if hasattr(xp, "get_default_memory_pool"):
        xp.get_default_memory_pool().free_all_blocks()
