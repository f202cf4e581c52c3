"""The files that `--output` writes: NAME.json and NAME.png."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from npalexnet.files import atomic_write

SUFFIXES = (".json", ".png")


def files(name: Path) -> tuple[Path, Path]:
    """Return the paths of the numbers and of the chart."""
    numbers, chart = (name.with_name(name.name + suffix) for suffix in SUFFIXES)
    return numbers, chart


def check_writable(name: Path) -> None:
    """Refuse files that could not be written in the end, before any time is spent."""
    for path in files(name):
        if path.is_dir() or not os.access(path.parent, os.W_OK):
            raise OSError(f"can't write {path}: it is a folder, or in one that is not there or not writable")


def write_json(path: Path, result: Mapping[str, Any]) -> None:
    """Write the numbers whole or not at all."""
    with atomic_write(path) as temporary:
        temporary.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")


def write_chart(path: Path, figure: Any) -> None:
    """Write the chart whole or not at all."""
    with atomic_write(path) as temporary:
        figure.savefig(temporary, format="png")
