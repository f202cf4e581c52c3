"""Figures as files."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from npalexnet.files import atomic_write

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def write_figure(path: str | Path, figure: Figure) -> None:
    """Write a figure, whole or not at all: what stood at `path` before stays there until the new file is complete.

    Parameters
    ----------
    path : str or Path
        Its suffix says the format: ``.png``, ``.svg``, ``.pdf``.
    figure : Figure
        Of matplotlib.

    Raises
    ------
    OSError
        If it can't be written.
    """
    with atomic_write(path) as temporary:
        figure.savefig(temporary)
