"""How much memory does training AlexNet take, beside torch?

Each rival trains for three steps in a process of its own, which imports its library alone; what counts is the most
memory that the process ever had.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks import charts, rounds
from benchmarks.rivals.rival import HELD, OURS
from benchmarks.rounds import Say
from benchmarks.workload import settings
from npalexnet.terminal import table

BATCH_SIZES, ROUNDS = [128], 3
STEPS = 3
TITLE = f"AlexNet, memory of a process that trains for {STEPS} steps"
RIVALS = (OURS, "torch", "torch, channels_last")
COMPILED = "torch.compile"
STAGES = {"imports": "libraries", "model": "the network's parameters", "peak": "training"}  # what each stage adds
MIB = 2**20


def run(arguments: argparse.Namespace, say: Say) -> dict[str, Any]:
    ours, *torch = installed(say)
    rivals = [ours, HELD, *torch, *(compiled(arguments, say) if torch else [])]
    rows: list[dict[str, Any]] = []
    for images in arguments.batch_sizes:
        say(f"memory, batch of {images}")
        processes = {rival: child(rival, images, STEPS, arguments) for rival in rivals}
        fresh = rounds.replaced(arguments, warmup=0, pause=0.0)  # each measurement is a new process
        reports = rounds.interleaved(processes, fresh, say, lambda report: f"{report['peak'] / MIB:.0f} MiB")
        for rival, each in reports.items():
            stages = {stage: [report[stage] for report in each] for stage in STAGES}
            row = {"batch": images, "rival": rival, "threads": each[0]["threads"], "bytes": stages}
            rows.append({**row, "stages": {s: median(b) for s, b in stages.items()}, **rounds.spread(stages["peak"])})
    return {"settings": {**settings(arguments), "warmup": 0, "steps": STEPS}, "results": with_ratios(rows)}


def installed(say: Say) -> list[str]:
    """Return the rivals whose library is there; it is not imported for that."""
    if find_spec("torch") is None:
        say("torch is not installed: npalexnet runs without it (pip install 'npalexnet[bench]')")
        return [OURS]
    return list(RIVALS)


def compiled(arguments: argparse.Namespace, say: Say) -> list[str]:
    """Return torch.compile, if it gets through a step of one image; else the reason is said."""
    try:
        child(COMPILED, 1, 1, arguments)()
    except RuntimeError as error:
        say(f"torch.compile is left out: {error}")
        return []
    return [COMPILED]


def child(rival: str, images: int, steps: int, arguments: argparse.Namespace) -> Callable[[], dict[str, Any]]:
    """Return a measurement: a process that trains, and what it reports, see `memory_child.measure`."""
    names = ("threads", "classes", "dropout")
    given = {"rival": rival, "images": images, "steps": steps} | {name: getattr(arguments, name) for name in names}

    def measure() -> dict[str, Any]:
        command = [sys.executable, "-m", "benchmarks.cpu.memory_child", json.dumps(given)]
        root = Path(__file__).parents[2]  # the child, too, is to find the benchmarks and this npalexnet
        done = subprocess.run(command, cwd=root, capture_output=True, text=True, check=False)
        if done.returncode:
            reason = done.stderr.strip().splitlines()[-1:] or [f"exit status {done.returncode}"]
            raise RuntimeError(f"{rival}, batch of {images}, did not get through its {steps} steps: {reason[0]}")
        return json.loads(done.stdout)

    return measure


def with_ratios(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Add the ratio of the medians to torch's of the same batch; None without torch."""
    torch = {row["batch"]: row["median"] for row in rows if row["rival"] == "torch"}
    return [{**row, "peak_over_torch": row["median"] / torch[row["batch"]] if torch else None} for row in rows]


def show(result: dict[str, Any]) -> str:
    header = ("rival", "batch", "threads", "imported MiB", "with model", "peak", "min..max", "peak / torch's")
    rows = [
        (
            *(row["rival"], str(row["batch"]), str(row["threads"])),
            *(f"{row['stages'][stage] / MIB:,.0f}" for stage in STAGES),
            f"{row['min'] / MIB:,.0f}..{row['max'] / MIB:,.0f}",
            f"{row['peak_over_torch']:.2f}" if row["peak_over_torch"] else "-",
        )
        for row in result["results"]
    ]
    return "\n" + table(header, rows)


def chart(result: dict[str, Any]) -> charts.Figure:
    below = "MiB in memory at the peak, and what it was taken for (less is better)"
    figure, panels = charts.panel_each(TITLE, result, 2.4, below)
    for axes, rows in panels:
        charts.stacked_bars(
            axes,
            [row["rival"] for row in rows],
            {added: [row["stages"][stage] / MIB for row in rows] for stage, added in STAGES.items()},
            [f"{row['median'] / MIB:,.0f} MiB" for row in rows],
        )
    shades = zip(STAGES.values(), charts.shades(len(STAGES)), strict=True)
    charts.legend_below(figure, {part: {"color": ("black", shade)} for part, shade in shades})
    return figure
