"""How do AlexNet's times and memory change with the batch size, and with the number of threads?

Time per image of forward pass and training step at each batch size, and at one batch size on 1, 2, 4, ... threads; and
the most memory of a process that trains for two steps, per image.
"""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Any

from benchmarks import charts, machine, memory, network, turns
from benchmarks.torch_twin import torch_flags
from benchmarks.workload import Trainer, random_batch, settings
from npalexnet.terminal import table

if TYPE_CHECKING:
    from matplotlib.figure import Figure

BATCH_SIZES, ROUNDS = [1, 2, 4, 8, 16, 32, 64, 128, 256], 3
THREADS_BATCH_SIZE = 32  # at which the threads are varied; at most the largest of the batch sizes
STEPS = 2
TASKS = {"forward": "forward pass", "step": "training step"}


def run(arguments: argparse.Namespace, say: network.Say) -> dict[str, Any]:
    """Answer the question."""
    found = machine.environment()
    ours, others = network.trainers(arguments, say)
    rivals: list[Trainer] = [ours, *others]
    smallest, fixed = min(arguments.batch_sizes), min(THREADS_BATCH_SIZE, max(arguments.batch_sizes))
    for rival in rivals:
        rival.take(*random_batch(smallest, arguments.classes))
    firsts = {smallest: network.agree(rivals, network.first_training_pass)}

    times: list[dict[str, Any]] = []
    for images in arguments.batch_sizes:
        times += _times("batch", rivals, images, arguments.threads, arguments, say)
    for threads in thread_counts(arguments.threads):
        times += _times("threads", rivals, fixed, threads, arguments, say)
    return {
        "question": "scaling",
        **found,
        "settings": {**settings(arguments), "memory_steps": STEPS},
        "torch_flags": torch_flags(),
        "first": firsts,
        "times": times,
        "memory": _memory(arguments, say),
    }


def thread_counts(most: int) -> list[int]:
    """Return 1, 2, 4, ... and `most`."""
    return sorted({most, *(2**i for i in range(most.bit_length()) if 2**i < most)})


def _times(
    varied: str, rivals: list[Trainer], images: int, threads: int, arguments: argparse.Namespace, say: network.Say
) -> list[dict[str, Any]]:
    """Time both tasks of all rivals at one batch size and number of threads."""
    rows = []
    batch = random_batch(images, arguments.classes)
    for rival in rivals:
        rival.use_threads(threads)
        rival.take(*batch)
    for task, name in TASKS.items():
        say(f"{name}, batch of {images}, {threads} threads")
        contest = {rival.name: turns.timed(getattr(rival, task)) for rival in rivals}
        seconds = turns.take_turns(contest, arguments.rounds, arguments.warmup, arguments.pause, say)
        for rival in rivals:
            row = {"varied": varied, "task": task, "batch": images, "rival": rival.name, "threads": rival.threads}
            spread = turns.spread(seconds[rival.name])
            per_image = spread["median"] / images
            rows.append({**row, "seconds": seconds[rival.name], **spread, "seconds_per_image": per_image})
    ours = {row["task"]: row["median"] for row in rows if row["rival"] == network.OURS}
    return [{**row, "time_over_npalexnet": row["median"] / ours[row["task"]]} for row in rows]


def _memory(arguments: argparse.Namespace, say: network.Say) -> list[dict[str, Any]]:
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
    """Return a table of the times and one of the memory."""
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
            network.preamble("AlexNet, by batch size and threads", result),
            *network.agreement_lines(result["first"]),
            *("", table(header, times, left=2)),
            *("", table(("rival", "batch", "peak MiB", "MiB/image"), peaks)),
        ]
    )


def chart(result: dict[str, Any]) -> Figure:
    """Draw small multiples: the tasks by batch size and by threads, the memory by batch size."""
    figure, panels = charts.sheet("AlexNet, by batch size and threads", result, 2, 3, height=3.2, width=12)
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
