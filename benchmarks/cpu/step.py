"""How long does a training step of AlexNet take, beside torch, and beside its matrix products alone?

A step is: zero the gradients, forward with dropout, cross-entropy, backward to the first layer's parameters, and SGD
with momentum and weight decay. Before anything is timed, loss and gradients, without dropout, must agree.
"""

from __future__ import annotations

import argparse
from functools import partial
from typing import Any

from benchmarks.cpu import network
from benchmarks.rivals import lineup
from benchmarks.rounds import Say

BATCH_SIZES, ROUNDS = [32, 128], 7
TITLE = "AlexNet, one training step"


def run(arguments: argparse.Namespace, say: Say) -> dict[str, Any]:
    ours, others = lineup.on_cpu(arguments, say)
    rivals = [ours, lineup.held_to_im2col(arguments, ours), *others, *lineup.compiled(arguments, ours, ["step"], say)]
    return network.compare("step", rivals, arguments, say)


show, chart = network.show, partial(network.chart, TITLE)
