"""How long does AlexNet's forward pass take, beside torch and ONNX Runtime, and beside its matrix products alone?

In eval mode, keeping nothing for a backward. Before anything is timed, the logits must agree.
"""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Any

from benchmarks import floor, network

if TYPE_CHECKING:
    from matplotlib.figure import Figure

BATCH_SIZES, ROUNDS = [1, 8, 32, 128], 7
TITLE = "AlexNet, forward pass in eval mode"


def run(arguments: argparse.Namespace, say: network.Say) -> dict[str, Any]:
    """Answer the question."""
    ours, others = network.trainers(arguments, say)
    rivals = [ours, *others, *network.onnx_runtime(ours, say)]

    def flops(images: int) -> int:
        return floor.forward_flops(ours.model, images)

    return network.answer("forward", rivals, network.first_logits, flops, arguments, say)


def show(result: dict[str, Any]) -> str:
    """Return the table."""
    return network.show(TITLE, result)


def chart(result: dict[str, Any]) -> Figure:
    """Draw the bars."""
    return network.chart(TITLE, result)
