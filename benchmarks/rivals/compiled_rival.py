"""AlexNet by torch.compile, ready to be timed: C++ that is generated and compiled on this machine."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import torch

from benchmarks.rivals.torch_rival import TorchRival

GRAPHS = 64  # compiled ones that are kept: by default eight, too few for many batch sizes


class CompiledRival(TorchRival):
    """The network through ``torch.compile``, in channels_last, with a graph of its own for each batch size.

    Loss and SGD are as in eager mode. Whatever is asked for is compiled before it is timed.
    """

    def __init__(
        self, threads: int, classes: int, dropout: float, state: Mapping[str, np.ndarray] | None = None
    ) -> None:
        super().__init__(threads, classes, dropout, True, "cpu", state)
        self.name = "torch.compile"
        torch._dynamo.config.recompile_limit = GRAPHS
        model = self.model

        def call(images: torch.Tensor) -> torch.Tensor:
            return model(images)

        self.call = torch.compile(call, dynamic=False, fullgraph=True)  # an error rather than eager mode unnoticed

    def try_out(self, tasks: Sequence[str]) -> None:
        """Compute what is compared before the tasks, so that what fails does so here."""
        for task in tasks:
            if task == "forward":
                self.logits()
            else:
                self.first_pass()

    def runner(self, task: str) -> Callable[[], Any]:
        """Return what a task does again and again, compiled already."""
        run = super().runner(task)
        run()
        return run
