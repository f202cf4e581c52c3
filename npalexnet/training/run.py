"""The folder of a training run: weights, metrics and pictures."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from npalexnet import visualize
from npalexnet.files import written_whole
from npalexnet.weights import FILE_NAME, save_weights

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def new_run_folder(parent: Path = Path("runs")) -> Path:
    """Return the first of ``runs/1``, ``runs/2``, ... that does not exist."""
    return next(parent / str(i) for i in count(1) if not (parent / str(i)).exists())


class Run:
    """Writes a run's files.

    ``metrics.jsonl`` grows line by line; everything else is written whole or not at all.

    Parameters
    ----------
    folder : Path
        It is made; one that holds anything already is refused, so that no run overwrites another.

    Raises
    ------
    ValueError
        If the folder exists and is not empty.
    OSError
        If it can't be made.
    """

    def __init__(self, folder: Path) -> None:
        if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
            raise ValueError(f"{folder} holds something already; name a new folder, or remove it first")
        folder.mkdir(parents=True, exist_ok=True)
        self.folder = folder
        self.records: list[dict[str, Any]] = []

    def check_space(self, needed: int) -> None:
        """Raise an OSError unless so many bytes can be written."""
        free = shutil.disk_usage(self.folder).free
        if free < needed:
            raise OSError(f"{self.folder} needs {needed / 1e6:.0f} MB of free space, but has {free / 1e6:.0f} MB")

    def record(self, **values: Any) -> None:
        """Add a line to ``metrics.jsonl``."""
        self.records.append(values)
        with open(self.folder / "metrics.jsonl", "a", encoding="utf-8") as file:
            file.write(json.dumps(values, allow_nan=False) + "\n")

    def save(self, state: Mapping[str, np.ndarray], about: Mapping[str, Any], *, grey: bool) -> None:
        """Write ``weights.safetensors``, ``filters.png`` and ``curves.png``, in the place of earlier ones.

        `grey` says whether the images were: see `npalexnet.visualize.filters`.
        """
        save_weights(self.folder / FILE_NAME, state, about)
        self._draw("filters.png", visualize.filters(state["layers.0.weight"], grey=grey))
        self._draw("curves.png", visualize.curves(self.records))

    def _draw(self, name: str, figure: Figure) -> None:
        with written_whole(self.folder / name) as temporary:
            figure.savefig(temporary)
