"""What layers and npalexnet's kernels move at the least, and how long the kernels take."""

from __future__ import annotations

import argparse
from functools import partial
from math import prod
from typing import Any

from benchmarks import rounds
from benchmarks.attempts import Attempts
from benchmarks.gpu.kernels import KernelCase, kernel_cases
from benchmarks.layer_cases import Case
from benchmarks.precisions import Precision
from benchmarks.rivals.npalexnet_rival import NpalexnetRival
from npalexnet.backend.device import NoKernels

PARAMETER = 4  # bytes: parameters and their gradients are float32 in any precision
Rows = list[dict[str, Any]]


def kernel_times(
    ours: NpalexnetRival, precision: Precision, images: int, arguments: argparse.Namespace, attempts: Attempts
) -> Rows:
    """Return the times of npalexnet's kernels, where the device has some."""
    if isinstance(ours.device.kernels, NoKernels):
        attempts.say(f"{ours.name} computes without kernels of its own")
        return []
    rows: Rows = []
    for case in kernel_cases(ours.model, ours.device, precision.dtype, images, arguments.classes):
        who = f"{case.kernel}, {case.what}"
        attempts.say(f"{precision.name}, {who}, batch of {images}")
        run = attempts.attempt(who, precision.name, images, partial(_make, case))
        if run is None:
            continue
        seconds = rounds.interleaved({who: ours.clock.cold(run, lambda: None)}, arguments)[who]
        found = rounds.summary(seconds)
        about = {"precision": precision.name, "batch": images, "kernel": case.kernel, "what": case.what}
        rate = {"bytes": case.nbytes, "bytes_per_second": case.nbytes / found["median"]}
        rows.append({**about, "shape": case.shape, **found, **rate})
    return rows


def _make(case: KernelCase) -> Any:
    """Return what is timed; refuse a kernel that does not do it."""
    run = case.make()
    if run() is None:
        raise NotImplementedError("there is no kernel for such arrays")
    return run


def least_bytes(case: Case, which: str, item: int) -> int:
    """Return what a pass must read and write at the least, each once, in bytes; `item` is the size of a number.

    With x numbers in, y out and p parameters (4 bytes each, and their gradients, too): forward reads x and p and writes
    y; backward reads y's gradient and writes x's. Besides, backward of a layer with parameters reads x and writes p's
    gradient, and reads p for x's gradient; that of ReLU reads y; that of max-pooling reads one byte for each maximum,
    which forward wrote. The loss reads the logits, forward and backward, and writes their gradient. SGD reads
    parameters, gradients and velocities, and writes the first and the last.
    """
    x, y, p = prod(case.input_shape), prod(case.output_shape), case.parameters
    if case.kind == "SGD step":
        return 5 * PARAMETER * p
    if case.kind == "loss":
        return item * x if which == "forward" else 2 * item * x
    argmax = y if case.kind == "pool" else 0
    if which == "forward":
        return item * (x + y) + PARAMETER * p + argmax
    gradient_of_x = item * x + PARAMETER * p if case.input_gradient else 0
    gradient_of_p = item * x + PARAMETER * p if p else 0
    return item * y + gradient_of_x + gradient_of_p + argmax + (item * y if case.kind == "relu" else 0)
