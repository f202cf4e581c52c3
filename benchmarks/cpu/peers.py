"""What does the same AlexNet cost in other from-scratch frameworks on NumPy?

Forward pass and training step with the same weights. Whoever computes something else, or fails, is left out.
"""

from __future__ import annotations

import argparse
from typing import Any

from benchmarks import charts, convolutions
from benchmarks.attempts import Attempts, left_out_lines
from benchmarks.comparison import Comparison
from benchmarks.cpu import network
from benchmarks.precisions import FP32
from benchmarks.rivals import peer
from benchmarks.rivals.npalexnet_rival import NpalexnetRival
from benchmarks.rivals.rival import TASKS
from benchmarks.rounds import Say
from benchmarks.workload import random_batch
from npalexnet.terminal import table

BATCH_SIZES, ROUNDS = [8], 3
TITLE = "AlexNet in from-scratch frameworks on NumPy"


def run(arguments: argparse.Namespace, say: Say) -> dict[str, Any]:
    ours = NpalexnetRival(arguments.threads, arguments.classes, arguments.dropout)
    others = peer.peers(arguments.threads, ours.model, arguments.dropout, say)
    if not others:
        say("no other framework is installed: npalexnet runs alone (pip install 'npalexnet[peers]')")
    compared, attempts = Comparison(arguments, ours.model, say), Attempts(say)
    agreeing: dict[int, list[Any]] = {}
    for images in arguments.batch_sizes:  # all before any is timed: training steps change the weights
        say(f"first pass, batch of {images}")
        batch = random_batch(images, arguments.classes)
        ours.take(*batch)
        compared.agree(images, ours)
        agreeing[images] = [ours]
        for rival in others:

            def check(rival: Any = rival, images: int = images, batch: Any = batch) -> None:
                rival.take(*batch)
                compared.agree(images, rival)

            if attempts.worked(rival.name, FP32.name, images, check):
                agreeing[images].append(rival)
    rows = []
    for images, rivals in agreeing.items():
        for rival in rivals:
            rival.take(*random_batch(images, arguments.classes))
        for task in TASKS:
            measured = compared.time(images, task, rivals)
            rows += [{**row, "time_over_npalexnet": row["median"] / measured[0]["median"]} for row in measured]
    return {
        "peers": peer.versions(others),
        "winograd": convolutions.used(ours.model, arguments.batch_sizes),
        "first": compared.first,
        "left_out": attempts.left_out,
        "results": rows,
    }


def show(result: dict[str, Any]) -> str:
    rows = [
        (
            *(row["rival"], row["task"], str(row["batch"]), str(row["threads"]), f"{1e3 * row['median']:.1f}"),
            f"{1e3 * row['min']:.1f}..{1e3 * row['max']:.1f}",
            f"{row['time_over_npalexnet']:.2f}",
        )
        for row in result["results"]
    ]
    header = ("rival", "task", "batch", "threads", "median ms", "min..max", "time / npalexnet's")
    names = ", ".join(f"{name} {version}" for name, version in result["peers"].items())
    about = [f"beside npalexnet: {names or 'nobody'}", *convolutions.used_lines(result["winograd"])]
    about += [*network.agreement_lines(result["first"]), *left_out_lines(result["left_out"])]
    return "\n".join([*about, "", table(header, rows, left=2)])


def chart(result: dict[str, Any]) -> charts.Figure:
    figure, panels = charts.panel_each(TITLE, result, 1.8, "milliseconds, median and min..max (less is better)")
    for axes, rows in panels:
        factors = {row["rival"]: f"  ({row['time_over_npalexnet']:.1f} x npalexnet's)" for row in rows}
        charts.bars(axes, {r["rival"]: [charts.bar(r, r["rival"], unit=" ms", more=factors[r["rival"]])] for r in rows})
    return figure
