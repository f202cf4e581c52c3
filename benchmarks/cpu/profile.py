"""Where does the time of a training step of AlexNet go, beside its matrix products?

Stopwatches around npalexnet's own functions, on every thread: each has the time that was spent in it, less what was
spent in the others inside. They cost a little themselves, so that the step takes some percent longer than without.
"""

from __future__ import annotations

import argparse
import threading
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from statistics import median
from time import perf_counter
from typing import Any
from unittest.mock import patch

import npalexnet as na
from benchmarks import charts, convolutions
from benchmarks.rivals import gemm_lower_bound
from benchmarks.rivals.npalexnet_rival import NpalexnetRival
from benchmarks.rivals.rival import OURS
from benchmarks.rounds import Say
from benchmarks.workload import random_batch
from npalexnet.backend.cpu import CpuDevice
from npalexnet.layers import conv, im2col, im2col_gemm, sharding, winograd
from npalexnet.terminal import table

BATCH_SIZES, ROUNDS = [32, 128], 5
TITLE = "npalexnet, where the time of a training step goes"
PASSES = ("compute", "gradients", "parameter_gradients")
PRODUCTS, POINTS = "products with im2col's patches", "Winograd: products at the points"
TO_POINTS, FROM_POINTS, WEIGHTS = "Winograd: to points", "Winograd: from points", "Winograd: transformed weights"
LINEAR, SGD = "products of the linear layers", "SGD"
LOSS, JOINING = "loss", "putting shards side by side"
ALONE = (LINEAR, SGD, LOSS, JOINING)  # the calling thread's: it waits there for the others, or works alone
FLOORS, WHOLE = (gemm_lower_bound.DIRECT, gemm_lower_bound.WINOGRAD), "whole step"
OWNERS = (PRODUCTS, TO_POINTS, FROM_POINTS, WEIGHTS, LINEAR)  # products inside of these belong to them
REST = "adding up shards, waiting, Python"
WATCHED: list[tuple[str, Any, tuple[str, ...]]] = [  # name, where the functions are, their names
    ("im2col", im2col_gemm, ("im2col",)),
    ("col2im", im2col_gemm, ("col2im",)),
    ("padding, channels last", im2col, ("covered_pixels",)),
    ("padding, channels last", conv, ("channels_last",)),
    (TO_POINTS, winograd, ("_columns_to_points", "_row_to_points")),
    (FROM_POINTS, winograd, ("_row_from_points", "_columns_from_points")),
    (WEIGHTS, winograd.Winograd, ("_transformed",)),
    ("biases, sums over tiles, new arrays", na.Conv2d, PASSES),
    ("max-pooling", na.MaxPool2d, PASSES[:2]),
    ("ReLU, dropout", na.ReLU, PASSES[:2]),
    ("ReLU, dropout", na.Dropout, PASSES[:2]),
    (LOSS, na.CrossEntropyLoss, ("forward", "backward")),
    (LINEAR, na.Linear, PASSES),
    (JOINING, sharding, ("_concatenate",)),
    (SGD, na.SGD, ("step",)),
    (PRODUCTS, CpuDevice, ("matmul",)),
    (POINTS, CpuDevice, ("products",)),
]


@dataclass
class _Running:
    """A stopwatch that runs, and the seconds of those that ran inside it."""

    name: str
    inside: float = 0.0


class Stopwatches:
    """Seconds by name, over all threads."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = defaultdict(float)
        self._lock = threading.Lock()
        self._thread = threading.local()

    def around(self, name: str, function: Callable[..., Any]) -> Callable[..., Any]:
        """Return `function` with a stopwatch; products belong to what they are computed for.

        A product in which several threads share is the time of the one that waits for it: those of the others, where
        nothing else is watched, don't count.
        """

        def watched(*arguments: Any, **keywords: Any) -> Any:
            running: list[_Running] = self._thread.__dict__.setdefault("running", [])
            outer = running[-1] if running else None
            if name in (PRODUCTS, POINTS) and (outer is None or outer.name in OWNERS):
                return function(*arguments, **keywords)
            mine = _Running(name)
            running.append(mine)
            start = perf_counter()
            try:
                return function(*arguments, **keywords)
            finally:
                elapsed = perf_counter() - start
                running.pop()
                if outer:
                    outer.inside += elapsed
                with self._lock:
                    self.seconds[mine.name] += elapsed - mine.inside

        return watched

    @contextmanager
    def everywhere(self) -> Iterator[None]:
        """Context in which all that is `WATCHED` has its stopwatch."""
        with ExitStack() as stack:
            for name, owner, functions in WATCHED:
                for function in functions:
                    stack.enter_context(patch.object(owner, function, self.around(name, getattr(owner, function))))
            yield


def run(arguments: argparse.Namespace, say: Say) -> dict[str, Any]:
    rival = NpalexnetRival(arguments.threads, arguments.classes, arguments.dropout)
    lowest = gemm_lower_bound.GemmLowerBound(arguments.threads, gemm_lower_bound.products(rival.model))
    rows: list[dict[str, Any]] = []
    for images in arguments.batch_sizes:
        say(f"profile, batch of {images}")
        rival.take(*random_batch(images, arguments.classes))
        step = rival.runner("step")
        for _ in range(arguments.warmup):
            step()
        direct_flops = gemm_lower_bound.step_flops(rival.model, images)
        winograd_flops = gemm_lower_bound.winograd_flops(rival.model, images, "step")
        rounds = []
        for _ in range(arguments.rounds):
            parts = one_step(step, rival.threads)
            rate = lowest.rate()
            operations = (direct_flops, winograd_flops)
            parts |= {floor: flops / rate for floor, flops in zip(FLOORS, operations, strict=True)}
            rounds.append(parts)
        for part in dict.fromkeys(name for parts in rounds for name in parts):
            seconds = [parts.get(part, 0.0) for parts in rounds]
            rows.append({"batch": images, "part": part, "seconds": seconds, "median": median(seconds)})
    return {"winograd": convolutions.used(rival.model, arguments.batch_sizes), "results": rows}


def one_step(step: Callable[[], object], threads: int) -> dict[str, float]:
    """Return the seconds of a step, by part: they add up to the whole step.

    What the worker threads do at the same time counts by its share of the threads, what is in `ALONE` in full. (A lone
    image is a single shard, on the calling thread: with several threads its parts would say nothing.)
    """
    watches = Stopwatches()
    start = perf_counter()
    with watches.everywhere():
        step()
    whole = perf_counter() - start
    parts = {name: s if name in ALONE else s / threads for name, s in watches.seconds.items()}
    parts = dict(sorted(parts.items(), key=lambda item: -item[1]))
    return {**parts, REST: whole - sum(parts.values()), WHOLE: whole}


def show(result: dict[str, Any]) -> str:
    rows = result["results"]
    whole = {row["batch"]: row["median"] for row in rows if row["part"] == WHOLE}
    cells = [
        (
            *(str(row["batch"]), row["part"], f"{1e3 * row['median']:.1f}"),
            f"{row['median'] / whole[row['batch']]:.1%}",
            f"{1e3 * min(row['seconds']):.1f}..{1e3 * max(row['seconds']):.1f}",
        )
        for row in rows
    ]
    header = ("batch", "part", "median ms", "of the step", "min..max")
    return "\n".join([*convolutions.used_lines(result["winograd"]), "", table(header, cells)])


def chart(result: dict[str, Any]) -> charts.Figure:
    below = "milliseconds of a step; floors: its products at the best sgemm rate"
    figure, panels = charts.panel_each(TITLE, result, 3.4, below)
    for axes, rows in panels:
        whole = next(row["median"] for row in rows if row["part"] == WHOLE)
        charts.bars(axes, {row["part"]: [_bar(row, whole)] for row in rows})
    return figure


def _bar(row: dict[str, Any], whole: float) -> charts.Bar:
    colour = FLOORS[0] if row["part"] in (*FLOORS, WHOLE) else OURS
    return charts.bar(row, colour, unit=" ms", more=f"  ({row['median'] / whole:.1%})")
