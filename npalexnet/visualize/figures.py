"""What figures share: writing them, grids of pictures, and pictures and names in the form that matplotlib shows."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import ceil
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from npalexnet.files import atomic_write
from npalexnet.terminal import shown
from npalexnet.visualize.fonts import add_fonts, without_warnings

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

LONGEST_NAME = 24


def write_figure(path: str | Path, figure: Figure) -> None:
    """Write a figure atomically: an earlier file at `path` stays there until the new one is complete.

    The suffix of `path` is the format: ``.png``, ``.svg``, ``.pdf``. An OSError if the file can't be written.
    Characters that matplotlib's font lacks are taken from other installed fonts, see `npalexnet.visualize.fonts`.
    """
    with atomic_write(path) as temporary, without_warnings():
        figure.savefig(temporary)
        if add_fonts(figure):
            figure.savefig(temporary)


def new_figure(width: float, height: float, dpi: int = 120) -> Figure:
    """Return an empty figure of a size in inches; a notebook displays it."""
    from npalexnet.visualize.notebook import ShownFigure

    return ShownFigure(figsize=(width, height), dpi=dpi, layout="constrained")


def displayable(picture: Any) -> np.ndarray:
    """Return a picture in the form that matplotlib shows.

    Parameters
    ----------
    picture : PIL.Image, ndarray of uint8 (H, W) or (H, W, 3), or ndarray of float (3, H, W)
        The last is a network's input: its smallest number becomes black, its largest full colour.

    Returns
    -------
    ndarray of uint8, or of float from 0 to 1, (H, W, 3)
    """
    if isinstance(picture, np.ndarray) and picture.dtype != np.uint8:
        if picture.ndim != 3 or picture.shape[0] != 3:
            raise ValueError(f"a network's input must have shape (3, H, W) to be shown, got {picture.shape}")
        low, high = float(picture.min()), float(picture.max())
        return (picture.transpose(1, 2, 0) - low) / max(high - low, 1e-30)
    pixels = np.asarray(picture if isinstance(picture, np.ndarray) else picture.convert("RGB"))
    return np.repeat(pixels[:, :, None], 3, axis=2) if pixels.ndim == 2 else pixels


def picture_at(pictures: Callable[[int], Any] | Sequence[Any] | np.ndarray, i: int) -> Any:
    """Return picture i from a sequence, or from a function of i."""
    return pictures(i) if callable(pictures) else pictures[i]


def image_grid(count: int, columns: int, cell: tuple[float, float]) -> tuple[Figure, Sequence[Axes]]:
    """Return a figure with axes for `count` pictures in rows; `cell` is the width and height of each in inches."""
    columns = min(columns, count)
    rows = ceil(count / columns)
    figure = new_figure(max(columns * cell[0], 4.8), rows * cell[1] + 0.7)
    grid = figure.subplots(rows, columns, squeeze=False).flatten()
    for axes in grid:
        axes.set_axis_off()
        axes.set_anchor("N")  # aligns the titles of pictures of different heights
        axes.xaxis.set_visible(False)  # else matplotlib measures undrawn ticks to place each title
        axes.yaxis.set_visible(False)
    for axes in grid[count:]:
        axes.remove()
    return figure, list(grid[:count])


def shortened(name: str, longest: int = LONGEST_NAME) -> str:
    """Return a name as matplotlib can write it: not too long, and without mathematics."""
    name = shown(name)
    name = name if len(name) <= longest else name[: longest - 1] + "…"
    return name.replace("$", r"\$")
