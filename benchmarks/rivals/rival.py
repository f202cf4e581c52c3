"""What a rival is: AlexNet in one library, on one device. It imports none of the libraries."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Sequence
from math import sqrt
from types import SimpleNamespace
from typing import Any, Protocol

import numpy as np

from benchmarks.clocks import Clock, HostClock
from benchmarks.precisions import Precision

OURS, HELD = "npalexnet", "npalexnet, im2col"  # as it comes, and held to im2col
TASKS = ("forward", "step")
GRAPH = "graph"


class LayerAdapter(Protocol):
    """One rival's layer with its input and its output's gradient, ready to be timed."""

    def forward(self) -> object:
        """Compute the output and keep what backward needs."""

    def backward(self) -> object:
        """Compute the gradients of the last forward."""

    def forget(self) -> None:
        """Free what the last forward and backward left."""

    def found(self) -> list[np.ndarray]:
        """Return the output and all gradients, after a forward and a backward."""


def sgd_adapter(step: Callable[[], object], values: Callable[[], list[np.ndarray]]) -> LayerAdapter:
    """Return the adapter of a step of SGD, a forward with no backward; `values` returns what it changes."""
    return SimpleNamespace(forward=step, backward=lambda: None, forget=lambda: None, found=values)


class Rival(ABC):
    """AlexNet in one library, on one device: what all libraries have in common.

    All take the number of `threads` and `classes`, the `dropout` of the training step, the `device`, and `state`: the
    parameters that each precision begins with. Without `state` the library draws its own.

    Every rival has `name` (as in the tables), `threads` (how many it uses, as it says itself), `clock` (its device's),
    `tasks`, and the methods ``take(images, labels)``, to work on a batch from now on, `runner` and `logits`. One that
    trains has ``use_threads(threads)``, too. For layers alone:

    - ``layer(number, x, grad_y, input_gradient)``: the `LayerAdapter` of a layer, in training mode; `number` counts
      through both parts of the network.
    - ``loss(logits, labels)`` and ``update(gradients)``: those of the loss, and of SGD over copies of all parameters.

    On a GPU, besides:

    - ``use(precision)``: compute in it from now on, from the initial parameters where some were given.
    - ``array(host)``: copy an array to the device, in that precision's dtype and the library's layout.
    - ``product(left, right)``: what multiplies two such matrices again and again.
    - ``upload(images, labels)``: copy a batch to the device; ``synchronize()``: wait until the device is done.
    - ``flags()``: what the numbers depend on, as the library says it.
    - ``free()``: give back to the device what is not in use. (It does not keep the rival alive.)
    - ``peak_memory()``: the most bytes of a step, ``reserved`` from the device, and ``allocated`` of these.
    - ``capture()``: the forward pass as a CUDA graph, with the images copied to where it reads them.
    """

    name: str
    threads: int
    model: Any
    optimizer: Any
    clock: Clock = HostClock()
    tasks: Sequence[str] = TASKS
    free: Callable[[], None]

    @abstractmethod
    def infer(self) -> Any:
        """Compute the logits, keeping nothing for a backward."""

    @abstractmethod
    def backward(self) -> Any:
        """Zero the gradients, compute those of all parameters but not of the images, and return the loss."""

    @abstractmethod
    def squared_gradients(self) -> Iterator[float]:
        """Yield each gradient's sum of squares, in float64."""

    @abstractmethod
    def numbers(self, array: Any) -> np.ndarray:
        """Return an array as float32 on the host."""

    def times_alone(self, kind: str) -> bool:
        """Whether layers of this kind, such as "conv", are to be timed alone in this library."""
        return True

    def runner(self, task: str) -> Callable[[], Any]:
        """Return what a task does again and again; the model is in its mode already."""
        if task == "forward":
            self.model.eval()
            return self.infer
        self.model.train()
        return self._step

    def _step(self) -> None:
        self.backward()
        self.optimizer.step()

    def logits(self) -> np.ndarray:
        """Return what the forward pass computes, as float32 on the host."""
        return self.numbers(self.runner("forward")())

    def first_pass(self) -> tuple[float, float]:
        """Return the loss and the norm of all parameters' gradients, without dropout."""
        self.model.eval()
        loss = float(self.numbers(self.backward()))
        norm = sqrt(sum(self.squared_gradients()))
        self.optimizer.zero_grad()
        return loss, norm


class Graphed:
    """The forward pass of a rival as a CUDA graph: launched as a whole, without Python between its kernels.

    It uses the model and the batch of that rival: its `take` comes after the rival's own.
    """

    tasks = TASKS[:1]

    def __init__(self, rival: Any) -> None:
        self.name, self.clock, self.threads = f"{rival.name}, {GRAPH}", rival.clock, rival.threads
        self.rival = rival
        self.replay: Callable[[], Any] | None = None
        self.synchronize, self.free = rival.synchronize, rival.free

    def use(self, precision: Precision) -> None:
        """Forget the graph: the rival has other parameters and another precision from now on."""
        self.replay = None

    def take(self, images: np.ndarray, labels: np.ndarray) -> None:
        """Capture the rival's pass over its batch."""
        self.replay = None
        self.replay = self.rival.capture()

    def runner(self, task: str) -> Callable[[], Any]:
        """Return the replay, for "forward" alone."""
        if task != "forward" or self.replay is None:
            raise RuntimeError(f"there is no graph of {task!r}")
        return self.replay

    def logits(self) -> np.ndarray:
        """Return what the replay computes."""
        return self.rival.numbers(self.runner("forward")())


def is_ours(name: str) -> bool:
    """Whether a rival's name is one of npalexnet's."""
    return name.startswith(OURS)


def flags_of(rivals: Iterable[Any]) -> list[str]:
    """Return a line on each library."""
    flags: dict[str, str] = {}
    for rival in rivals:
        if not isinstance(rival, Graphed):
            flags.setdefault(rival.flags(), rival.name)  # torch's are the same in both layouts
    return [f"{name}: {line}" for line, name in flags.items()]


def first_results(rival: Any, tasks: Sequence[str]) -> dict[str, Any]:
    """Return what rivals must agree on before these tasks are timed."""
    found = {"logits": rival.logits()} if "forward" in tasks else {}
    if "step" in tasks:
        found["loss"], found["norm of the gradients"] = rival.first_pass()
    return found
