"""How long does a training step of AlexNet take, beside torch, and beside its matrix products alone?

A step is: zero the gradients, forward with dropout, cross-entropy, backward to the first layer's parameters, and SGD
with momentum and weight decay. Before anything is timed, loss and gradients, without dropout, must agree.
"""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Any

from benchmarks import floor, network

if TYPE_CHECKING:
    from matplotlib.figure import Figure

BATCH_SIZES, ROUNDS = [32, 128], 7
TITLE = "AlexNet, one training step"


def run(arguments: argparse.Namespace, say: network.Say) -> dict[str, Any]:
    """Answer the question."""
    ours, others = network.trainers(arguments, say)

    def flops(images: int) -> int:
        return floor.step_flops(ours.model, images)

    return network.answer("step", [ours, *others], network.first_training_pass, flops, arguments, say)


def show(result: dict[str, Any]) -> str:
    """Return the table."""
    return network.show(TITLE, result)


def chart(result: dict[str, Any]) -> Figure:
    """Draw the bars."""
    return network.chart(TITLE, result)
