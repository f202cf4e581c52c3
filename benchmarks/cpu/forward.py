"""How long does AlexNet's forward pass take, beside torch and ONNX Runtime, and beside its matrix products alone?

In eval mode, keeping nothing for a backward. Before anything is timed, the logits must agree.
"""

from __future__ import annotations

import argparse
from functools import partial
from typing import Any

from benchmarks.cpu import network
from benchmarks.rivals import lineup
from benchmarks.rounds import Say

BATCH_SIZES, ROUNDS = [1, 8, 32, 128], 7
TITLE = "AlexNet, forward pass in eval mode"


def run(arguments: argparse.Namespace, say: Say) -> dict[str, Any]:
    ours, others = lineup.on_cpu(arguments, say)
    more = [*lineup.compiled(arguments, ours, ["forward"], say), *lineup.onnx_runtime(ours, say)]
    rivals = [ours, lineup.held_to_im2col(arguments, ours), *others, *more]
    return network.compare("forward", rivals, arguments, say)


show, chart = network.show, partial(network.chart, TITLE)
