"""Printing: tables, progress bars, and the names of files."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from importlib.util import find_spec


def table(header: Sequence[str], rows: Sequence[Sequence[str]], left: int = 1) -> str:
    """Return an aligned table; the first `left` columns are aligned to the left, the others to the right."""
    widths = [max(map(len, column)) for column in zip(header, *rows, strict=True)]
    rule = ["-" * width for width in widths]

    def line(cells: Sequence[str]) -> str:
        padded = (c.ljust(w) if i < left else c.rjust(w) for i, (c, w) in enumerate(zip(cells, widths, strict=True)))
        return "  ".join(padded).rstrip()

    return "\n".join(line(cells) for cells in (header, rule, *rows))


@contextmanager
def progress(what: str, total: int, unit: str = "image") -> Iterator[Callable[[int], object]]:
    """Context with a function that advances a progress bar by a number of images.

    The bar appears after a second, on a terminal and if tqdm is installed; elsewhere nothing is shown.
    """
    if not (sys.stderr.isatty() and find_spec("tqdm")):
        yield lambda done: None
        return
    from tqdm import tqdm

    with tqdm(desc=what, total=total, unit=unit, dynamic_ncols=True, leave=False, delay=1) as bar:
        yield bar.update


def shown(text: str) -> str:
    """Return a text that holds names of files in a form that can be printed, whatever bytes the names consist of."""
    return os.fsencode(text).decode("utf-8", "replace")
