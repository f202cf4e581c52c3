"""Progress of what takes its time."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib.util import find_spec


@contextmanager
def progress(what: str, total: int, unit: str = "image") -> Iterator[Callable[[int], object]]:
    """Context with a function to call with each number of images done.

    It draws a bar on a terminal, after a second and where tqdm is installed, and does nothing elsewhere.
    """
    if not (sys.stderr.isatty() and find_spec("tqdm")):
        yield lambda done: None
        return
    from tqdm import tqdm

    with tqdm(desc=what, total=total, unit=unit, dynamic_ncols=True, leave=False, delay=1) as bar:
        yield bar.update
