"""Who takes part in the GPU questions: npalexnet and torch on the first GPU, each as it is and as a CUDA graph."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, Protocol

import numpy as np

from benchmarks.clocks import Clock
from benchmarks.gpu_npalexnet import PreciseNpalexnet, npalexnet_graph
from benchmarks.npalexnet_rival import NpalexnetRival
from benchmarks.precisions import Precision
from npalexnet.backend.cuda.device import probe

TASKS = ("forward", "step")
GRAPH = "graph"
DEVICES = {"npalexnet": "cuda", "torch": "cuda"}
Say = Callable[[str], None]


class Precise(Protocol):
    """AlexNet in one library on one device, in a precision that can be chosen: a `Trainer` that has these, too."""

    name: str
    clock: Clock

    def use(self, precision: Precision) -> None:
        """Compute so from now on, from the initial parameters."""

    def upload(self, images: np.ndarray, labels: np.ndarray) -> object:
        """Copy a batch to the device."""

    def runner(self, task: str) -> Callable[[], object]:
        """Return what a task does again and again; the model is in its mode already."""

    def numbers(self, logits: Any) -> np.ndarray:
        """Return logits as float32 on the host."""

    def flags(self) -> str:
        """Return what the numbers depend on, as the library says it."""

    def free(self) -> None:
        """Give back to the device what is not in use."""

    def peak_memory(self) -> dict[str, int]:
        """Return the most bytes of a step: ``reserved`` from the device, and ``allocated`` of these."""


class Graphed:
    """The forward pass of a rival as a CUDA graph: launched as a whole, without Python between its kernels.

    Parameters
    ----------
    rival : Precise
        Whose model and batch it takes: `take` comes after the rival's own.
    capture : callable
        Maps the rival to a callable that replays its forward pass.
    """

    def __init__(self, rival: Any, capture: Callable[[Any], Callable[[], Any]]) -> None:
        self.name, self.clock, self.threads = f"{rival.name}, {GRAPH}", rival.clock, rival.threads
        self.rival, self.capture = rival, capture
        self.replay: Callable[[], Any] | None = None
        self.synchronize, self.free = rival.synchronize, rival.free

    def use(self, precision: Precision) -> None:
        """Forget the graph: the rival has other parameters and another precision from now on."""
        self.replay = None

    def take(self, images: np.ndarray, labels: np.ndarray) -> None:
        """Capture the rival's pass over its batch."""
        self.replay = None
        self.replay = self.capture(self.rival)

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
    return name.startswith(NpalexnetRival.name)


def tasks_of(rival: Any) -> tuple[str, ...]:
    """Return what a rival can do."""
    return TASKS[:1] if isinstance(rival, Graphed) else TASKS


def flags_of(rivals: list[Any]) -> list[str]:
    """Return a line on each library."""
    flags: dict[str, str] = {}
    for rival in rivals:
        if not isinstance(rival, Graphed):
            flags.setdefault(rival.flags(), rival.name)  # torch's are the same in both layouts
    return [f"{name}: {line}" for line, name in flags.items()]


def makers(
    arguments: argparse.Namespace, state: Mapping[str, np.ndarray], say: Say, devices: Mapping[str, str] | None = None
) -> list[Callable[[], Any]]:
    """Return what makes the rivals with the weights of `state`; where there is no GPU for a library, it is said.

    `devices`, by default the first GPU of each library, is where they compute.
    """
    places = devices or DEVICES
    rest = (arguments.threads, arguments.classes, arguments.dropout)
    found: list[Callable[[], Any]] = []
    if places["npalexnet"] == "cuda" and not probe().usable:
        say(f"no GPU for npalexnet: {probe().reason} (stage: {probe().stage})")
    else:
        found.append(partial(PreciseNpalexnet, *rest, state, places["npalexnet"]))
    try:
        import torch

        from benchmarks.gpu_torch import PreciseTorch
    except ImportError:
        return found
    if places["torch"] == "cuda" and not torch.cuda.is_available():
        say(f"no GPU for torch {torch.__version__}: it finds none that it can use")
        return found
    return [*found, *(partial(PreciseTorch, *rest, last, state, places["torch"]) for last in (False, True))]


def with_graphs(rivals: list[Any]) -> list[Any]:
    """Return the rivals, each followed by its graph."""
    both: list[Any] = []
    for rival in rivals:
        if isinstance(rival, PreciseNpalexnet):
            capture: Callable[[Any], Callable[[], Any]] = npalexnet_graph
        else:
            from benchmarks.gpu_torch import torch_graph as capture
        both += [rival, Graphed(rival, capture)]
    return both
