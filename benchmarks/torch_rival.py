"""AlexNet in torch's eager mode, ready to be timed. It imports torch, and not npalexnet."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from contextlib import AbstractContextManager, nullcontext
from math import sqrt
from typing import Any

import numpy as np
import torch

from benchmarks.torch_twin import torch_alexnet
from benchmarks.workload import SGD


def sgd(parameters: Iterable[torch.Tensor]) -> torch.optim.SGD:
    """Return torch's fastest SGD: fused goes through each parameter once, the default several times."""
    return torch.optim.SGD(parameters, **SGD, fused=True)


class TorchRival:
    """torch, see `Trainer`.

    Parameters
    ----------
    threads, classes : int
        How many.
    dropout : float
        In the training step.
    channels_last : bool
        Whether weights and images are laid out so in memory; torch's default is channels first.
    state : mapping of str to ndarray, optional
        The parameters to begin with; by default torch draws its own.
    device : str
        Where it computes. On a GPU in strict float32, and cuDNN looks for its fastest convolutions.

    Attributes
    ----------
    dtype : torch.dtype
        Of the images on the device.
    computing : context manager
        Around every forward pass with its loss: autocast, or nothing.
    """

    dtype = torch.float32
    computing: AbstractContextManager[Any] = nullcontext()

    def __init__(
        self,
        threads: int,
        classes: int,
        dropout: float,
        channels_last: bool = False,
        state: Mapping[str, np.ndarray] | None = None,
        device: str = "cpu",
    ) -> None:
        self.name = "torch, channels_last" if channels_last else "torch"
        self.device = torch.device(device)
        if device != "cpu":
            self.name = f"{self.name}, GPU"
            torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = False
            torch.backends.cudnn.benchmark = True
        self.use_threads(threads)
        self.layout = torch.channels_last if channels_last else torch.contiguous_format
        with torch.device("cpu" if state is None else "meta"):  # with `state`, no weights of its own
            self.model = torch_alexnet(torch.nn, classes, dropout)
        if state is not None:
            # A copy: torch takes NumPy's memory over, and the optimizers of both would write into it.
            copies = {name: torch.from_numpy(value.copy()) for name, value in state.items()}
            self.model.load_state_dict(copies, assign=True)
        self.model.to(device=self.device, memory_format=self.layout).requires_grad_(True)
        self.criterion = torch.nn.CrossEntropyLoss()
        self.optimizer = sgd(self.model.parameters())

    def use_threads(self, threads: int) -> None:
        """Use so many threads from now on."""
        torch.set_num_threads(threads)
        self.threads = torch.get_num_threads()

    def take(self, images: np.ndarray, labels: np.ndarray) -> None:
        """Work on this batch from now on."""
        self.images = torch.from_numpy(images).to(self.device).to(self.dtype).contiguous(memory_format=self.layout)
        self.labels = torch.from_numpy(labels).to(self.device)

    def forward(self) -> torch.Tensor:
        """Compute the logits in eval mode."""
        self.model.eval()
        return self.infer()

    def infer(self) -> torch.Tensor:
        """Do the same, in the mode that the model is in."""
        with torch.inference_mode(), self.computing:
            return self.model(self.images)

    def logits(self) -> np.ndarray:
        """Return what `forward` computes."""
        return self.forward().float().cpu().numpy()

    def step(self) -> None:
        """Train on the batch once."""
        self.model.train()
        self._backward()
        self.optimizer.step()

    def first_pass(self) -> tuple[float, float]:
        """Return the loss and the norm of all parameters' gradients, without dropout."""
        self.model.eval()
        loss = float(self._backward().detach())
        norm = sqrt(sum(float((parameter.grad.double() ** 2).sum()) for parameter in self.model.parameters()))
        self.optimizer.zero_grad()
        return loss, norm

    def synchronize(self) -> None:
        """Wait until the device is done."""
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)

    def _backward(self) -> torch.Tensor:
        self.optimizer.zero_grad()
        with self.computing:
            loss = self.criterion(self.model(self.images), self.labels)
        loss.backward()
        return loss
