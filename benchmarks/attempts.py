"""On a GPU not everything works everywhere: what fails is left out, with the reason, and the others go on."""

from __future__ import annotations

import gc
from collections.abc import Callable
from typing import Any, TypeVar

from benchmarks.rounds import Say

Found = TypeVar("Found")


class Attempts:
    """Tries things; a failure is said and kept, or, if `strict`, an error.

    `left_out` says who failed, in which precision, at which batch size (None: at all of them), and why.
    """

    def __init__(self, say: Say, strict: bool = False) -> None:
        self.say, self.strict = say, strict
        self.left_out: list[dict[str, Any]] = []

    def attempt(self, who: str, precision: str, images: int | None, what: Callable[[], Found]) -> Found | None:
        """Return what `what` returns, or None if it fails."""
        try:
            return what()
        except Exception as error:  # whatever a library, its compiler or the driver throws
            if self.strict:
                raise
            reason = f"{type(error).__name__}: {' '.join(str(error).split())[:300]}"
            self.say(f"  {who} is left out: {reason}")
            self.left_out.append({"rival": who, "precision": precision, "batch": images, "reason": reason})
        gc.collect()  # memory may be what was lacking
        return None

    def worked(self, who: str, precision: str, images: int | None, what: Callable[[], object]) -> bool:
        """Return whether `what` did not fail."""
        return self.attempt(who, precision, images, lambda: (what(),)) is not None


def left_out_lines(left_out: list[dict[str, Any]]) -> list[str]:
    """Return a line on each failure."""
    return [
        f"LEFT OUT: {row['rival']}, {row['precision']}, "
        f"{'batch of ' + str(row['batch']) if row['batch'] else 'any batch'}: {row['reason']}"
        for row in left_out
    ]
