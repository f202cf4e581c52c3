"""What several figures share: sheets of pictures, and pictures as they are shown."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import ceil
from typing import TYPE_CHECKING, Any

import numpy as np

from npalexnet.terminal import shown

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

LONGEST_NAME = 24


def as_shown(picture: Any) -> np.ndarray:
    """Return a picture as matplotlib shows it.

    Parameters
    ----------
    picture : PIL.Image, ndarray of uint8 (H, W) or (H, W, 3), or ndarray of float (3, H, W)
        The last is a network's input: its darkest number becomes black, its largest one full colour.

    Returns
    -------
    ndarray, (H, W, 3): of uint8, or of float from 0 to 1.
    """
    if isinstance(picture, np.ndarray) and picture.dtype != np.uint8:
        if picture.ndim != 3 or picture.shape[0] != 3:
            raise ValueError(f"a network's input must have shape (3, H, W) to be shown, got {picture.shape}")
        low, high = float(picture.min()), float(picture.max())
        return (picture.transpose(1, 2, 0) - low) / max(high - low, 1e-30)
    pixels = np.asarray(picture if isinstance(picture, np.ndarray) else picture.convert("RGB"))
    return np.repeat(pixels[:, :, None], 3, axis=2) if pixels.ndim == 2 else pixels


def taken(pictures: Callable[[int], Any] | Sequence[Any] | np.ndarray, i: int) -> Any:
    """Return picture i of a sequence, or of a function that returns it."""
    return pictures(i) if callable(pictures) else pictures[i]


def blank_sheet(count: int, columns: int, cell: tuple[float, float]) -> tuple[Figure, Sequence[Axes]]:
    """Return a figure with places for so many pictures in rows, without axes; `cell` is a place's size in inches."""
    from matplotlib.figure import Figure

    columns = min(columns, count)
    rows = ceil(count / columns)
    size = max(columns * cell[0], 4.8), rows * cell[1] + 0.7
    figure = Figure(figsize=size, dpi=120, layout="constrained")
    places = figure.subplots(rows, columns, squeeze=False).flatten()
    for axes in places:
        axes.set_axis_off()
        axes.set_anchor("N")  # titles of pictures of different heights stand in one line
        axes.xaxis.set_visible(False)  # else matplotlib measures ticks that it doesn't draw, for each title's place
        axes.yaxis.set_visible(False)
    for axes in places[count:]:
        axes.remove()
    return figure, list(places[:count])


def shortened(name: str, longest: int = LONGEST_NAME) -> str:
    """Return a name as matplotlib can write it: cut off where it is too long, and nothing read as mathematics."""
    name = shown(name)
    name = name if len(name) <= longest else name[: longest - 1] + "…"
    return name.replace("$", r"\$")
