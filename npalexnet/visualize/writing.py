"""Figures as files."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from npalexnet.files import atomic_write

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def write_figure(path: str | Path, figure: Figure) -> None:
    """Write a figure atomically: an earlier file at `path` stays there until the new one is complete.

    Parameters
    ----------
    path : str or Path
        Its suffix is the format: ``.png``, ``.svg``, ``.pdf``.
    figure : matplotlib.figure.Figure

    Raises
    ------
    OSError
        If the file can't be written.
    """
    with atomic_write(path) as temporary:
        figure.savefig(temporary)
