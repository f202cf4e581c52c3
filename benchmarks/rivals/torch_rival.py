"""AlexNet in torch's eager mode, ready to be timed. It imports torch, and not npalexnet."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import numpy as np
import torch

from benchmarks.clocks import torch_clock
from benchmarks.precisions import FP32, Precision
from benchmarks.rivals.rival import LayerAdapter, Rival, sgd_adapter
from benchmarks.rivals.torch_network import torch_alexnet
from benchmarks.workload import SGD


def sgd(parameters: Iterable[torch.Tensor]) -> torch.optim.SGD:
    """Return torch's fastest SGD: fused goes through each parameter once, the default several times."""
    return torch.optim.SGD(parameters, **SGD, fused=True)


class TorchRival(Rival):
    """torch, with weights and images in its default layout, channels first, or in channels last.

    On a GPU cuDNN looks for its fastest convolutions. `computing` is the context of every forward pass with its loss:
    autocast, or nothing.
    """

    dtype = torch.float32
    computing: AbstractContextManager[Any] = nullcontext()

    def __init__(
        self,
        threads: int,
        classes: int,
        dropout: float,
        channels_last: bool = False,
        device: str = "cpu",
        state: Mapping[str, np.ndarray] | None = None,
    ) -> None:
        self.name = "torch, channels_last" if channels_last else "torch"
        self.device, self.state = torch.device(device), state
        self.use_threads(threads)
        self.layout = torch.channels_last if channels_last else torch.contiguous_format
        with torch.device("cpu" if state is None else "meta"):  # with `state`, no weights of its own
            self.model = torch_alexnet(torch.nn, classes, dropout)
        if state is not None:
            # A copy: torch takes NumPy's memory over, and the optimizers of both would write into it.
            copies = {name: torch.from_numpy(value.copy()) for name, value in state.items()}
            self.model.load_state_dict(copies, assign=True)
        self.model.to(device=self.device, memory_format=self.layout).requires_grad_(True)
        self.call: Callable[[torch.Tensor], torch.Tensor] = self.model  # what computes the logits
        self.criterion = torch.nn.CrossEntropyLoss()
        self.optimizer = sgd(self.model.parameters())
        self.free = lambda: torch.cuda.empty_cache()
        if device != "cpu":
            self.name = f"{self.name}, GPU"
            self.clock = torch_clock(torch, self.device)
            torch.backends.cudnn.benchmark = True
            self.use(FP32)

    def use_threads(self, threads: int) -> None:
        torch.set_num_threads(threads)
        self.threads = torch.get_num_threads()

    def use(self, precision: Precision) -> None:
        """With bfloat16, what autocast would do to the images in each pass is done before: npalexnet gets such, too."""
        torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = precision.matmul == "high"
        self.dtype = getattr(torch, precision.dtype_name)
        half = self.dtype is not torch.float32
        self.computing = torch.autocast(self.device.type, dtype=self.dtype) if half else nullcontext()
        if self.state is not None:
            self.model.load_state_dict({name: torch.from_numpy(value) for name, value in self.state.items()})

    def take(self, images: np.ndarray, labels: np.ndarray) -> None:
        self.images, self.labels = self.array(images), torch.from_numpy(labels).to(self.device)

    def array(self, host: np.ndarray) -> torch.Tensor:
        there = torch.from_numpy(host).to(self.device).to(self.dtype)
        return there.contiguous(memory_format=self.layout) if there.ndim == 4 else there

    def product(self, left: torch.Tensor, right: torch.Tensor) -> Callable[[], object]:
        out = torch.zeros((left.shape[0], right.shape[1]), dtype=self.dtype, device=self.device)
        return lambda: torch.matmul(left, right, out=out)

    def upload(self, images: np.ndarray, labels: np.ndarray) -> tuple[torch.Tensor, torch.Tensor]:
        return torch.from_numpy(images).to(self.device), torch.from_numpy(labels).to(self.device)

    def numbers(self, array: torch.Tensor) -> np.ndarray:
        return array.detach().float().cpu().numpy()

    def infer(self) -> torch.Tensor:
        with torch.inference_mode(), self.computing:
            return self.call(self.images)

    def backward(self) -> torch.Tensor:
        self.optimizer.zero_grad()
        with self.computing:
            loss = self.criterion(self.call(self.images), self.labels)
        loss.backward()
        return loss

    def squared_gradients(self) -> Iterator[float]:
        return (float((parameter.grad.double() ** 2).sum()) for parameter in self.model.parameters())

    def flags(self) -> str:
        matmul, cudnn = torch.backends.cuda.matmul, torch.backends.cudnn
        autocast = "off" if self.dtype is torch.float32 else f"to {self.dtype}"
        return (
            f"eager, matmul.allow_tf32 {matmul.allow_tf32}, cudnn.allow_tf32 {cudnn.allow_tf32}, cudnn.benchmark "
            f"{cudnn.benchmark}, cudnn.deterministic {cudnn.deterministic}, bf16 reduced-precision reduction "
            f"{matmul.allow_bf16_reduced_precision_reduction}, autocast {autocast}, images in {self.dtype}, fused SGD, "
            f"CUDA {torch.version.cuda}, cuDNN {cudnn.version()}"
        )

    def synchronize(self) -> None:
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)

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

    def capture(self) -> Callable[[], torch.Tensor]:
        images, static = self.images, self.images.clone(memory_format=torch.preserve_format)
        forward = self.runner("forward")
        graph, aside = torch.cuda.CUDAGraph(), torch.cuda.Stream()
        self.images = static
        try:
            aside.wait_stream(torch.cuda.current_stream())
            with torch.cuda.stream(aside):
                for _ in range(3):  # libraries choose their algorithms, and make what they keep
                    forward()
            torch.cuda.current_stream().wait_stream(aside)
            with torch.cuda.graph(graph):
                logits = forward()
        finally:
            self.images = images

        def replay() -> torch.Tensor:
            static.copy_(images)
            graph.replay()
            return logits

        return replay

    def layer(self, number: int, x: np.ndarray, grad_y: np.ndarray, input_gradient: bool) -> LayerAdapter:
        layer = [*self.model.train().layers, *self.model.classifier][number]
        parameters = list(layer.parameters())
        return _Adapter(self, layer, parameters, self.array(x.copy()), self.array(grad_y.copy()), input_gradient)

    def loss(self, logits: np.ndarray, labels: np.ndarray) -> LayerAdapter:
        criterion, targets = torch.nn.CrossEntropyLoss(), torch.from_numpy(labels).to(self.device)
        one = torch.ones((), device=self.device)  # the loss is float32 in any precision
        return _Adapter(self, lambda x: criterion(x, targets), [], self.array(logits.copy()), one, True)

    def update(self, gradients: list[np.ndarray]) -> LayerAdapter:
        parameters = [parameter.detach().clone() for parameter in self.model.parameters()]
        for parameter, gradient in zip(parameters, gradients, strict=True):
            parameter.grad = torch.empty_like(parameter).copy_(torch.from_numpy(gradient))
        return sgd_adapter(sgd(parameters).step, lambda: [self.numbers(parameter) for parameter in parameters])


class _Adapter:
    """A layer with its input and its output's gradient."""

    def __init__(
        self,
        rival: TorchRival,
        layer: Callable[[torch.Tensor], torch.Tensor],
        parameters: list[torch.Tensor],
        x: torch.Tensor,
        grad_y: torch.Tensor,
        input_gradient: bool,
    ) -> None:
        self.rival, self.layer = rival, layer
        self.x, self.grad_y = x, grad_y
        self.x.requires_grad_(input_gradient)
        self.inputs = [self.x, *parameters] if input_gradient else parameters
        self.y: torch.Tensor | None = None
        self.gradients: tuple[torch.Tensor, ...] = ()

    def forward(self) -> None:
        with self.rival.computing:
            self.y = self.layer(self.x)

    def backward(self) -> None:
        self.gradients = torch.autograd.grad(self.y, self.inputs, self.grad_y)

    def forget(self) -> None:
        self.y, self.gradients = None, ()

    def found(self) -> list[np.ndarray]:
        return [self.rival.numbers(tensor) for tensor in (self.y, *self.gradients) if tensor is not None]
