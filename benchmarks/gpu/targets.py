"""The targets of the GPU questions, what was measured, and whether they are met."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from benchmarks.rivals.rival import GRAPH
from npalexnet.terminal import table

OURS, THEIRS = ("npalexnet, GPU",), ("torch, GPU", "torch, channels_last, GPU")  # as they are; graphs apart
STEP_BATCH, FORWARD_BATCH = 128, 1
STEP = {"fp32": 0.9, "tf32": 0.8, "bf16": 0.8}  # torch's time over npalexnet's
FORWARD = 1.5
COPY_SHARE = 0.7  # of the bandwidth of a copy
SET_FOR = "H200"
KERNELS = ("im2col", "col2im", "max_pool_with_indices", "max_pool_gradient", "sgd")


def verdict(asked: float, measured: float | None) -> str:
    """Return whether a target is met."""
    return "not measured" if measured is None else "met" if measured >= asked else "missed"


def show(result: Mapping[str, Any]) -> str:
    """Return the table of a result's targets."""
    cells = []
    for target in result["targets"]:
        asked, measured = target["asked"], target["measured"]
        number = "-" if measured is None else f"{measured:.2f}"
        cells.append((target["what"], f"{asked:.2f}", number, verdict(asked, measured)))
    header = (f"target, set for an {SET_FOR}", "at least", "measured", "verdict")
    return f"measured on: {result['gpu']['found']}\n\n{table(header, cells)}"


def headline(title: str, result: Mapping[str, Any]) -> str:
    """Return the heading of a chart, with the GPU where one was measured."""
    return f"{title}\n{result['gpu']['found']}" if result["gpu"]["rivals"] else title


def of_network(rows: Iterable[Mapping[str, Any]], precisions: Sequence[str]) -> list[dict[str, Any]]:
    """Return the targets of the question `gpu`.

    torch's time is its faster layout's, in eager mode, in the same precision and the same run;
    npalexnet's forward may be a CUDA graph, which is what it has against the time of launches.
    """
    found = {(row["precision"], row["task"], row["batch"], row["rival"]): row["median"] for row in rows}
    graphs = (*OURS, f"{OURS[0]}, {GRAPH}")
    targets = []
    for precision in precisions:
        for task, batch, asked, ours in (
            ("step", STEP_BATCH, STEP[precision], OURS),
            ("forward", FORWARD_BATCH, FORWARD, graphs),
        ):
            best = [
                min((found[key] for name in names if (key := (precision, task, batch, name)) in found), default=None)
                for names in (THEIRS, ours)
            ]
            speed = best[0] / best[1] if best[0] and best[1] else None
            what = f"{precision}, {task} of {batch}: speed over torch's eager"
            targets.append({"what": what, "asked": asked, "measured": speed})
    return targets


def of_kernels(rows: Iterable[Mapping[str, Any]], precisions: Sequence[str]) -> list[dict[str, Any]]:
    """Return the targets of the question `gpu-layers`: each kernel's share of the bandwidth, at its worst shape."""
    targets = []
    for precision in precisions:
        for kernel in KERNELS:
            here = [row for row in rows if (row["precision"], row["kernel"]) == (precision, kernel)]
            worst = min(here, key=lambda row: row["of_copy"], default={"of_copy": None})
            where = f" ({worst['what']})" if here else ""
            what = f"{precision}, {kernel}{where}: share of a copy's bandwidth"
            targets.append({"what": what, "asked": COPY_SHARE, "measured": worst["of_copy"]})
    return targets
