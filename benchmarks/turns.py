"""Taking turns on the clock, what becomes of the times, and whether the rivals compute the same."""

from __future__ import annotations

import time
from collections.abc import Callable, Hashable, Mapping, Sequence
from statistics import mean, median, quantiles
from typing import Any, TypeVar

import numpy as np

PAUSE = 0.25  # seconds before a turn that is timed: OpenMP's idle threads keep a core busy for a while after their work
AT_LEAST = 0.1  # seconds: what takes less is run several times in a turn, up to MOST times
MOST = 100
AGREEMENT = 1e-4  # relative: rounding of float32 through eight layers is far below, another computation far above

Name = TypeVar("Name", bound=Hashable)
Found = TypeVar("Found")


def timed(run: Callable[[], object], prepare: Callable[[], object] = lambda: None) -> Callable[[], float]:
    """Return a turn, which returns the seconds of a run.

    Parameters
    ----------
    run : callable
        What is timed. It must return when the work is done: on a GPU, it synchronises.
    prepare : callable
        What has to be done before each run, and is not timed.
    """

    def turn() -> float:
        seconds: list[float] = []
        begin = time.perf_counter()
        while not seconds or (time.perf_counter() - begin < AT_LEAST and len(seconds) < MOST):
            prepare()
            start = time.perf_counter()
            run()
            seconds.append(time.perf_counter() - start)
        return mean(seconds)

    return turn


def take_turns(
    turns: Mapping[Name, Callable[[], Found]],
    rounds: int,
    warmup: int,
    pause: float,
    say: Callable[[str], None] = lambda line: None,
    show: Callable[[Any], str] = lambda seconds: f"{seconds:.4f} s",
) -> dict[Name, list[Found]]:
    """Give each rival one turn a round, so that whatever else the machine does meanwhile meets all of them alike.

    Parameters
    ----------
    turns : mapping of name to callable
        What each rival does in its turn; what it returns is kept.
    rounds, warmup : int
        How many turns of each are kept, and how many each has before that.
    pause : float
        Seconds of rest before each turn.
    say : callable
        Receives a line on each round.
    show : callable
        What `say` says of what a turn returned.

    Returns
    -------
    dict of name to list
        What each rival's turns returned, in the order of the rounds.
    """
    found: dict[Name, list[Found]] = {name: [] for name in turns}
    order = list(turns)
    for number in range(-warmup, rounds):
        for name in order:
            time.sleep(pause)
            result = turns[name]()
            if number >= 0:
                found[name].append(result)
        results = ", ".join(f"{name}: {show(found[name][-1])}" for name in turns if found[name])
        say(f"  round {number + 1} of {rounds}: {results}" if number >= 0 else "  warm-up")
        order = order[1:] + order[:1]  # nobody always comes first
    return found


def spread(values: Sequence[float]) -> dict[str, Any]:
    """Return median, quartiles, smallest and largest."""
    low, _, high = quantiles(values, n=4) if len(values) > 1 else [values[0]] * 3
    return {"median": median(values), "quartiles": [low, high], "min": min(values), "max": max(values)}


def difference(ours: Any, theirs: Any) -> float:
    """Norm of the difference of two numbers or arrays, relative to the norm of the first."""
    return float(np.linalg.norm(np.subtract(theirs, ours)) / np.linalg.norm(ours))


def check_agreement(who: str, what: str, ours: Any, theirs: Any, tolerance: float = AGREEMENT) -> float:
    """Return the relative difference of what npalexnet and another computed, which may be `tolerance`.

    Raises
    ------
    RuntimeError
        If it is not small: then there is nothing to compare.
    """
    found = difference(ours, theirs)
    if not found <= tolerance:
        raise RuntimeError(
            f"nothing was timed: {what} of {who} is {found:.1e} away from npalexnet's, relative to its norm"
        )
    return found
