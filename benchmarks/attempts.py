"""On a GPU not everything works everywhere: what fails is left out, with the reason, and the others go on."""

from __future__ import annotations

import gc
from collections.abc import Callable
from typing import Any, TypeVar

Found = TypeVar("Found")


class Attempts:
    """Tries things.

    Parameters
    ----------
    say : callable
        Receives a line on each failure.

    Attributes
    ----------
    left_out : list of dict
        Who failed, in which precision, at which batch size (None: at all of them), and why.
    """

    def __init__(self, say: Callable[[str], None]) -> None:
        self.say = say
        self.left_out: list[dict[str, Any]] = []

    def attempt(self, who: str, precision: str, images: int | None, what: Callable[[], Found]) -> Found | None:
        """Return what `what` returns, or None if it fails."""
        try:
            return what()
        except Exception as error:  # whatever a library, its compiler or the driver throws
            self.leave_out(who, precision, images, f"{type(error).__name__}: {' '.join(str(error).split())[:300]}")
        gc.collect()  # memory may be what was lacking
        return None

    def worked(self, who: str, precision: str, images: int | None, what: Callable[[], object]) -> bool:
        """Return whether `what` did not fail."""
        return self.attempt(who, precision, images, lambda: (what(),)) is not None

    def leave_out(self, who: str, precision: str, images: int | None, reason: str) -> None:
        """Keep that something failed."""
        self.say(f"  {who} is left out: {reason}")
        self.left_out.append({"rival": who, "precision": precision, "batch": images, "reason": reason})


def left_out_lines(left_out: list[dict[str, Any]]) -> list[str]:
    """Return a line on each failure."""
    found = []
    for row in left_out:
        where = f"batch of {row['batch']}" if row["batch"] else "any batch"
        found.append(f"LEFT OUT: {row['rival']}, {row['precision']}, {where}: {row['reason']}")
    return found
