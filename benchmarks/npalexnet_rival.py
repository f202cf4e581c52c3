"""AlexNet in npalexnet, ready to be timed."""

from __future__ import annotations

from math import sqrt

import numpy as np

import npalexnet as na
from benchmarks.workload import SGD
from npalexnet.backend import Array, get_device


class NpalexnetRival:
    """npalexnet, see `Trainer`.

    Parameters
    ----------
    threads, classes : int
        How many.
    dropout : float
        In the training step.
    device : str
        Where it computes.

    Attributes
    ----------
    dtype : dtype
        Of the images on the device: what the network computes in.
    """

    name = "npalexnet"
    dtype = np.dtype("float32")

    def __init__(self, threads: int, classes: int, dropout: float, device: str = "cpu") -> None:
        self.use_threads(threads)
        self.device = get_device(device)
        if device != "cpu":
            self.name = f"{self.name}, GPU"
        self.model = na.AlexNet(num_classes=classes, dropout=dropout, seed=0, device=device)
        self.criterion = na.CrossEntropyLoss()
        self.optimizer = na.SGD(self.model.parameters(), **SGD)

    def use_threads(self, threads: int) -> None:
        """Use so many threads from now on."""
        na.set_num_threads(threads)
        self.threads = na.get_num_threads()

    def take(self, images: np.ndarray, labels: np.ndarray) -> None:
        """Work on this batch from now on."""
        self.images, self.labels = self.device.from_host(images), self.device.from_host(labels)
        if self.dtype != self.images.dtype:
            self.images = self.images.astype(self.dtype)

    def forward(self) -> Array:
        """Compute the logits in eval mode."""
        return self.model.eval()(self.images)

    def logits(self) -> np.ndarray:
        """Return what `forward` computes."""
        return self.device.to_host(self.forward()).astype("float32", copy=False)

    def step(self) -> None:
        """Train on the batch once."""
        self.model.train()
        self._backward()
        self.optimizer.step()

    def first_pass(self) -> tuple[float, float]:
        """Return the loss and the norm of all parameters' gradients, without dropout."""
        self.model.eval()
        loss = float(self._backward())
        gradients = [p.grad.astype("float64") for p in self.model.parameters() if p.grad is not None]
        self.optimizer.zero_grad()
        return loss, sqrt(sum(float((gradient**2).sum()) for gradient in gradients))

    def synchronize(self) -> None:
        """Wait until the device is done."""
        self.device.synchronize()

    def _backward(self) -> Array:
        self.optimizer.zero_grad()
        loss = self.criterion(self.model(self.images), self.labels)
        # Without the gradient of the images: torch does not compute that of its inputs either.
        self.model.backward(self.criterion.backward(), input_gradient=False)
        return loss
