"""What did each idea that makes npalexnet fast on a CPU bring?

The baseline is im2col and matrix products as they come to mind first: the whole batch through one layer after the
other, and all cores inside the BLAS. Each variant after it has one idea more: it is the same code with the later ideas
switched off. All variants are measured in one run, in interleaved rounds.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, nullcontext
from dataclasses import dataclass
from typing import Any
from unittest.mock import patch

from benchmarks import charts, rounds
from benchmarks.rivals.npalexnet_rival import NpalexnetRival
from benchmarks.rivals.rival import OURS, TASKS
from benchmarks.rounds import Say
from benchmarks.workload import random_batch
from npalexnet.backend import Device, cpu
from npalexnet.backend.cpu import CpuDevice
from npalexnet.layers import algorithm_choice, sequential
from npalexnet.terminal import table

BATCH_SIZES, ROUNDS = [1, 32], 7
TITLE = "npalexnet, what each idea brought"
UNLIMITED = 1 << 40
FEW_IMAGES = 4  # of a shard, which are best for im2col: their patches stay in the cache


class UnlimitedBlas(nullcontext[None]):
    """What stands for `single_threaded_blas` where BLAS keeps its threads."""

    def acquire(self) -> None: ...
    def release(self) -> None: ...


@dataclass(frozen=True)
class Idea:
    """Something that makes it faster."""

    name: str
    off: tuple[tuple[Any, str, Any], ...]  # what to replace in order to be without it: (module, name, value)


BASELINE = "whole batch, layer by layer, cores inside the BLAS"
IDEAS = (
    Idea(
        "+ shards of images, each on its own thread",
        (
            (cpu, "SHARD_IMAGES", UNLIMITED),
            (cpu, "MIN_SHARDS", 1),
            (cpu, "MATMUL_TILE", UNLIMITED),
            (cpu, "MIN_TILES", 1),
            (cpu, "single_threaded_blas", UnlimitedBlas),
            (cpu, "get_num_threads", lambda: 1),
        ),
    ),
    Idea("+ patches made tile by tile", ((cpu, "TILE_ROWS", UNLIMITED),)),
    Idea("+ max-pooling before the preceding ReLU", ((sequential, "_swap_relu_and_pool", list),)),
    Idea("+ skinny products transposed", ((cpu, "SKINNY", 0),)),
    Idea("+ products of few rows in narrow pieces", ((cpu, "SMALL_PRODUCT", 0),)),
    Idea("+ SGD block by block, on all threads", ((cpu, "BLOCK_ELEMENTS", UNLIMITED),)),
    Idea("+ large gradients in pooled buffers", ((CpuDevice, "pooled_buffer", Device.pooled_buffer),)),
    Idea(
        f"+ shards of at most {cpu.SHARD_IMAGES} images instead of {FEW_IMAGES}",
        ((cpu, "SHARD_IMAGES", FEW_IMAGES),),
    ),
    Idea("+ Winograd's convolution instead of im2col", ((algorithm_choice, "_is_faster", lambda *given: False),)),
)


@contextmanager
def variant(number: int) -> Iterator[None]:
    """Context with the first `number` ideas alone."""
    with ExitStack() as stack:
        for idea in reversed(IDEAS[number:]):  # an earlier idea's value replaces a later one's
            for module, name, value in idea.off:
                stack.enter_context(patch.object(module, name, value))
        yield


def run(arguments: argparse.Namespace, say: Say) -> dict[str, Any]:
    variants: dict[str, tuple[int, NpalexnetRival]] = {}
    for number, name in enumerate([BASELINE, *(idea.name for idea in IDEAS)]):
        with variant(number):
            variants[name] = number, NpalexnetRival(arguments.threads, arguments.classes, arguments.dropout)
    rows: list[dict[str, Any]] = []
    for images in arguments.batch_sizes:
        batch = random_batch(images, arguments.classes)
        for _, rival in variants.values():
            rival.take(*batch)
        for task in TASKS:
            say(f"{task}, batch of {images}")
            measurements = {name: _measurement(number, rival, task) for name, (number, rival) in variants.items()}
            seconds = rounds.interleaved(measurements, arguments, say)
            rows += [
                {"batch": images, "task": task, "variant": name, **rounds.summary(times)}
                for name, times in seconds.items()
            ]
    return {"results": rows}


def _measurement(number: int, rival: NpalexnetRival, task: str) -> Callable[[], float]:
    timed = rounds.timed(rival.runner(task))

    def measure() -> float:
        with variant(number):
            return timed()

    return measure


def show(result: dict[str, Any]) -> str:
    medians = {(row["batch"], row["task"], row["variant"]): row for row in result["results"]}
    columns = list(dict.fromkeys((batch, task) for batch, task, _ in medians))
    cells = []
    for name in dict.fromkeys(row["variant"] for row in result["results"]):
        line = [name]
        for batch, task in columns:
            row, baseline = medians[batch, task, name], medians[batch, task, BASELINE]
            line += [f"{1e3 * row['median']:.0f}", f"{baseline['median'] / row['median']:.2f}"]
        cells.append(tuple(line))
    header = ["variant", *(text for batch, task in columns for text in (f"{task} of {batch}, ms", "times as fast"))]
    return "\n" + table(tuple(header), cells)


def chart(result: dict[str, Any]) -> charts.Figure:
    figure, panels = charts.panel_each(TITLE, result, 2.3, "milliseconds, median and min..max (less is better)")
    for axes, rows in panels:
        charts.bars(axes, {row["variant"]: [charts.bar(row, OURS, unit=" ms")] for row in rows})
    return figure
