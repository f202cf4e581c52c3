"""What all charts have in common: one colour for each rival, the heading, and bars."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    import numpy as np
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

COLOURS = {  # Okabe and Ito's, which colour-blind readers can tell apart
    "npalexnet": "#D55E00",
    "torch": "#0072B2",
    "torch, channels_last": "#56B4E9",
    "npalexnet, GPU": "#E69F00",
    "torch, GPU": "#CC79A7",
    "torch, channels_last, GPU": "#F0E442",
    "ONNX Runtime": "#009E73",
    "floor": "#999999",
}


class Bar(NamedTuple):
    """A rival's median, and its whisker."""

    rival: str
    median: float
    low: float
    high: float


def sheet(
    what: str, result: Mapping[str, Any], rows: int, columns: int, height: float, width: float = 9
) -> tuple[Figure, np.ndarray]:
    """Return an empty figure with a heading, and its axes, (rows, columns).

    Parameters
    ----------
    what : str
        What is shown.
    result : mapping
        With the machine, the date and the settings.
    rows, columns : int
        Number of panels.
    height, width : float
        Of a row of panels, and of the whole, in inches.
    """
    from matplotlib.figure import Figure

    threads = result["settings"]["threads"]
    where = f"{result['machine']['cpu']}, {threads} thread{'s' * (threads > 1)}, {result['date'][:10]}"
    figure = Figure(figsize=(width, 0.9 + height * rows), dpi=120, layout="constrained")
    figure.suptitle(f"{what}\n{where}", size=12)
    return figure, figure.subplots(rows, columns, squeeze=False)


def by_batch(rows: Sequence[dict[str, Any]]) -> dict[int, list[dict[str, Any]]]:
    """Return the rows of each batch size: those of one panel."""
    return {batch: [row for row in rows if row["batch"] == batch] for batch in dict.fromkeys(r["batch"] for r in rows)}


def bars(axes: Axes, given: Sequence[Bar], texts: Sequence[str]) -> None:
    """Draw horizontal bars from top to bottom with whiskers, and a text beside each."""
    medians = [bar.median for bar in given]
    whiskers = [[bar.median - bar.low for bar in given], [bar.high - bar.median for bar in given]]
    colours = [COLOURS[bar.rival] for bar in given]
    axes.barh(range(len(given)), medians, xerr=whiskers, color=colours, capsize=3, height=0.7)
    label_bars(axes, [bar.rival for bar in given], [bar.high for bar in given], texts)


def stacked_bars(axes: Axes, names: Sequence[str], parts: Mapping[str, Sequence[float]], texts: Sequence[str]) -> None:
    """Draw horizontal bars of several parts, and a text beside each.

    Parameters
    ----------
    axes : Axes
        Where.
    names : sequence of str
        Of the bars: rivals.
    parts : mapping of str to sequence of float
        Each part, and where it ends in each bar; from one to the next the colour becomes stronger, see `shades`.
    texts : sequence of str
        One a bar.
    """
    begin: Sequence[float] = [0.0] * len(names)
    for shade, ends in zip(shades(len(parts)), parts.values(), strict=True):
        widths = [end - start for end, start in zip(ends, begin, strict=True)]
        axes.barh(names, widths, left=begin, color=[(COLOURS[name], shade) for name in names], height=0.7)
        begin = ends
    label_bars(axes, names, begin, texts)


def shades(count: int) -> list[float]:
    """Return how strong the colours of so many parts of a bar are."""
    return [(number + 1) / count for number in range(count)]


def label_bars(axes: Axes, names: Sequence[str], ends: Sequence[float], texts: Sequence[str]) -> None:
    """Name horizontal bars on their left, npalexnet's in bold, and write a text behind the end of each."""
    for place, (end, text) in enumerate(zip(ends, texts, strict=True)):
        axes.annotate(text, (end, place), (6, 0), textcoords="offset points", va="center", size=9)
    axes.set_yticks(range(len(names)), names)
    for label in axes.get_yticklabels():
        label.set_fontweight("bold" if label.get_text() == "npalexnet" else "normal")
    axes.invert_yaxis()
    axes.set_xlim(0, 1.35 * max(ends))  # room for the texts
    tidy(axes)


def lines(axes: Axes, points: Sequence[tuple[str, float, float]], what: str, below: str) -> None:
    """Draw a line for each rival through its points, (rival, x, y), with both axes logarithmic."""
    from matplotlib.ticker import FuncFormatter, LogFormatter, NullLocator

    for rival in dict.fromkeys(name for name, _, _ in points):
        xs, ys = zip(*((x, y) for name, x, y in points if name == rival), strict=True)
        width, above = (2.5, 3) if rival == "npalexnet" else (1.5, 2)
        axes.plot(xs, ys, "o-", color=COLOURS[rival], label=rival, linewidth=width, zorder=above)
    axes.set_xscale("log", base=2)
    axes.set_yscale("log")
    places = sorted({x for _, x, _ in points})
    axes.set_xticks(places, [f"{x:g}" for x in places])
    axes.xaxis.set_minor_locator(NullLocator())
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: short(value)))
    axes.yaxis.set_minor_formatter(LogFormatter())  # where the decades alone would be too few
    axes.set_title(what, loc="left", size=10)
    axes.set_xlabel(below)
    axes.grid(alpha=0.3)
    tidy(axes)


def legend(axes: Axes, described: Axes) -> None:
    """Give a panel to the legend of another."""
    axes.set_axis_off()
    axes.legend(*described.get_legend_handles_labels(), loc="center", frameon=False, title="less is better")


def paired_bars(axes: Axes, pairs: Mapping[str, Mapping[str, float]]) -> None:
    """Draw a horizontal bar for each name and rival, and the times beside each pair, with their ratio."""
    rivals = list(dict.fromkeys(rival for values in pairs.values() for rival in values))
    thickness = 0.8 / len(rivals)
    for number, rival in enumerate(rivals):
        places = [place + (number + 0.5) * thickness - 0.4 for place in range(len(pairs))]
        widths = [values.get(rival, 0.0) for values in pairs.values()]
        axes.barh(places, widths, thickness, color=COLOURS[rival], label=rival)
    longest = max(max(values.values(), default=0.0) for values in pairs.values())
    for place, values in enumerate(pairs.values()):
        times = " / ".join(short(value) for value in values.values())
        ratio = f"  ({values['npalexnet'] / values['torch']:.2f} x)" if "torch" in values else ""
        end = max(values.values(), default=0.0)
        axes.annotate(times + ratio, (end, place), (6, 0), textcoords="offset points", va="center", size=8)
    axes.set_yticks(range(len(pairs)), list(pairs))
    axes.set_ylim(len(pairs) - 0.4, -0.6)
    axes.set_xlim(0, 1.5 * longest)
    tidy(axes)


def legend_below(figure: Figure, colours: Mapping[str, Any]) -> None:
    """Say below all panels what the colours mean."""
    from matplotlib.patches import Patch

    handles = [Patch(color=colour, label=label) for label, colour in colours.items()]
    figure.legend(handles=handles, loc="outside lower center", ncols=len(handles), frameon=False)


def tidy(axes: Axes) -> None:
    """Take away the lines that say nothing."""
    axes.spines[["top", "right"]].set_visible(False)


def short(value: float) -> str:
    """Return a number with three digits, or all that it has before the point."""
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"
