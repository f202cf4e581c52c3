"""What did each idea that makes npalexnet fast on a CPU bring?

The bottom rung is im2col and matrix products as they come to mind first: the whole batch through one layer after the
other, and all cores inside the BLAS. Each rung above has one idea more. A rung is the same code with the ideas above it
switched off, all of them in one run, by turns.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, nullcontext
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from unittest.mock import patch

from benchmarks import charts, machine, network, turns
from benchmarks.npalexnet_rival import NpalexnetRival
from benchmarks.workload import random_batch, settings
from npalexnet.backend import Device, cpu
from npalexnet.backend.cpu import CpuDevice
from npalexnet.layers import sequential
from npalexnet.terminal import table

if TYPE_CHECKING:
    from matplotlib.figure import Figure

BATCH_SIZES, ROUNDS = [1, 32], 7
TITLE = "npalexnet, what each idea brought"
TASKS = ("forward", "step")
UNLIMITED = 1 << 40


@dataclass(frozen=True)
class Idea:
    """Something that makes it faster.

    Attributes
    ----------
    name : str
        As in the table.
    off : tuple
        What to replace in order to be without it: (module, name, value).
    """

    name: str
    off: tuple[tuple[Any, str, Any], ...]


BOTTOM = "whole batch, layer by layer, cores inside the BLAS"
IDEAS = (
    Idea(
        "+ shards of images, each on a thread of its own",
        (
            (cpu, "SHARD_IMAGES", UNLIMITED),
            (cpu, "MIN_SHARDS", 1),
            (cpu, "MATMUL_TILE", UNLIMITED),
            (cpu, "MIN_TILES", 1),
            (cpu, "single_threaded_blas", nullcontext),
            (cpu, "get_num_threads", lambda: 1),
        ),
    ),
    Idea("+ columns made tile by tile", ((cpu, "TILE_ROWS", UNLIMITED),)),
    Idea("+ max-pooling before the ReLU in front of it", ((sequential, "_pooled_before_relu", list),)),
    Idea("+ skinny products transposed", ((cpu, "SKINNY", 0),)),
    Idea("+ SGD block by block, on all threads", ((cpu, "BLOCK_ELEMENTS", UNLIMITED),)),
    Idea("+ large gradients in pooled_buffer memory", ((CpuDevice, "pooled_buffer", Device.pooled_buffer),)),
)


@contextmanager
def rung(number: int) -> Iterator[None]:
    """Context with the first `number` ideas alone."""
    with ExitStack() as stack:
        for idea in IDEAS[number:]:
            for module, name, value in idea.off:
                stack.enter_context(patch.object(module, name, value))
        yield


def run(arguments: argparse.Namespace, say: network.Say) -> dict[str, Any]:
    """Answer the question."""
    found = machine.environment()
    rungs: dict[str, tuple[int, NpalexnetRival]] = {}
    for number, name in enumerate([BOTTOM, *(idea.name for idea in IDEAS)]):
        with rung(number):
            rungs[name] = number, NpalexnetRival(arguments.threads, arguments.classes, arguments.dropout)
    rows: list[dict[str, Any]] = []
    for images in arguments.batch_sizes:
        batch = random_batch(images, arguments.classes)
        for _, rival in rungs.values():
            rival.take(*batch)
        for task in TASKS:
            say(f"{task}, batch of {images}")
            contest = {name: _turn(number, rival, task) for name, (number, rival) in rungs.items()}
            seconds = turns.take_turns(contest, arguments.rounds, arguments.warmup, arguments.pause, say)
            rows += [
                {"batch": images, "task": task, "rung": name, "seconds": times, **turns.spread(times)}
                for name, times in seconds.items()
            ]
    return {"question": "ladder", **found, "settings": settings(arguments), "results": rows}


def _turn(number: int, rival: NpalexnetRival, task: str) -> Callable[[], float]:
    """Return a turn of a task on a rung."""
    timed = turns.timed(getattr(rival, task))

    def turn() -> float:
        with rung(number):
            return timed()

    return turn


def show(result: dict[str, Any]) -> str:
    """Return the table."""
    medians = {(row["batch"], row["task"], row["rung"]): row for row in result["results"]}
    columns = list(dict.fromkeys((batch, task) for batch, task, _ in medians))
    cells = []
    for name in dict.fromkeys(row["rung"] for row in result["results"]):
        line = [name]
        for batch, task in columns:
            row, bottom = medians[batch, task, name], medians[batch, task, BOTTOM]
            line += [f"{1e3 * row['median']:.0f}", f"{bottom['median'] / row['median']:.2f}"]
        cells.append(tuple(line))
    header = ["rung", *(text for batch, task in columns for text in (f"{task} of {batch}, ms", "times as fast"))]
    return "\n".join([network.preamble(TITLE, result), "", table(tuple(header), cells)])


def chart(result: dict[str, Any]) -> Figure:
    """Draw a panel of bars for each task and batch size."""
    rows = result["results"]
    panels_of = list(dict.fromkeys((row["batch"], row["task"]) for row in rows))
    figure, panels = charts.sheet(TITLE, result, rows=len(panels_of), columns=1, height=2.3)
    for axes, (batch, task) in zip(panels[:, 0], panels_of, strict=True):
        here = [row for row in rows if (row["batch"], row["task"]) == (batch, task)]
        medians, highest = [1e3 * row["median"] for row in here], [1e3 * row["max"] for row in here]
        whiskers = [
            [1e3 * (row["median"] - row["min"]) for row in here],
            [h - m for h, m in zip(highest, medians, strict=True)],
        ]
        axes.barh(range(len(here)), medians, xerr=whiskers, color=charts.COLOURS["npalexnet"], capsize=3, height=0.7)
        charts.label_bars(axes, [row["rung"] for row in here], highest, [f"{charts.short(m)} ms" for m in medians])
        axes.set_title(f"{task}, batch of {batch}", loc="left", size=10)
    panels[-1, 0].set_xlabel("milliseconds, median and min..max (less is better)")
    return figure
