"""How do AlexNet's times and memory change with the batch size, and with the number of threads?

Time per image of forward pass and training step at each batch size, and at one batch size on 1, 2, 4, ... threads; and
the most memory of a process that trains for two steps, per image.
"""

from __future__ import annotations

import argparse
from typing import Any

from benchmarks import charts
from benchmarks.comparison import Comparison
from benchmarks.cpu import memory, network
from benchmarks.rivals import lineup
from benchmarks.rivals.torch_network import torch_flags
from benchmarks.rounds import Say
from benchmarks.workload import random_batch, settings
from npalexnet.terminal import table

BATCH_SIZES, ROUNDS = [1, 2, 4, 8, 16, 32, 64, 128, 256], 3
THREADS_BATCH_SIZE = 32  # at which the threads are varied; at most the largest of the batch sizes
STEPS = 2
TITLE = "AlexNet, by batch size and threads"
TASKS = {"forward": "forward pass", "step": "training step"}


def run(arguments: argparse.Namespace, say: Say) -> dict[str, Any]:
    ours, others = lineup.on_cpu(arguments, say)
    rivals: list[Any] = [ours, *others]
    compared = Comparison(arguments, ours.model, say)
    smallest, fixed = min(arguments.batch_sizes), min(THREADS_BATCH_SIZE, max(arguments.batch_sizes))
    for rival in rivals:
        rival.take(*random_batch(smallest, arguments.classes))
        compared.agree(smallest, rival)
    points = [("batch", images, arguments.threads) for images in arguments.batch_sizes]
    points += [("threads", fixed, threads) for threads in thread_counts(arguments.threads)]
    times: list[dict[str, Any]] = []
    for varied, images, threads in points:
        say(f"{threads} threads")
        batch = random_batch(images, arguments.classes)
        for rival in rivals:
            rival.use_threads(threads)
            rival.take(*batch)
        for task in TASKS:
            rows = compared.time(images, task, rivals)
            for row in rows:
                row["seconds_per_image"] = row["median"] / images
                times.append({"varied": varied, **row, "time_over_npalexnet": row["median"] / rows[0]["median"]})
    return {
        "settings": {**settings(arguments), "memory_steps": STEPS},
        "torch_flags": torch_flags(),
        "first": compared.first,
        "times": times,
        "memory": _memory(arguments, say),
    }


def thread_counts(most: int) -> list[int]:
    """Return 1, 2, 4, ... and `most`."""
    return sorted({most, *(2**i for i in range(most.bit_length()) if 2**i < most)})


def _memory(arguments: argparse.Namespace, say: Say) -> list[dict[str, Any]]:
    """Peak memory of each rival at each batch size, of one process each: it hardly differs from one to the next."""
    rows = []
    for images in arguments.batch_sizes:
        say(f"memory, batch of {images}")
        for rival in memory.installed(lambda line: None):
            report = memory.child(rival, images, STEPS, arguments)()
            say(f"  {rival}: {report['peak'] / memory.MIB:.0f} MiB")
            rows.append({"batch": images, "rival": rival, "peak": report["peak"], "per_image": report["peak"] / images})
    return rows


def show(result: dict[str, Any]) -> str:
    times = [
        (
            *(row["rival"], TASKS[row["task"]], str(row["batch"]), str(row["threads"])),
            *(f"{1e3 * row['seconds_per_image']:.2f}", f"{1e3 * row['median']:.1f}"),
            f"{1e3 * row['min']:.1f}..{1e3 * row['max']:.1f}",
            f"{row['time_over_npalexnet']:.2f}",
        )
        for row in result["times"]
    ]
    header = ("rival", "task", "batch", "threads", "ms/image", "median ms", "min..max", "time / npalexnet's")
    peaks = [
        (row["rival"], str(row["batch"]), f"{row['peak'] / memory.MIB:,.0f}", f"{row['per_image'] / memory.MIB:,.1f}")
        for row in result["memory"]
    ]
    return "\n".join(
        [
            *network.agreement_lines(result["first"]),
            *("", table(header, times, left=2)),
            *("", table(("rival", "batch", "peak MiB", "MiB/image"), peaks)),
        ]
    )


def chart(result: dict[str, Any]) -> charts.Figure:
    """Draw small multiples: the tasks by batch size and by threads, the memory by batch size."""
    figure, panels = charts.sheet(TITLE, result, 2, 3, height=3.2, width=12)
    for row, varied in zip(panels, ("batch", "threads"), strict=True):
        for axes, (task, name) in zip(row, TASKS.items(), strict=False):
            found = [t for t in result["times"] if (t["varied"], t["task"]) == (varied, task)]
            points = [(t["rival"], t[varied], 1e3 * t["seconds_per_image"]) for t in found]
            below = "batch size" if varied == "batch" else f"threads, at batch size {found[0]['batch']}"
            charts.lines(axes, points, f"{name}: ms per image", below)
    peaks = [(row["rival"], row["batch"], row["per_image"] / memory.MIB) for row in result["memory"]]
    charts.lines(panels[0, 2], peaks, "training, peak memory: MiB per image", "batch size")
    charts.legend(panels[1, 2], panels[0, 0])
    return figure
