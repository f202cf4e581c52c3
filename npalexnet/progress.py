"""Progress of a command that takes its time. Needs tqdm."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager


@contextmanager
def progress(what: str, total: int, unit: str = "image") -> Iterator[Callable[[int], object]]:
    """Context with a function to call with each number of images done: a bar on a terminal, elsewhere nothing."""
    from tqdm import tqdm

    terminal = sys.stderr.isatty()
    with tqdm(desc=what, total=total, unit=unit, disable=not terminal, dynamic_ncols=True, leave=False) as bar:
        yield bar.update
