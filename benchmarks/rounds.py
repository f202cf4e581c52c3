"""Timing in interleaved rounds, the statistics of the times, and the check that all rivals compute the same."""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Hashable, Mapping, Sequence
from statistics import mean, median, quantiles
from typing import Any, TypeVar

import numpy as np

PAUSE = 0.25  # seconds before each measurement: OpenMP's idle threads keep a core busy for a while after their work
AT_LEAST = 0.1  # seconds: what takes less is run for so long uncounted, then counted, each up to MOST times
MOST = 100
# Relative to the norm. Rounding of float32 through eight layers is far below; with Winograd's algorithm the logits are
# 7e-7 away from im2col's. Another computation is far above.
AGREEMENT = 1e-4

Name = TypeVar("Name", bound=Hashable)
Found = TypeVar("Found")
Say = Callable[[str], None]


def timed(
    run: Callable[[], object], prepare: Callable[[], object] = lambda: None, at_least: float | None = None
) -> Callable[[], float]:
    """Return a measurement: a callable that returns the mean seconds of a run.

    `run` must return when the work is done: on a GPU, it synchronises. `prepare`, before each run, is not timed. What
    takes less than `at_least` seconds, or `AT_LEAST`, is run for that long without counting, which wakes the cores, and
    then as long again.
    """
    enough = AT_LEAST if at_least is None else min(at_least, AT_LEAST)

    def runs() -> list[float]:
        seconds: list[float] = []
        begin = time.perf_counter()
        while not seconds or (time.perf_counter() - begin < enough and len(seconds) < MOST):
            prepare()
            start = time.perf_counter()
            run()
            seconds.append(time.perf_counter() - start)
        return seconds

    def measure() -> float:
        first = runs()
        return first[0] if first[0] >= enough else mean(runs())

    return measure


def interleaved(
    measurements: Mapping[Name, Callable[[], Found]],
    arguments: argparse.Namespace,
    say: Say = lambda line: None,
    show: Callable[[Any], str] = lambda seconds: f"{seconds:.4f} s",
) -> dict[Name, list[Found]]:
    """Measure each rival once a round, so that whatever else the machine does meanwhile affects all of them alike.

    Parameters
    ----------
    measurements : mapping of name to callable
        One for each rival; the results are returned by name, in the order of the rounds.
    arguments : argparse.Namespace
        ``rounds`` that count, after ``warmup`` rounds; ``pause``: seconds of rest before each measurement.
    say, show : callable
        Receives a line on each round; formats a result for it.
    """
    found: dict[Name, list[Found]] = {name: [] for name in measurements}
    order = list(measurements)
    for number in range(-arguments.warmup, arguments.rounds):
        for name in order:
            time.sleep(arguments.pause)
            result = measurements[name]()
            if number >= 0:
                found[name].append(result)
        results = ", ".join(f"{name}: {show(found[name][-1])}" for name in measurements if found[name])
        say(f"  round {number + 1} of {arguments.rounds}: {results}" if number >= 0 else "  warm-up")
        order = order[1:] + order[:1]  # nobody always comes first
    return found


def replaced(arguments: argparse.Namespace, **changes: Any) -> argparse.Namespace:
    """Return a copy of the arguments with some changed."""
    return argparse.Namespace(**{**vars(arguments), **changes})


def spread(values: Sequence[float]) -> dict[str, Any]:
    """Return median, quartiles, smallest and largest."""
    low, _, high = quantiles(values, n=4) if len(values) > 1 else [values[0]] * 3
    return {"median": median(values), "quartiles": [low, high], "min": min(values), "max": max(values)}


def summary(seconds: Sequence[float]) -> dict[str, Any]:
    """Return the times with their spread, as result files have them."""
    return {"seconds": seconds, **spread(seconds)}


def difference(ours: Any, theirs: Any) -> float:
    """Norm of the difference of two numbers or arrays, relative to the norm of the first."""
    return float(np.linalg.norm(np.subtract(theirs, ours)) / np.linalg.norm(ours))


def check_agreement(who: str, what: str, ours: Any, theirs: Any, tolerance: float = AGREEMENT) -> float:
    """Return the relative difference between npalexnet's result and another; too large, it is a RuntimeError."""
    found = difference(ours, theirs)
    if not found <= tolerance:
        raise RuntimeError(
            f"nothing was timed: {what} of {who} is {found:.1e} away from npalexnet's, relative to its norm"
        )
    return found
