"""What all charts have in common: one colour for each rival, the heading, bars and lines."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from benchmarks.rivals.rival import GRAPH, OURS

if TYPE_CHECKING:
    import numpy as np
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

COLOURS = {  # Okabe and Ito's, which colour-blind readers can tell apart
    "npalexnet": "#D55E00",
    "npalexnet, im2col": "#E69F00",
    "torch": "#0072B2",
    "torch, channels_last": "#56B4E9",
    "torch.compile": "#CC79A7",
    "npalexnet, GPU": "#E69F00",
    "torch, GPU": "#CC79A7",
    "torch, channels_last, GPU": "#F0E442",
    "ONNX Runtime": "#009E73",
    "direct floor": "#999999",
    "Winograd floor": "#444444",
    "DeZero": "#0072B2",
    "MyGrad": "#56B4E9",
    "PyDyNet": "#009E73",
}


class Bar(NamedTuple):
    """A bar with its whisker, in the colour of a rival, and the text beside it."""

    rival: str
    median: float
    low: float
    high: float
    text: str


def bar(row: Mapping[str, Any], rival: str, scale: float = 1e3, more: str = "", unit: str = "") -> Bar:
    """Return the bar of a row's numbers, by default of seconds in milliseconds; `more` follows the number."""
    median = scale * row["median"]
    low, high = (scale * row.get(key, row["median"]) for key in ("min", "max"))
    return Bar(rival, median, low, high, f"{short(median)}{unit}{more}")


def sheet(
    what: str, result: Mapping[str, Any], rows: int, columns: int, height: float, width: float = 9
) -> tuple[Figure, np.ndarray]:
    """Return an empty figure with a heading, and its axes, (rows, columns).

    `height` is the height of a row of panels, `width` the width of the whole figure, in inches.
    """
    from matplotlib.figure import Figure

    threads = result["settings"]["threads"]
    where = f"{result['machine']['cpu']}, {threads} thread{'s' * (threads > 1)}, {result['date'][:10]}"
    figure = Figure(figsize=(width, 0.9 + height * rows), dpi=120, layout="constrained")
    figure.suptitle(f"{what}\n{where}", size=12)
    return figure, figure.subplots(rows, columns, squeeze=False)


def panel_each(
    what: str, result: Mapping[str, Any], height: float, below: str
) -> tuple[Figure, list[tuple[Axes, list[dict[str, Any]]]]]:
    """Return a figure with a panel for each batch size, or for each batch size and task, and the rows of each panel."""
    groups: dict[tuple[int, str | None], list[dict[str, Any]]] = {}
    for row in result["results"]:
        groups.setdefault((row["batch"], row.get("task")), []).append(row)
    figure, panels = sheet(what, result, len(groups), 1, height)
    for axes, (batch, task) in zip(panels[:, 0], groups, strict=True):
        title(axes, f"{task}, batch of {batch}" if task else f"batch of {batch}")
    panels[-1, 0].set_xlabel(below)
    return figure, list(zip(panels[:, 0], groups.values(), strict=True))


def title(axes: Axes, text: str) -> None:
    """Write a panel's title."""
    axes.set_title(text, loc="left", size=10)


def bars(axes: Axes, groups: Mapping[str, Sequence[Bar]]) -> None:
    """Draw groups of horizontal bars from top to bottom, and each group's name on its left."""
    thickness = 0.8 / max([1, *map(len, groups.values())])
    for place, given in enumerate(groups.values()):
        for number, bar in enumerate(given):
            y = place + (number + 0.5) * thickness - 0.4
            whisker = [[bar.median - bar.low], [bar.high - bar.median]] if bar.high > bar.low else None
            axes.barh(y, bar.median, 0.95 * thickness, xerr=whisker, capsize=2, **look(bar.rival))
            axes.annotate(bar.text, (bar.high, y), (6, 0), textcoords="offset points", va="center", size=8)
    _name(axes, list(groups), max((bar.high for given in groups.values() for bar in given), default=1))


def look(rival: str) -> dict[str, Any]:
    """Return the colour of a rival, and the hatch of a graph."""
    eager = rival.removesuffix(f", {GRAPH}")
    return {"facecolor": COLOURS[eager], **({} if eager == rival else {"hatch": "////", "edgecolor": "white"})}


def stacked_bars(axes: Axes, names: Sequence[str], parts: Mapping[str, Sequence[float]], texts: Sequence[str]) -> None:
    """Draw horizontal bars of several parts, named after rivals, and a text beside each.

    `parts` says where each part ends in each bar; see `shades` for their colours.
    """
    begin: Sequence[float] = [0.0] * len(names)
    for shade, ends in zip(shades(len(parts)), parts.values(), strict=True):
        widths = [end - start for end, start in zip(ends, begin, strict=True)]
        axes.barh(range(len(names)), widths, left=begin, color=[(COLOURS[name], shade) for name in names], height=0.7)
        begin = ends
    for place, (end, text) in enumerate(zip(begin, texts, strict=True)):
        axes.annotate(text, (end, place), (6, 0), textcoords="offset points", va="center", size=8)
    _name(axes, names, max(begin))


def shades(count: int) -> list[float]:
    """Return the opacities of the parts of a bar: from one to the next the colour becomes stronger."""
    return [(number + 1) / count for number in range(count)]


def _name(axes: Axes, names: Sequence[str], longest: float) -> None:
    """Name horizontal bars on their left, npalexnet's in bold, and leave room for the texts behind them."""
    axes.set_yticks(range(len(names)), names)
    for label in axes.get_yticklabels():
        label.set_fontweight("bold" if label.get_text() == OURS else "normal")
    axes.set_ylim(len(names) - 0.4, -0.6)
    axes.set_xlim(0, 1.35 * longest or 1)
    tidy(axes)


def lines(axes: Axes, points: Sequence[tuple[str, float, float]], what: str, below: str) -> None:
    """Draw a line for each rival through its points, (rival, x, y), with both axes logarithmic."""
    from matplotlib.ticker import FuncFormatter, LogFormatter, NullLocator

    for rival in dict.fromkeys(name for name, _, _ in points):
        xs, ys = zip(*((x, y) for name, x, y in points if name == rival), strict=True)
        width, above = (2.5, 3) if rival == OURS else (1.5, 2)
        axes.plot(xs, ys, "o-", color=COLOURS[rival], label=rival, linewidth=width, zorder=above)
    axes.set_xscale("log", base=2)
    axes.set_yscale("log")
    places = sorted({x for _, x, _ in points})
    axes.set_xticks(places, [f"{x:g}" for x in places])
    axes.xaxis.set_minor_locator(NullLocator())
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: short(value)))
    axes.yaxis.set_minor_formatter(LogFormatter())  # where the decades alone would be too few
    title(axes, what)
    axes.set_xlabel(below)
    axes.grid(alpha=0.3)
    tidy(axes)


def legend(axes: Axes, described: Axes) -> None:
    """Give a panel to the legend of another."""
    axes.set_axis_off()
    axes.legend(*described.get_legend_handles_labels(), loc="center", frameon=False, title="less is better")


def legend_below(figure: Figure, looks: Mapping[str, Mapping[str, Any]], **settings: Any) -> None:
    """Say below all panels what the colours mean."""
    from matplotlib.patches import Patch

    handles = [Patch(label=label, **given) for label, given in looks.items()]
    settings = {"ncols": len(handles), **settings}
    figure.legend(handles=handles, loc="outside lower center", frameon=False, **settings)


def tidy(axes: Axes) -> None:
    """Take away the lines that say nothing."""
    axes.spines[["top", "right"]].set_visible(False)


def short(value: float) -> str:
    """Return a number with three digits, or all that it has before the point."""
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"
