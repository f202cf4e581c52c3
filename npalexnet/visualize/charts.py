"""Lines over the course of training, as SVG: drawn in the page's colours, with its letters."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil

import numpy as np

from npalexnet.visualize.html import text

WIDTH, HEIGHT = 480, 280
LEFT, RIGHT, TOP, BOTTOM = 46, 12, 14, 40  # margins
MOST_POINTS = 1500


@dataclass(frozen=True)
class Line:
    """A line of a chart; `kind` is "faint", "training" or "validation", `x` and `y` are floats (n,), NaN for gaps."""

    kind: str
    x: np.ndarray
    y: np.ndarray


def chart(title: str, x_label: str, lines: Sequence[Line], highest: float, mark: tuple[float, str] | None) -> str:
    """Return an SVG drawing of lines, from 0 to `highest`; `mark` is a place on the x-axis, and what is there."""
    from matplotlib.ticker import MaxNLocator

    last = max((float(line.x.max()) for line in lines if len(line.x)), default=1.0) or 1.0
    highest = highest if np.isfinite(highest) and highest > 0 else 1.0

    def across(x: float) -> float:
        return LEFT + (WIDTH - LEFT - RIGHT) * x / last

    def up(y: float) -> float:
        return HEIGHT - BOTTOM - (HEIGHT - TOP - BOTTOM) * min(y, highest) / highest

    parts = []
    for tick in MaxNLocator(5).tick_values(0, highest):
        if 0 <= tick <= highest:
            y = up(tick)
            parts.append(f"<path class='rule' d='M{LEFT} {y:.1f}H{WIDTH - RIGHT}'/>")
            parts.append(f"<text x='{LEFT - 6}' y='{y + 4:.1f}' text-anchor='end'>{tick:g}</text>")
    for tick in MaxNLocator(4, integer=True).tick_values(0, last):
        if 0 <= tick <= last:
            x = min(across(tick), WIDTH - RIGHT - 12)
            parts.append(f"<text x='{x:.1f}' y='{HEIGHT - BOTTOM + 16}' text-anchor='middle'>{tick:,.0f}</text>")
    parts.append(f"<text x='{(LEFT + WIDTH - RIGHT) / 2}' y='{HEIGHT - 6}' text-anchor='middle'>{text(x_label)}</text>")
    if mark is not None:
        x = across(mark[0])
        anchor, beside = ("end", -5) if x > WIDTH / 2 else ("start", 5)
        parts.append(f"<path class='mark' d='M{x:.1f} {TOP}V{HEIGHT - BOTTOM}'/>")
        parts.append(f"<text x='{x + beside:.1f}' y='{TOP + 9}' text-anchor='{anchor}'>{text(mark[1])}</text>")
    for line in lines:
        step = ceil(len(line.x) / MOST_POINTS) or 1
        points = [(across(x), up(y)) for x, y in zip(line.x[::step], line.y[::step], strict=True)]
        parts.append(f"<path class='{line.kind}' d='{_path(points)}'/>")
        if line.kind == "validation":
            parts += [f"<circle class='dot' cx='{x:.1f}' cy='{y:.1f}' r='3'/>" for x, y in points if np.isfinite(y)]
    drawing = f"<svg viewBox='0 0 {WIDTH} {HEIGHT}' role='img' aria-label='{text(title)}'>{''.join(parts)}</svg>"
    return f"<figure class='chart'><figcaption><b>{text(title)}</b></figcaption>{drawing}</figure>"


def _path(points: Sequence[tuple[float, float]]) -> str:
    """Return the commands of a path through the points, which begins anew behind a gap."""
    commands, draws = [], False
    for x, y in points:
        if np.isfinite(y):
            commands.append(f"{'L' if draws else 'M'}{x:.1f} {y:.1f}")
        draws = bool(np.isfinite(y))
    return "".join(commands)
