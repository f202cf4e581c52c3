"""What the GPU questions are asked to show: each target, what was measured, and whether it is met."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from benchmarks import network
from benchmarks.gpu_rivals import GRAPH
from npalexnet.terminal import table

OURS, THEIRS = f"{network.OURS}, GPU", ("torch, GPU", "torch, channels_last, GPU")  # as they are; graphs apart
STEP_BATCH, FORWARD_BATCH = 128, 1
STEP = {"fp32": 0.9, "tf32": 0.8, "bf16": 0.8}  # torch's time over npalexnet's
FORWARD = 1.5
COPY_SHARE = 0.7  # of the bandwidth of a copy
SET_FOR = "H200"
KERNELS = ("im2col", "col2im", "max_pool", "max_pool_gradient", "sgd")


class Target(NamedTuple):
    """Something that should be reached.

    Attributes
    ----------
    what : str
        In words.
    asked : float or None
        The least that will do; None where it is to be reported only.
    measured : float or None
        None where it was not.
    """

    what: str
    asked: float | None
    measured: float | None

    @property
    def verdict(self) -> str:
        """Whether it is met."""
        if self.measured is None:
            return "not measured"
        if self.asked is None:
            return "reported"
        return "met" if self.measured >= self.asked else "missed"

    def cells(self) -> tuple[str, ...]:
        """Return a table's row."""
        asked, measured = ("-" if number is None else f"{number:.2f}" for number in (self.asked, self.measured))
        return self.what, asked, measured, self.verdict


def show(result: Mapping[str, Any]) -> str:
    """Return the table of a result's targets."""
    cells = [Target(**target).cells() for target in result["targets"]]
    header = (f"target, set for an {SET_FOR}", "at least", "measured", "verdict")
    return f"measured on: {result['gpu']['found']}\n\n{table(header, cells)}"


def headline(title: str, result: Mapping[str, Any]) -> str:
    """Return the heading of a chart, with the GPU where one was measured."""
    return f"{title}\n{result['gpu']['found']}" if result["gpu"]["rivals"] else title


def of_network(rows: Iterable[Mapping[str, Any]], precisions: Sequence[str]) -> list[Target]:
    """Return the targets of the question `gpu`.

    torch's time is that of the faster of its two layouts, in eager mode, in the same precision and the same run;
    npalexnet's forward may be a CUDA graph, which is what it has against the time of launches.
    """
    found = {(row["precision"], row["task"], row["batch"], row["rival"]): row["median"] for row in rows}

    def best(names: Iterable[str], *key: Any) -> float | None:
        return min((found[*key, name] for name in names if (*key, name) in found), default=None)

    targets = []
    for precision in precisions:
        step = (precision, "step", STEP_BATCH)
        speed = _ratio(best(THEIRS, *step), best([OURS], *step))
        targets.append(Target(f"{precision}, step of {STEP_BATCH}: speed over torch's eager", STEP[precision], speed))
        forward = (precision, "forward", FORWARD_BATCH)
        speed = _ratio(best(THEIRS, *forward), best([OURS, f"{OURS}, {GRAPH}"], *forward))
        targets.append(Target(f"{precision}, forward of {FORWARD_BATCH}: speed over torch's eager", FORWARD, speed))
    for precision in precisions:
        cpu = best([network.OURS], "fp32", "step", STEP_BATCH)
        speed = _ratio(cpu, best([OURS], precision, "step", STEP_BATCH))
        targets.append(Target(f"{precision}, step of {STEP_BATCH}: speed over npalexnet's on the CPU", None, speed))
    return targets


def of_kernels(rows: Iterable[Mapping[str, Any]], precisions: Sequence[str]) -> list[Target]:
    """Return the targets of the question `gpu-layers`: each kernel's share of the bandwidth, at its worst shape."""
    targets = []
    for precision in precisions:
        for kernel in KERNELS:
            here = [row for row in rows if (row["precision"], row["kernel"]) == (precision, kernel)]
            worst = min(here, key=lambda row: row["of_copy"], default=None)
            where = f" ({worst['what']})" if worst else ""
            share = worst["of_copy"] if worst else None
            targets.append(Target(f"{precision}, {kernel}{where}: share of a copy's bandwidth", COPY_SHARE, share))
    return targets


def _ratio(theirs: float | None, ours: float | None) -> float | None:
    return theirs / ours if theirs and ours else None
