"""How long does each layer of AlexNet take alone, forward and backward, beside torch's?

In training mode, with inputs laid out in memory as in each library's network. Before a layer is timed,
outputs and gradients must agree (Dropout's can't: each library draws masks of its own).
"""

from __future__ import annotations

import argparse
from typing import Any

from benchmarks import charts, convolutions
from benchmarks.attempts import Attempts
from benchmarks.layer_cases import PASSES
from benchmarks.layer_comparison import draw, layer_times, pairs_of
from benchmarks.precisions import FP32
from benchmarks.rivals import gemm_lower_bound, lineup
from benchmarks.rivals.torch_network import torch_flags
from benchmarks.rounds import Say
from npalexnet.terminal import table

BATCH_SIZES, ROUNDS = [32], 7
TITLE = "AlexNet's layers, each alone"


def run(arguments: argparse.Namespace, say: Say) -> dict[str, Any]:
    ours, others = lineup.on_cpu(arguments, say)
    rivals = [ours, lineup.held_to_im2col(arguments, ours), *others[:1]]
    say("looking for the fastest sgemm")
    lowest = gemm_lower_bound.GemmLowerBound(arguments.threads, gemm_lower_bound.products(ours.model))
    threads = {rival.name: rival.threads for rival in rivals}
    rows: list[dict[str, Any]] = []
    for images in arguments.batch_sizes:
        for _, measured, sgemm in layer_times(rivals, FP32, images, arguments, Attempts(say, strict=True), lowest):
            torch = {row["pass"]: row["median"] for row in measured if row["rival"] == "torch"}
            for row in measured:
                row["threads"] = threads[row["rival"]]
                if sgemm:
                    row["gflops_per_second"] = row["flops"] / row["median"] / 1e9
                    row["sgemm_gflops_per_second"] = sgemm / 1e9
                if torch:
                    row["time_over_torch"] = row["median"] / torch[row["pass"]]
                rows.append(row)
    used = convolutions.used(ours.model, arguments.batch_sizes)
    return {"torch_flags": torch_flags(), "winograd": used, "sgemm": lowest.label, "results": rows}


def show(result: dict[str, Any]) -> str:
    columns = ("im2col's", "torch's", "ratio", "GFLOP/s", "of sgemm")
    header = ("layer", "input", *(cell for which in PASSES for cell in (f"{which} ms", *columns)))
    parts = [result["sgemm"], *convolutions.used_lines(result["winograd"])]
    pairs = pairs_of(result["results"])
    shapes = {(row["batch"], row["layer"]): row["input_shape"] for row in result["results"]}
    for batch in dict.fromkeys(batch for batch, _ in shapes):
        rows = [
            (
                *(layer, " x ".join(map(str, shape))),
                *(cell for which in PASSES for cell in _cells(**pairs.get((FP32.name, batch, layer, which), {}))),
            )
            for (images, layer), shape in shapes.items()
            if images == batch
        ]
        parts += [f"\nbatch of {batch}\n", table(header, rows, left=2)]
    return "\n".join(parts)


def _cells(ours: Any = None, im2col: Any = None, torch: Any = None) -> tuple[str, ...]:
    if ours is None:
        return ("-",) * 6
    products = ours["flops"] > 0
    return (
        f"{1e3 * ours['median']:.3f}",
        *(f"{1e3 * row['median']:.3f}" if row else "-" for row in (im2col, torch)),
        f"{ours['time_over_torch']:.2f}" if torch else "-",
        f"{ours['gflops_per_second']:.1f}" if products else "-",
        f"{ours['gflops_per_second'] / ours['sgemm_gflops_per_second']:.0%}" if products else "-",
    )


def chart(result: dict[str, Any]) -> charts.Figure:
    return draw(TITLE, result)[0]
