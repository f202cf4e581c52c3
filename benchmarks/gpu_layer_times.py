"""The measurements of the question `gpu-layers`: matrix products, layers, and npalexnet's kernels."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Mapping
from functools import partial
from math import prod
from typing import Any

import numpy as np

from benchmarks import gpu_ceilings, turns
from benchmarks.attempts import Attempts
from benchmarks.clocks import Clock
from benchmarks.gpu_npalexnet import PreciseNpalexnet
from benchmarks.gpu_primitives import primitives
from benchmarks.layer_cases import Case, layer_cases
from benchmarks.layer_sides import Library, Side
from benchmarks.npalexnet_layers import NpalexnetLayers
from benchmarks.precisions import Precision
from npalexnet.backend.device import NoKernels

PARAMETER = 4  # bytes: parameters and their gradients are float32 in any precision
Rows = list[dict[str, Any]]


def products(
    rivals: list[Any], precision: Precision, images: int, arguments: argparse.Namespace, attempts: Attempts
) -> Rows:
    """Return the rates of matrix products, by npalexnet and by torch's first rival."""
    return gpu_ceilings.product_rates(rivals[:2], precision, images, arguments, attempts)


def layers(
    rivals: list[Any], precision: Precision, images: int, arguments: argparse.Namespace, attempts: Attempts
) -> Rows:
    """Return the times of all layers of all rivals; npalexnet is the first."""
    libraries: list[Library] = [NpalexnetLayers(rivals[0])]
    if len(rivals) > 1:
        from benchmarks.torch_layers import TorchLayers

        libraries += [TorchLayers(rival) for rival in rivals[1:]]
    clocks: dict[str, Clock] = {rival.name: rival.clock for rival in rivals}
    rows: Rows = []
    for case in layer_cases(rivals[0].model, libraries, images, arguments.classes):
        attempts.say(f"{precision.name}, {case.name}, batch of {images}")
        contest = {
            (name, which): _turn(clocks[name], side, which)
            for name, side in _agreeing(case, precision, images, attempts).items()
            for which in case.flops
        }
        times = turns.take_turns(contest, arguments.rounds, arguments.warmup, arguments.pause) if contest else {}
        for (name, which), seconds in times.items():
            about = {"precision": precision.name, "batch": images, "layer": case.name, "pass": which, "rival": name}
            least = least_bytes(case, which, 2 if precision.dtype_name == "bfloat16" else 4)
            work = {"input_shape": case.input_shape, "flops": case.flops[which], "bytes": least}
            rows.append({**about, **work, "seconds": seconds, **turns.spread(seconds)})
    return rows


def _agreeing(case: Case, precision: Precision, images: int, attempts: Attempts) -> Mapping[str, Side]:
    """Return the sides that work, and find what the first of them finds."""
    outcomes: dict[str, list[np.ndarray]] = {}

    def check(name: str) -> None:
        outcome = _outcome(case.sides[name])
        first = next(iter(outcomes.values()), outcome)
        for ours, theirs in zip(first, outcome, strict=True):
            if case.comparable:
                what = f"{case.name}'s output or gradient"
                turns.check_agreement(name, what, ours, theirs, precision.layer_tolerance)
        outcomes[name] = outcome

    sides = case.sides.items()
    return {
        name: side
        for name, side in sides
        if attempts.worked(f"{name}, {case.name}", precision.name, images, partial(check, name))
    }


def _outcome(side: Side) -> list[np.ndarray]:
    side.forget()
    side.forward()
    side.backward()
    found = side.found()
    side.forget()
    return found


def _turn(clock: Clock, side: Side, which: str) -> Callable[[], float]:
    def forward_again() -> None:
        side.forget()
        side.forward()

    return (
        clock.cold_turn(side.forward, side.forget)
        if which == "forward"
        else clock.cold_turn(side.backward, forward_again)
    )


def kernels(
    ours: PreciseNpalexnet, precision: Precision, images: int, arguments: argparse.Namespace, attempts: Attempts
) -> Rows:
    """Return the times of npalexnet's kernels, where the device has some."""
    if isinstance(ours.device.kernels, NoKernels):
        attempts.say(f"{ours.name} computes without kernels of its own")
        return []
    rows: Rows = []
    for primitive in primitives(ours.model, ours.device, precision.dtype, images, arguments.classes):
        who = f"{primitive.kernel}, {primitive.what}"
        attempts.say(f"{precision.name}, {who}, batch of {images}")
        run = attempts.attempt(who, precision.name, images, primitive.make)
        if run is None or not attempts.worked(who, precision.name, images, partial(_there, run)):
            continue
        clock = ours.clock
        times = turns.take_turns(
            {who: clock.cold_turn(run, lambda: None)}, arguments.rounds, arguments.warmup, arguments.pause
        )
        found = turns.spread(times[who])
        about = {"precision": precision.name, "batch": images, "kernel": primitive.kernel, "what": primitive.what}
        rate = {"bytes": primitive.nbytes, "bytes_per_second": primitive.nbytes / found["median"]}
        rows.append({**about, "shape": primitive.shape, "seconds": times[who], **found, **rate})
    return rows


def _there(run: Callable[[], Any]) -> None:
    """Refuse a kernel that does not do it."""
    if run() is None:
        raise NotImplementedError("there is no kernel for such arrays")


def least_bytes(case: Case, which: str, item: int) -> int:
    """Return what a pass must read and write at the least, each once, in bytes; `item` is the size of a number.

    With x numbers in, y out and p parameters (4 bytes each, and their gradients, too): forward reads x and p and writes
    y; backward reads y's gradient and writes x's. Besides, backward of a layer with parameters reads x and writes p's
    gradient, and reads p for x's gradient; that of ReLU reads y; that of max-pooling reads one byte for each winner,
    which forward wrote. The loss reads the logits, forward and backward, and writes their gradient. SGD reads
    parameters, gradients and velocities, and writes the first and the last.
    """
    x, y, p = prod(case.input_shape), prod(case.output_shape), case.parameters
    if case.kind == "SGD step":
        return 5 * PARAMETER * p
    if case.kind == "loss":
        return item * x if which == "forward" else 2 * item * x
    winners = y if case.kind == "pool" else 0
    if which == "forward":
        return item * (x + y) + PARAMETER * p + winners
    gradient_of_x = item * x + PARAMETER * p if case.input_gradient else 0
    gradient_of_p = item * x + PARAMETER * p if p else 0
    return item * y + gradient_of_x + gradient_of_p + winners + (item * y if case.kind == "relu" else 0)
