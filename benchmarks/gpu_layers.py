"""How long does each layer of AlexNet take on a GPU, beside torch's, and what of the device's best is that?

Each layer alone, and each of npalexnet's kernels, in every precision, with cold caches, between two events; and, in the
same run, what the device can do at best: copy memory, and multiply matrices. Where no GPU is usable it says why, and
measures the CPU in its place.
"""

from __future__ import annotations

import argparse
from functools import partial
from typing import TYPE_CHECKING, Any

import npalexnet as na
from benchmarks import charts, gpu_ceilings, gpu_layer_times, gpu_rivals, gpu_targets, machine, network
from benchmarks.attempts import Attempts, left_out_lines
from benchmarks.gpu_rivals import is_ours
from benchmarks.layer_sides import PASSES
from benchmarks.precisions import PRECISIONS
from benchmarks.torch_twin import torch_flags
from benchmarks.workload import settings
from npalexnet.backend.cuda.device import probe
from npalexnet.terminal import table

if TYPE_CHECKING:
    from matplotlib.figure import Figure

BATCH_SIZES, ROUNDS = [128], 5
TITLE = "AlexNet's layers and kernels on a GPU, each alone"
LARGEST_ON_CPU = 32
ON_CPU = {"npalexnet": "cpu", "torch": "cpu"}


def run(arguments: argparse.Namespace, say: network.Say) -> dict[str, Any]:
    """Answer the question."""
    found, attempts = machine.environment(), Attempts(say)
    state = na.AlexNet(num_classes=arguments.classes, seed=0).state_dict()
    rivals = [make() for make in gpu_rivals.makers(arguments, state, say)]
    on_gpu = bool(rivals) and is_ours(rivals[0].name)
    if not on_gpu:
        rivals = [make() for make in gpu_rivals.makers(arguments, state, say, ON_CPU)]
        sizes = list(dict.fromkeys(min(images, LARGEST_ON_CPU) for images in arguments.batch_sizes))
        arguments = argparse.Namespace(**{**vars(arguments), "batch_sizes": sizes})
    else:
        arguments = argparse.Namespace(**{**vars(arguments), "pause": 0.0})  # there is nobody to wait for on a GPU
    names = arguments.precisions if on_gpu else ["fp32"]
    timed = [name for name in names if name != "tf32" or "fp32" not in names]  # both have the same kernels
    copy = gpu_ceilings.copy_bandwidth(rivals[0], arguments, say)
    rows: dict[str, list[dict[str, Any]]] = {"products": [], "results": [], "kernels": []}
    flags = {}
    for name in names:
        precision = PRECISIONS[name]
        fit = [rival for rival in rivals if attempts.worked(rival.name, name, None, partial(rival.use, precision))]
        if rivals[0] not in fit:
            continue
        flags[name] = gpu_rivals.flags_of(fit)
        for images in arguments.batch_sizes:
            rows["products"] += gpu_layer_times.products(fit, precision, images, arguments, attempts)
            rows["results"] += gpu_layer_times.layers(fit, precision, images, arguments, attempts)
            if name in timed:
                rows["kernels"] += gpu_layer_times.kernels(rivals[0], precision, images, arguments, attempts)
    na.set_float32_matmul_precision("highest")
    if not rows["results"]:
        raise RuntimeError("\n".join(["no layer could be measured", *left_out_lines(attempts.left_out)]))
    bandwidth = copy["bytes_per_second"]
    kernels = [{**row, "of_copy": row["bytes_per_second"] / bandwidth} for row in rows["kernels"]]
    return {
        "question": "gpu-layers",
        **found,
        "gpu": {"found": probe().reason, "rivals": [rival.name for rival in rivals] if on_gpu else []},
        "settings": {**settings(arguments), "dtype": ", ".join(names) if on_gpu else "float32", "precisions": names},
        "torch_flags": torch_flags(),
        "flags": flags,
        "left_out": attempts.left_out,
        "copy": copy,
        "products": rows["products"],
        "results": with_shares(rows["results"], rows["products"], bandwidth),
        "kernels": kernels,
        "targets": [target._asdict() for target in gpu_targets.of_kernels(kernels, timed)] if on_gpu else [],
    }


def with_shares(rows: list[dict[str, Any]], products: list[dict[str, Any]], bandwidth: float) -> list[dict[str, Any]]:
    """Add what follows from the medians: rates, and the shares of the ceilings of the same precision."""
    best: dict[str, float] = {}
    for product in products:
        best[product["precision"]] = max(best.get(product["precision"], 0.0), product["flops_per_second"])
    found = []
    for row in rows:
        moved, multiplied = row["bytes"] / row["median"], row["flops"] / row["median"]
        highest = best.get(row["precision"]) if row["flops"] else None
        shares = {"of_copy": moved / bandwidth, "of_products": multiplied / highest if highest else None}
        found.append({**row, "bytes_per_second": moved, "flops_per_second": multiplied, **shares})
    return found


def show(result: dict[str, Any]) -> str:
    """Return the tables: ceilings, kernels, layers, targets."""
    gpu, copy = result["gpu"], result["copy"]
    about = f"GPU: {gpu['found']}{'' if gpu['rivals'] else '; the CPU was measured in its place, in float32'}"
    flags = [f"{name}: {PRECISIONS[name].what}\n  " + "\n  ".join(lines) for name, lines in result["flags"].items()]
    parts = ["\n".join([network.preamble(TITLE, result), about, *flags, *left_out_lines(result["left_out"])])]
    parts.append(f"A copy reads and writes {copy['bytes'] / 1e6:,.0f} MB at {copy['bytes_per_second'] / 1e9:,.1f} GB/s")
    parts.append(
        table(
            ("precision", "matrix product", "rival", "ms", "TFLOP/s"),
            [_product(row) for row in result["products"]],
            left=3,
        )
    )
    if result["kernels"]:
        parts.append(table(KERNELS, [_kernel(row) for row in result["kernels"]], left=3))
    pairs = by_layer(result)
    parts.append(table(LAYERS, [_layer(*key, **rivals) for key, rivals in pairs.items()], left=5))
    if result["targets"]:
        parts.append(gpu_targets.show(result))
    return "\n\n".join(parts)


def by_layer(result: dict[str, Any]) -> dict[tuple[str, int, str, str], dict[str, Any]]:
    """Return, by precision, batch, layer and pass, npalexnet's row as "ours", and that of torch's faster layout."""
    found: dict[tuple[str, int, str, str], dict[str, Any]] = {}
    for row in result["results"]:
        pair = found.setdefault(
            (row["precision"], row["batch"], row["layer"], row["pass"]), {"ours": None, "torch": None}
        )
        if is_ours(row["rival"]):
            pair["ours"] = row
        elif pair["torch"] is None or row["median"] < pair["torch"]["median"]:
            pair["torch"] = row
    return found


def _product(row: dict[str, Any]) -> tuple[str, ...]:
    rate = f"{row['flops_per_second'] / 1e12:.2f}"
    return row["precision"], row["product"], row["rival"], charts.short(1e3 * row["median"]), rate


KERNELS = ("precision", "kernel", "where", "shape", "ms", "MB", "GB/s", "of copy")


def _kernel(row: dict[str, Any]) -> tuple[str, ...]:
    return (
        *(row["precision"], row["kernel"], row["what"], " x ".join(map(str, row["shape"]))),
        *(f"{1e3 * row['median']:.4f}", f"{row['bytes'] / 1e6:,.1f}", f"{row['bytes_per_second'] / 1e9:,.0f}"),
        f"{row['of_copy']:.0%}",
    )


LAYERS = (
    *("precision", "batch", "layer", "pass", "input", "ms", "torch's", "speed / torch's"),
    *("MB", "GB/s", "of copy", "TFLOP/s", "of products"),
)


def _layer(precision: str, batch: int, layer: str, which: str, ours: Any, torch: Any) -> tuple[str, ...]:
    shape = " x ".join(map(str, (ours or torch)["input_shape"]))
    numbers = ["-"] * 5
    if ours:
        numbers[:3] = [
            f"{ours['bytes'] / 1e6:,.1f}",
            f"{ours['bytes_per_second'] / 1e9:,.0f}",
            f"{ours['of_copy']:.0%}",
        ]
    if ours and ours["of_products"] is not None:
        numbers[3:] = [f"{ours['flops_per_second'] / 1e12:.2f}", f"{ours['of_products']:.0%}"]
    return (
        *(precision, str(batch), layer, which, shape),
        f"{1e3 * ours['median']:.4f}" if ours else "-",
        f"{1e3 * torch['median']:.4f}" if torch else "-",
        f"{torch['median'] / ours['median']:.2f}" if ours and torch else "-",
        *numbers,
    )


def chart(result: dict[str, Any]) -> Figure:
    """Draw pairs of bars, forward and backward, in each precision; and the kernels' share of a copy's bandwidth."""
    pairs = by_layer(result)
    rows = list(dict.fromkeys(key[:2] for key in pairs))
    layers = max(len({key[2] for key in pairs if key[:2] == row}) for row in rows)
    kernels = result["kernels"]
    figure, panels = charts.sheet(
        gpu_targets.headline(TITLE, result), result, len(rows) + bool(kernels), 2, height=0.36 * layers, width=13
    )
    for line, (precision, batch) in zip(panels, rows, strict=False):
        for axes, which in zip(line, PASSES, strict=True):
            bars = {key[2]: pair for key, pair in pairs.items() if key[:2] == (precision, batch) and key[3] == which}
            charts.paired_bars(axes, {layer: _milliseconds(**pair) for layer, pair in bars.items()})
            axes.set_title(f"{precision}, {which} of {batch}: ms, ratio (less is better)", loc="left", size=10)
    if kernels:
        _draw_kernels(panels[-1], kernels)
    torch = {"torch, the faster layout": charts.COLOURS["torch"]} if any(p["torch"] for p in pairs.values()) else {}
    others = {"kernels without a target": charts.COLOURS["floor"]} if kernels else {}
    charts.legend_below(figure, {"npalexnet": charts.COLOURS["npalexnet"], **torch, **others})
    return figure


def _milliseconds(ours: Any, torch: Any) -> dict[str, float]:
    return {name: 1e3 * row["median"] for name, row in (("npalexnet", ours), ("torch", torch)) if row}


def _draw_kernels(line: Any, kernels: list[dict[str, Any]]) -> None:
    """Draw each kernel's share, float32 on the left and bfloat16 on the right, with the target as a line."""
    for axes, names in zip(line, (("fp32", "tf32"), ("bf16",)), strict=True):
        first = next((row["precision"] for row in kernels if row["precision"] in names), None)
        here = [row for row in kernels if row["precision"] == first]
        if not here:
            axes.set_axis_off()
            continue
        shares = [100 * row["of_copy"] for row in here]
        colours = [charts.COLOURS["npalexnet" if row["kernel"] in gpu_targets.KERNELS else "floor"] for row in here]
        axes.barh(range(len(here)), shares, color=colours, height=0.7)
        names_of = [f"{row['kernel']}, {row['what']}" for row in here]
        charts.label_bars(axes, names_of, shares, [f"{share:.0f} %" for share in shares])
        axes.axvline(100 * gpu_targets.COPY_SHARE, color="black", linestyle="--", linewidth=1)
        axes.set_title(f"{first}, kernels: % of a copy's bandwidth; line: target", loc="left", size=10)
