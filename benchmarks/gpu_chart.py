"""The chart of the question `gpu`: bars side by side, grouped by precision."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from benchmarks import charts
from benchmarks.gpu_rivals import GRAPH, TASKS

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Bars = Mapping[str, charts.Bar]  # by rival
NAMES = {"fp32": "float32", "tf32": "TF32", "bf16": "bfloat16"}


def draw(title: str, result: Mapping[str, Any]) -> Figure:
    """Draw a row of panels for each batch size on the GPU, then the CPU's times per image, and the memory."""
    rows, memory = result["results"], result["memory"]
    gpu = [row for row in rows if row["place"] == "GPU"]
    cpu = [row for row in rows if row["place"] == "CPU"]
    batches = list(dict.fromkeys(row["batch"] for row in gpu))
    count = len(batches) + bool(cpu) + bool(memory)
    figure, panels = charts.sheet(title, result, rows=count, columns=2, height=2.4, width=13)
    for line, batch in zip(panels, batches, strict=False):
        for axes, task in zip(line, TASKS, strict=True):
            here = [row for row in gpu if (row["batch"], row["task"]) == (batch, task)]
            grouped_bars(axes, _by(here, "precision", NAMES), "milliseconds")
            axes.set_title(f"{task} on the GPU, batch of {batch}: ms", loc="left", size=10)
    if cpu:
        for axes, task in zip(panels[len(batches)], TASKS, strict=True):
            groups = {row["batch"]: f"batch of {row['batch']}" for row in cpu}
            here = [row for row in cpu if row["task"] == task]
            grouped_bars(axes, _by(here, "batch", groups, lambda row: 1e3 / row["batch"]), "ms an image")
            axes.set_title(f"{task} on the CPU, float32: ms an image", loc="left", size=10)
    if memory:
        _memory(panels[-1], memory)
    names = list(dict.fromkeys(row["rival"] for row in (*gpu, *cpu)))
    _legend(figure, names)
    return figure


def grouped_bars(axes: Axes, groups: Mapping[str, Bars], what: str) -> None:
    """Draw groups of vertical bars with whiskers, and each one's value above it."""
    rivals = list(dict.fromkeys(rival for bars in groups.values() for rival in bars))
    width = 0.84 / max(1, len(rivals))
    highest, turned = 0.0, 90 if len(rivals) * len(groups) > 12 else 0  # narrow bars
    for place, bars in enumerate(groups.values()):
        for rival, bar in bars.items():
            x = place + (rivals.index(rival) + 0.5) * width - 0.42
            whiskers = [[bar.median - bar.low], [bar.high - bar.median]]
            axes.bar(x, bar.median, 0.92 * width, yerr=whiskers, capsize=2, **_look(rival))
            text = charts.short(bar.median)
            above = (0, 5 if turned else 2)  # points
            axes.annotate(text, (x, bar.high), above, textcoords="offset points", ha="center", size=7, rotation=turned)
            highest = max(highest, bar.high)
    axes.set_xticks(range(len(groups)), list(groups))
    axes.set_ylim(0, (1.4 if turned else 1.15) * highest or 1)
    axes.set_ylabel(what, size=8)
    charts.tidy(axes)


def _by(rows: Sequence[Mapping[str, Any]], key: str, names: Mapping[Any, str], scale: Any = None) -> Mapping[str, Bars]:
    """Group rows into bars in milliseconds, or scaled by what `scale` makes of the row."""
    groups: dict[str, dict[str, charts.Bar]] = {}
    for row in rows:
        factor = scale(row) if scale else 1e3
        numbers = (factor * row[kind] for kind in ("median", "min", "max"))
        groups.setdefault(names[row[key]], {})[row["rival"]] = charts.Bar(row["rival"], *numbers)
    return groups


def _memory(line: Sequence[Axes], rows: Sequence[Mapping[str, Any]]) -> None:
    """Draw the memory that a step reserves at the smallest and at the largest batch size."""
    sizes = sorted({row["batch"] for row in rows})
    for axes, images in zip(line, (sizes[0], sizes[-1]), strict=True):
        groups: dict[str, dict[str, charts.Bar]] = {}
        for row in rows:
            if row["batch"] == images:
                size = row["reserved"] / 2**20
                groups.setdefault(NAMES[row["precision"]], {})[row["rival"]] = charts.Bar(
                    row["rival"], size, size, size
                )
        grouped_bars(axes, groups, "MiB")
        axes.set_title(f"device memory reserved for steps, batch of {images}: MiB", loc="left", size=10)


def _look(rival: str) -> dict[str, Any]:
    """Return the colour of a rival, and the hatch of its graph."""
    eager = rival.removesuffix(f", {GRAPH}")
    return {"facecolor": charts.COLOURS[eager], **({} if eager == rival else {"hatch": "////", "edgecolor": "white"})}


def _legend(figure: Figure, rivals: Sequence[str]) -> None:
    from matplotlib.patches import Patch

    handles = [Patch(**_look(rival), label=rival) for rival in rivals]
    handles.append(Patch(color="none", label="median and min..max, less is better"))
    figure.legend(handles=handles, loc="outside lower center", ncols=5, frameon=False, fontsize=9)
