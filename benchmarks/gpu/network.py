"""How much faster than on the CPU is AlexNet on a GPU, beside torch on both?

The forward pass in eval mode and the training step, with the batch on the device already, in strict float32, TF32 and
bfloat16, by the same policy on both sides; what it takes to copy a batch there, and the device's memory, are measured
apart. Before anything is timed, logits, loss and gradients, without dropout, must agree. Where no GPU is usable it says
why, and measures the CPU alone.
"""

from __future__ import annotations

import argparse
import gc
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import npalexnet as na
from benchmarks import charts, rounds
from benchmarks.attempts import Attempts, left_out_lines
from benchmarks.comparison import Batches, Comparison, Rows
from benchmarks.gpu import targets
from benchmarks.precisions import PRECISIONS, Precision
from benchmarks.rivals import lineup
from benchmarks.rivals.rival import GRAPH, OURS, TASKS, Graphed
from benchmarks.rivals.torch_network import torch_flags
from benchmarks.rounds import Say
from benchmarks.workload import random_batch, settings
from npalexnet.backend.cuda.device import probe
from npalexnet.terminal import table

BATCH_SIZES, ROUNDS = [1, 8, 32, 128, 512], 5
LARGEST_ON_CPU = 128
TITLE = "AlexNet on CPU and GPU"
MIB = 2**20


def run(arguments: argparse.Namespace, say: Say) -> dict[str, Any]:
    ours, others = lineup.on_cpu(arguments, say)
    state = ours.model.state_dict()
    batches = {images: random_batch(images, arguments.classes) for images in arguments.batch_sizes}
    attempts = Attempts(say)
    compared = Comparison(arguments, ours.model, say)
    compared.measure([ours, *others], {images: batches[images] for images in for_the_cpu(list(batches))})
    makers = lineup.makers(arguments, state, say, lineup.ON_GPU)
    precisions = [PRECISIONS[name] for name in arguments.precisions]
    held = peak_memory(makers, precisions, batches, attempts)
    rivals = [make() for make in makers]
    copies = copy_times(rivals, batches, arguments, say) if rivals else []
    both = [each for rival in rivals for each in (rival, Graphed(rival))]
    flags = {p.name: compared.measure(both, batches, precision=p, on_gpu=attempts) for p in precisions if both}
    na.set_float32_matmul_precision("highest")
    names = arguments.precisions if rivals else ["float32"]
    return {
        "gpu": {"found": probe().reason, "rivals": [rival.name for rival in rivals]},
        "settings": {**settings(arguments), "dtype": ", ".join(names), "precisions": names},
        "torch_flags": torch_flags(),
        "flags": flags,
        "differences": compared.differences,
        "left_out": attempts.left_out,
        "results": compared.rows,
        "copies": copies,
        "memory": held,
        "targets": targets.of_network(compared.rows, arguments.precisions) if rivals else [],
    }


def for_the_cpu(batch_sizes: list[int]) -> list[int]:
    """Return the batch sizes for the CPU: those up to `LARGEST_ON_CPU`, or the smallest."""
    return [images for images in batch_sizes if images <= LARGEST_ON_CPU] or [min(batch_sizes)]


def copy_times(rivals: Sequence[Any], batches: Batches, arguments: argparse.Namespace, say: Say) -> Rows:
    """Time the copy of each batch to the GPU, by the host's clock until it is there."""
    rows: Rows = []
    for images, batch in batches.items():
        say(f"copies to the GPU, batch of {images}")
        measurements = {rival.name: rounds.timed(partial(_copy, rival, batch)) for rival in rivals}
        times = rounds.interleaved(measurements, rounds.replaced(arguments, pause=0.0), say)
        size = sum(array.nbytes for array in batch)
        for name, seconds in times.items():
            found = rounds.summary(seconds)
            about = {"batch": images, "rival": name, "bytes": size, "bytes_per_second": size / found["median"]}
            rows.append({**about, **found})
    return rows


def peak_memory(
    makers: Sequence[Callable[[], Any]], precisions: Sequence[Precision], batches: Batches, attempts: Attempts
) -> Rows:
    """Return the peak device memory of a step, each rival alone."""
    rows: Rows = []
    for make in makers:
        rival = make()
        for precision in precisions:
            for images, batch in batches.items():
                attempts.say(f"memory of a step, {rival.name}, {precision.name}, batch of {images}")
                held = attempts.attempt(rival.name, precision.name, images, partial(_held, rival, precision, batch))
                if held:
                    rows.append({"rival": rival.name, "precision": precision.name, "batch": images, **held})
                rival.free()
        free = rival.free
        del rival
        gc.collect()
        free()
    return rows


def _copy(rival: Any, batch: Any) -> None:
    rival.upload(*batch)
    rival.synchronize()


def _held(rival: Any, precision: Precision, batch: Any) -> dict[str, int]:
    rival.use(precision)
    rival.take(*batch)
    return rival.peak_memory()


def show(result: dict[str, Any]) -> str:
    gpu = result["gpu"]
    about = f"GPU: {gpu['found']}{'' if gpu['rivals'] else '; the CPU alone was measured, in float32'}"
    parts = ["\n".join([about, *_policy(result), *left_out_lines(result["left_out"])])]
    parts.append(table(TIMES, [_times(row, result["results"]) for row in result["results"]], left=4))
    if result["copies"]:
        parts += ["Copy of a batch to the GPU, from ordinary memory, by the host's clock", _copies(result["copies"])]
    if result["memory"]:
        parts += ["Peak device memory of a step, in MiB", _memory(result["memory"])]
    if result["targets"]:
        parts.append(targets.show(result))
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
    torch = [r["median"] for r in same if "torch" in r["rival"] and GRAPH not in r["rival"]]
    here = {(r["rival"], r["task"], r["batch"]): r["median"] for r in rows}
    cpu = here.get((OURS, row["task"], row["batch"]))
    return (
        *(row["precision"], row["task"], str(row["batch"]), row["rival"], charts.short(1e3 * row["median"])),
        f"{charts.short(1e3 * row['min'])}..{charts.short(1e3 * row['max'])}",
        *(charts.short(1e3 * row["until_done"]), f"{row['batch'] / row['median']:,.0f}"),
        f"{row['gflops_per_second'] / 1e3:.2f}",
        f"{min(torch) / row['median']:.2f}" if torch else "-",
        f"{cpu / row['median']:.2f}" if cpu else "-",
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


def chart(result: dict[str, Any]) -> charts.Figure:
    """Draw a row of panels for each batch size on the GPU, then the CPU's times per image, and the memory."""
    memory = [{**row, "median": row["reserved"]} for row in result["memory"]]
    gpu, cpu = ([row for row in result["results"] if row["place"] == place] for place in ("GPU", "CPU"))
    panels: list[tuple[str, dict[str, list[charts.Bar]]]] = []
    for batch in dict.fromkeys(row["batch"] for row in gpu):
        for task in TASKS:
            here = [row for row in gpu if (row["batch"], row["task"]) == (batch, task)]
            panels.append((f"{task} on the GPU, batch of {batch}: ms", _bars(here, _precision)))
    for task in TASKS if cpu else ():
        here = [row for row in cpu if row["task"] == task]
        bars = _bars(here, lambda row: f"batch of {row['batch']}", lambda row: 1e3 / row["batch"])
        panels.append((f"{task} on the CPU, float32: ms an image", bars))
    sizes = sorted({row["batch"] for row in memory})
    for batch in sizes[:1] + sizes[-1:]:
        bars = _bars([row for row in memory if row["batch"] == batch], _precision, lambda row: 1 / MIB)
        panels.append((f"device memory reserved for steps, batch of {batch}: MiB", bars))
    figure, axes = charts.sheet(targets.headline(TITLE, result), result, len(panels) // 2, 2, height=3.6, width=13)
    for each, (title, bars) in zip(axes.flat, panels, strict=True):
        charts.bars(each, bars)
        charts.title(each, title)
    looks = {row["rival"]: charts.look(row["rival"]) for row in (*gpu, *cpu)}
    looks["median and min..max, less is better"] = {"color": "none"}
    charts.legend_below(figure, looks, ncols=5, fontsize=9)
    return figure


def _precision(row: dict[str, Any]) -> str:
    return {"fp32": "float32", "tf32": "TF32", "bf16": "bfloat16"}[row["precision"]]


def _bars(
    rows: list[dict[str, Any]], name: Callable[[Any], str], scale: Callable[[Any], float] = lambda row: 1e3
) -> dict[str, list[charts.Bar]]:
    """Return the bars of the rows, grouped by a name."""
    groups: dict[str, list[charts.Bar]] = {}
    for row in rows:
        groups.setdefault(name(row), []).append(charts.bar(row, row["rival"], scale(row)))
    return groups
