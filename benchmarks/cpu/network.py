"""AlexNet as a whole, a task at several batch sizes: what `step` and `forward` have in common."""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from typing import Any

from benchmarks import charts, convolutions
from benchmarks.comparison import Comparison
from benchmarks.rivals.gemm_lower_bound import DIRECT, WINOGRAD, GemmLowerBound, products
from benchmarks.rivals.rival import OURS
from benchmarks.rivals.torch_network import torch_flags
from benchmarks.rounds import Say
from benchmarks.workload import random_batch
from npalexnet.terminal import table


def compare(task: str, rivals: Sequence[Any], arguments: argparse.Namespace, say: Say) -> dict[str, Any]:
    """Time a task of all rivals, of which npalexnet is the first, and both floors, at every batch size."""
    model = rivals[0].model
    batches = {images: random_batch(images, arguments.classes) for images in arguments.batch_sizes}
    compared = Comparison(arguments, model, say, [task])
    compared.measure(rivals, batches, lambda: GemmLowerBound(arguments.threads, products(model)))
    return {
        "torch_flags": torch_flags(),
        "winograd": convolutions.used(model, arguments.batch_sizes),
        "first": compared.first,
        "results": with_ratios(compared.rows),
    }


def with_ratios(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Add what follows from the medians: rates, and ratios to both floors and to npalexnet."""
    medians = {(row["batch"], row["rival"]): row["median"] for row in rows}
    return [
        {
            **row,
            "images_per_second": row["batch"] / row["median"],
            "time_over_direct_floor": row["median"] / medians[row["batch"], DIRECT],
            "time_over_winograd_floor": row["median"] / medians[row["batch"], WINOGRAD],
            "time_over_npalexnet": row["median"] / medians[row["batch"], OURS],
        }
        for row in rows
    ]


def show(result: dict[str, Any]) -> str:
    """Return the table, below the first results."""
    header = (
        *("rival", "batch", "threads", "median ms", "min..max", "images/s", "GFLOP/s"),
        *("time / direct floor", "/ Winograd floor", "time / npalexnet's"),
    )
    rows = [
        (
            *(row["label"], str(row["batch"]), str(row["threads"]), f"{1e3 * row['median']:.1f}"),
            f"{1e3 * row['min']:.1f}..{1e3 * row['max']:.1f}",
            *(f"{row['images_per_second']:.1f}", f"{row['gflops_per_second']:.1f}"),
            *(f"{row['time_over_direct_floor']:.2f}", f"{row['time_over_winograd_floor']:.2f}"),
            f"{row['time_over_npalexnet']:.2f}",
        )
        for row in result["results"]
    ]
    about = [*convolutions.used_lines(result["winograd"]), *agreement_lines(result["first"])]
    return "\n".join([*about, "", table(header, rows)])


def agreement_lines(firsts: Mapping[int, Mapping[str, Mapping[str, float]]]) -> list[str]:
    """Return a line on each batch size and each of the first results."""
    return [
        f"same weights, batch of {images}, first {what}: "
        + ", ".join(f"{name} {values[what]:.6f}" for name, values in found.items())
        for images, found in firsts.items()
        for what in found[OURS]
    ]


def chart(what: str, result: dict[str, Any]) -> charts.Figure:
    """Draw a panel of bars for each batch size, with both floors as lines through it."""
    below = "milliseconds, median and min..max (less is better); floors: the best sgemm rate alone"
    figure, panels = charts.panel_each(what, result, 2.2, below)
    for axes, rows in panels:
        factors = {row["rival"]: f"  ({row['time_over_direct_floor']:.2f} x direct floor)" for row in rows}
        charts.bars(axes, {r["rival"]: [charts.bar(r, r["rival"], unit=" ms", more=factors[r["rival"]])] for r in rows})
        for row in rows:
            if row["rival"] in (DIRECT, WINOGRAD):
                axes.axvline(1e3 * row["median"], color=charts.COLOURS[row["rival"]], linestyle="--", zorder=0)
    return figure
