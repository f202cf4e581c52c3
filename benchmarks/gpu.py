"""How much faster than on the CPU is AlexNet on a GPU, beside torch on both?

The forward pass in eval mode and the training step, with the batch on the device already, in strict float32, TF32 and
bfloat16, by the same policy on both sides; what it takes to copy a batch there, and the device's memory, are measured
apart. Before anything is timed, logits, loss and gradients, without dropout, must agree. Where no GPU is usable it says
why, and measures the CPU alone.
"""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Any

import npalexnet as na
from benchmarks import charts, gpu_chart, gpu_contest, gpu_rivals, gpu_targets, machine, network
from benchmarks.attempts import Attempts, left_out_lines
from benchmarks.precisions import PRECISIONS
from benchmarks.torch_twin import torch_flags
from benchmarks.workload import settings
from npalexnet.backend.cuda.device import probe
from npalexnet.terminal import table

if TYPE_CHECKING:
    from matplotlib.figure import Figure

BATCH_SIZES, ROUNDS = [1, 8, 32, 128, 512], 5
LARGEST_ON_CPU = 128
TITLE = "AlexNet on CPU and GPU"
MIB = 2**20


def run(arguments: argparse.Namespace, say: network.Say) -> dict[str, Any]:
    """Answer the question."""
    found = machine.environment()
    ours, others = network.trainers(arguments, say)
    state = ours.model.state_dict()
    batches = gpu_contest.batches_of(arguments.batch_sizes, arguments.classes)
    on_cpu = gpu_contest.for_the_cpu(arguments.batch_sizes, LARGEST_ON_CPU)
    attempts = Attempts(say)
    contests = gpu_contest.Contests(arguments, ours.model, say, attempts)
    contests.on_cpu([ours, *others], {images: batches[images] for images in on_cpu})

    makers = gpu_rivals.makers(arguments, state, say)
    precisions = [PRECISIONS[name] for name in arguments.precisions]
    held = gpu_contest.memory(makers, precisions, batches, attempts)
    rivals = [make() for make in makers]
    copies = gpu_contest.copies(rivals, batches, arguments, say) if rivals else []
    flags = {p.name: contests.on_gpu(gpu_rivals.with_graphs(rivals), p, batches) for p in precisions if rivals}
    na.set_float32_matmul_precision("highest")
    names = ["float32"] if not rivals else arguments.precisions
    return {
        "question": "gpu",
        **found,
        "gpu": {"found": probe().reason, "rivals": [rival.name for rival in rivals]},
        "settings": {**settings(arguments), "dtype": ", ".join(names), "precisions": names},
        "torch_flags": torch_flags(),
        "flags": flags,
        "differences": contests.differences,
        "left_out": attempts.left_out,
        "results": contests.rows,
        "copies": copies,
        "memory": held,
        "targets": [t._asdict() for t in gpu_targets.of_network(contests.rows, arguments.precisions)] if rivals else [],
    }


def show(result: dict[str, Any]) -> str:
    """Return the tables."""
    gpu = result["gpu"]
    about = f"GPU: {gpu['found']}{'' if gpu['rivals'] else '; the CPU alone was measured, in float32'}"
    parts = ["\n".join([network.preamble(TITLE, result), about, *_policy(result), *left_out_lines(result["left_out"])])]
    parts.append(table(TIMES, [_times(row, result["results"]) for row in result["results"]], left=4))
    if result["copies"]:
        parts += ["Copy of a batch to the GPU, from ordinary memory, by the host's clock", _copies(result["copies"])]
    if result["memory"]:
        parts += ["Peak device memory of a step, in MiB", _memory(result["memory"])]
    if result["targets"]:
        parts.append(gpu_targets.show(result))
    return "\n\n".join(parts)


def _policy(result: dict[str, Any]) -> list[str]:
    """Return what each precision is, how far apart the first results were, and the flags of both libraries."""
    lines = []
    for name, differences in result["differences"].items():
        precision = PRECISIONS[name]
        apart = ", ".join(f"{what} {difference:.1e}" for what, difference in differences.items())
        lines.append(
            f"{name}: {precision.what}; the first results differ by at most: {apart} ({precision.tolerance:.1e})"
        )
        lines += [f"  {line}" for line in result["flags"].get(name, [])]
    return lines


TIMES = (
    *("precision", "task", "batch", "rival", "ms", "min..max", "ms until done", "images/s", "TFLOP/s"),
    *("speed / torch's", "speed / CPU's"),
)


def _times(row: dict[str, Any], rows: list[dict[str, Any]]) -> tuple[str, ...]:
    """Return a row of the first table; torch's time is that of its faster layout, in eager mode, on the same device."""
    same = [r for r in rows if all(r[key] == row[key] for key in ("place", "precision", "task", "batch"))]
    torch = [r["median"] for r in same if "torch" in r["rival"] and gpu_rivals.GRAPH not in r["rival"]]
    cpu = [
        r["median"]
        for r in rows
        if r["rival"] == network.OURS and (r["task"], r["batch"]) == (row["task"], row["batch"])
    ]
    return (
        *(row["precision"], row["task"], str(row["batch"]), row["rival"], charts.short(1e3 * row["median"])),
        f"{charts.short(1e3 * row['min'])}..{charts.short(1e3 * row['max'])}",
        *(charts.short(1e3 * row["until_done"]), f"{row['batch'] / row['median']:,.0f}"),
        f"{row['gflops_per_second'] / 1e3:.2f}",
        f"{min(torch) / row['median']:.2f}" if torch else "-",
        f"{cpu[0] / row['median']:.2f}" if cpu else "-",
    )


def _copies(rows: list[dict[str, Any]]) -> str:
    cells = [
        (
            *(str(row["batch"]), row["rival"], f"{row['bytes'] / MIB:.1f}", charts.short(1e3 * row["median"])),
            f"{charts.short(1e3 * row['min'])}..{charts.short(1e3 * row['max'])}",
            f"{row['bytes_per_second'] / 1e9:.1f}",
        )
        for row in rows
    ]
    return table(("batch", "rival", "MiB", "ms", "min..max", "GB/s"), cells, left=2)


def _memory(rows: list[dict[str, Any]]) -> str:
    cells = [
        (row["precision"], str(row["batch"]), row["rival"], *(f"{row[kind] / MIB:,.0f}" for kind in KINDS))
        for row in sorted(rows, key=lambda row: (list(PRECISIONS).index(row["precision"]), row["batch"]))
    ]
    return table(("precision", "batch", "rival", *KINDS), cells, left=3)


KINDS = ("reserved", "allocated")


def chart(result: dict[str, Any]) -> Figure:
    """Draw the bars, see `gpu_chart`."""
    return gpu_chart.draw(gpu_targets.headline(TITLE, result), result)
