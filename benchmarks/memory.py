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
from typing import TYPE_CHECKING, Any

from benchmarks import charts, machine, network, turns
from benchmarks.workload import settings
from npalexnet.terminal import table

if TYPE_CHECKING:
    from matplotlib.figure import Figure

BATCH_SIZES, ROUNDS = [128], 3
STEPS = 3
RIVALS = ("npalexnet", "torch", "torch, channels_last")
STAGES = {"imports": "libraries", "model": "the network's parameters", "peak": "training"}  # what each stage adds
MIB = 2**20


def run(arguments: argparse.Namespace, say: network.Say) -> dict[str, Any]:
    """Answer the question."""
    found = machine.environment()
    rivals = installed(say)
    rows: list[dict[str, Any]] = []
    for images in arguments.batch_sizes:
        say(f"memory, batch of {images}")
        processes = {rival: child(rival, images, STEPS, arguments) for rival in rivals}
        reports = turns.take_turns(processes, arguments.rounds, 0, 0.0, say, lambda r: f"{r['peak'] / MIB:.0f} MiB")
        for rival, each in reports.items():
            stages = {stage: [report[stage] for report in each] for stage in STAGES}
            row = {"batch": images, "rival": rival, "threads": each[0]["threads"], "bytes": stages}
            rows.append({**row, "stages": {s: median(b) for s, b in stages.items()}, **turns.spread(stages["peak"])})
    return {
        "question": "memory",
        **found,
        "settings": {**settings(arguments), "warmup": 0, "steps": STEPS},
        "results": with_ratios(rows),
    }


def installed(say: network.Say) -> list[str]:
    """Return the rivals whose library is there; it is not imported for that."""
    if find_spec("torch") is None:
        say("torch is not installed: npalexnet runs without it (pip install 'npalexnet[bench]')")
        return [network.OURS]
    return list(RIVALS)


def child(rival: str, images: int, steps: int, arguments: argparse.Namespace) -> Callable[[], dict[str, Any]]:
    """Return a turn: a process that trains, and what it reports, see `memory_child.measure`."""
    names = ("threads", "classes", "dropout")
    given = {"rival": rival, "images": images, "steps": steps} | {name: getattr(arguments, name) for name in names}

    def turn() -> dict[str, Any]:
        command = [sys.executable, "-m", "benchmarks.memory_child", json.dumps(given)]
        root = Path(__file__).parent.parent  # the child, too, is to find the benchmarks and this npalexnet
        done = subprocess.run(command, cwd=root, capture_output=True, text=True, check=False)
        if done.returncode:
            reason = done.stderr.strip().splitlines()[-1:] or [f"exit status {done.returncode}"]
            raise RuntimeError(f"{rival}, batch of {images}, did not get through its {steps} steps: {reason[0]}")
        return json.loads(done.stdout)

    return turn


def with_ratios(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Add the ratio of the medians to torch's of the same batch; None without torch."""
    torch = {row["batch"]: row["median"] for row in rows if row["rival"] == "torch"}
    return [{**row, "peak_over_torch": row["median"] / torch[row["batch"]] if torch else None} for row in rows]


def show(result: dict[str, Any]) -> str:
    """Return the table."""
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
    return "\n".join([network.preamble(_what(result), result), "", table(header, rows)])


def chart(result: dict[str, Any]) -> Figure:
    """Draw stacked bars, a panel for each batch size."""
    by_batch = charts.by_batch(result["results"])
    figure, panels = charts.sheet(_what(result), result, rows=len(by_batch), columns=1, height=2.4)
    for axes, (images, rows) in zip(panels[:, 0], by_batch.items(), strict=True):
        charts.stacked_bars(
            axes,
            [row["rival"] for row in rows],
            {added: [row["stages"][stage] / MIB for row in rows] for stage, added in STAGES.items()},
            [f"{row['median'] / MIB:,.0f} MiB" for row in rows],
        )
        axes.set_title(f"batch of {images}", loc="left", size=10)
    strengths = charts.shades(len(STAGES))
    charts.legend_below(figure, {part: ("black", s) for part, s in zip(STAGES.values(), strengths, strict=True)})
    panels[-1, 0].set_xlabel("MiB in memory at the peak, and what it was taken for (less is better)")
    return figure


def _what(result: dict[str, Any]) -> str:
    return f"AlexNet, memory of a process that trains for {result['settings']['steps']} steps"
