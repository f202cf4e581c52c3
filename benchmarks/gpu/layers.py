"""How long does each layer of AlexNet take on a GPU, beside torch's, and what of the device's best is that?

Each layer alone, and each of npalexnet's kernels, in every precision, with cold caches, between two events; and, in the
same run, what the device can do at best: copy memory, and multiply matrices. Where no GPU is usable it says why, and
measures the CPU in its place.
"""

from __future__ import annotations

import argparse
from functools import partial
from typing import Any

import npalexnet as na
from benchmarks import charts, rounds
from benchmarks.attempts import Attempts, left_out_lines
from benchmarks.gpu import ceilings, targets
from benchmarks.gpu.kernels import kernel_times
from benchmarks.layer_comparison import draw, layer_times, pairs_of
from benchmarks.precisions import PRECISIONS
from benchmarks.rivals import lineup
from benchmarks.rivals.rival import OURS, flags_of, is_ours
from benchmarks.rivals.torch_network import torch_flags
from benchmarks.rounds import Say
from benchmarks.workload import settings
from npalexnet.backend.cuda.device import probe
from npalexnet.terminal import table

BATCH_SIZES, ROUNDS = [128], 5
TITLE = "AlexNet's layers and kernels on a GPU, each alone"
LARGEST_ON_CPU = 32


def run(arguments: argparse.Namespace, say: Say) -> dict[str, Any]:
    attempts = Attempts(say)
    state = na.AlexNet(num_classes=arguments.classes, seed=0, init="torch").state_dict()
    rivals = [make() for make in lineup.makers(arguments, state, say, lineup.ON_GPU)]
    on_gpu = bool(rivals) and is_ours(rivals[0].name)
    if on_gpu:
        arguments = rounds.replaced(arguments, pause=0.0)  # there is nobody to wait for on a GPU
    else:
        rivals = [make() for make in lineup.makers(arguments, state, say, lineup.ON_CPU)]
        sizes = list(dict.fromkeys(min(images, LARGEST_ON_CPU) for images in arguments.batch_sizes))
        arguments = rounds.replaced(arguments, batch_sizes=sizes)
    names = arguments.precisions if on_gpu else ["fp32"]
    timed = [name for name in names if name != "tf32" or "fp32" not in names]  # both have the same kernels
    copy = ceilings.copy_bandwidth(rivals[0], arguments, say)
    products, rows, kernels, flags = [], [], [], {}
    for name in names:
        precision = PRECISIONS[name]
        able = [rival for rival in rivals if attempts.worked(rival.name, name, None, partial(rival.use, precision))]
        if rivals[0] not in able:
            continue
        flags[name] = flags_of(able)
        for images in arguments.batch_sizes:
            products += ceilings.product_rates(able[:2], precision, images, arguments, attempts)
            for case, measured, _ in layer_times(able, precision, images, arguments, attempts):
                rows += [{**row, "bytes": case.least_bytes(row["pass"], precision.itemsize)} for row in measured]
            if name in timed:
                kernels += kernel_times(rivals[0], precision, images, arguments, attempts)
    na.set_float32_matmul_precision("highest")
    if not rows:
        raise RuntimeError("\n".join(["no layer could be measured", *left_out_lines(attempts.left_out)]))
    bandwidth = copy["bytes_per_second"]
    kernels = [{**row, "of_copy": row["bytes_per_second"] / bandwidth} for row in kernels]
    return {
        "gpu": {"found": probe().reason, "rivals": [rival.name for rival in rivals] if on_gpu else []},
        "settings": {**settings(arguments), "dtype": ", ".join(names) if on_gpu else "float32", "precisions": names},
        "torch_flags": torch_flags(),
        "flags": flags,
        "left_out": attempts.left_out,
        "copy": copy,
        "products": products,
        "results": with_shares(rows, products, bandwidth),
        "kernels": kernels,
        "targets": targets.of_kernels(kernels, timed) if on_gpu else [],
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
    gpu, copy = result["gpu"], result["copy"]
    about = f"GPU: {gpu['found']}{'' if gpu['rivals'] else '; the CPU was measured in its place, in float32'}"
    flags = [f"{name}: {PRECISIONS[name].what}\n  " + "\n  ".join(lines) for name, lines in result["flags"].items()]
    parts = ["\n".join([about, *flags, *left_out_lines(result["left_out"])])]
    parts.append(f"A copy reads and writes {copy['bytes'] / 1e6:,.0f} MB at {copy['bytes_per_second'] / 1e9:,.1f} GB/s")
    parts.append(table(PRODUCTS, [_product(row) for row in result["products"]], left=3))
    if result["kernels"]:
        parts.append(table(KERNELS, [_kernel(row) for row in result["kernels"]], left=3))
    pairs = pairs_of(result["results"])
    parts.append(table(LAYERS, [_layer(*key, **rivals) for key, rivals in pairs.items()], left=5))
    if result["targets"]:
        parts.append(targets.show(result))
    return "\n\n".join(parts)


PRODUCTS = ("precision", "matrix product", "rival", "ms", "TFLOP/s")


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
        numbers[0] = f"{ours['bytes'] / 1e6:,.1f}"
        numbers[1:3] = f"{ours['bytes_per_second'] / 1e9:,.0f}", f"{ours['of_copy']:.0%}"
    if ours and ours["of_products"] is not None:
        numbers[3:] = [f"{ours['flops_per_second'] / 1e12:.2f}", f"{ours['of_products']:.0%}"]
    return (
        *(precision, str(batch), layer, which, shape),
        f"{1e3 * ours['median']:.4f}" if ours else "-",
        f"{1e3 * torch['median']:.4f}" if torch else "-",
        f"{torch['median'] / ours['median']:.2f}" if ours and torch else "-",
        *numbers,
    )


def chart(result: dict[str, Any]) -> charts.Figure:
    """Draw the pairs of bars, and below them the kernels: float32 on the left, bfloat16 on the right."""
    kernels = result["kernels"]
    figure, panels = draw(targets.headline(TITLE, result), result, bool(kernels))
    for axes, names in zip(panels[-1] if kernels else (), (("fp32", "tf32"), ("bf16",)), strict=False):
        first = next((row["precision"] for row in kernels if row["precision"] in names), None)
        shares = {
            f"{row['kernel']}, {row['what']}": [charts.bar({"median": row["of_copy"]}, OURS, 100, unit=" %")]
            for row in kernels
            if row["precision"] == first
        }
        if not shares:
            axes.set_axis_off()
            continue
        charts.bars(axes, shares)
        axes.axvline(100 * targets.COPY_SHARE, color="black", linestyle="--", linewidth=1)
        charts.title(axes, f"{first}, kernels: % of a copy's bandwidth; line: target")
    return figure
