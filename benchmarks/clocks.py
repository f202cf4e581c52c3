"""How long something takes: by the host's clock, and between two events on a GPU's stream."""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import cache
from math import ceil
from statistics import mean
from typing import Any, NamedTuple

from benchmarks import rounds

MOST = 200  # runs between two events
UNTIL_DONE = 0.03  # seconds in which runs are waited for one by one
ONE_BY_ONE, MOST_ONE_BY_ONE = 0.02, 20  # seconds, and runs, each of them with cold caches
COLD = 1 << 29  # bytes: written before such a run, more than a GPU's cache holds, and the host gets ahead meanwhile

Run = Callable[[], object]


class Timing(NamedTuple):
    """Seconds of one run."""

    host: float  # by the host's clock, from the call until the device is done, one run after the other
    device: float | None = None  # between two events on the device, with no waiting between runs; None on the CPU

    @property
    def seconds(self) -> float:
        """The device's where there are some, else the host's."""
        return self.host if self.device is None else self.device


class HostClock:
    """For the CPU. (Its runs go through more memory than its caches hold, but for small ones: nothing is emptied.)

    `warm` returns a measurement that runs again and again; `cold` one whose runs find nothing in a GPU's caches, with
    `prepare` before each, which is not timed.
    """

    def warm(self, run: Run) -> Callable[[], Timing]:
        measure = rounds.timed(run)
        return lambda: Timing(measure())

    def cold(self, run: Run, prepare: Run) -> Callable[[], float]:
        return rounds.timed(run, prepare)


class EventClock:
    """For a GPU, on the current stream.

    `milliseconds` maps two events to the time between them, `synchronize` waits until the device is done, and `fill`
    writes `COLD` bytes of its memory.
    """

    def __init__(
        self, new_event: Callable[[], Any], milliseconds: Callable[[Any, Any], float], synchronize: Run, fill: Run
    ) -> None:
        self.new_event, self.milliseconds, self.synchronize, self.fill = new_event, milliseconds, synchronize, fill

    def warm(self, run: Run) -> Callable[[], Timing]:
        """Runs that are waited for one by one, then some between two events, `rounds.AT_LEAST` seconds or more."""

        def measure() -> Timing:
            alone: list[float] = []
            self.synchronize()
            while not alone or (sum(alone) < min(UNTIL_DONE, rounds.AT_LEAST) and len(alone) < rounds.MOST):
                start = time.perf_counter()
                run()
                self.synchronize()
                alone.append(time.perf_counter() - start)
            times = min(MOST, max(1, ceil(rounds.AT_LEAST / mean(alone))))
            first, last = self.new_event(), self.new_event()
            first.record()
            for _ in range(times):
                run()
            last.record()
            self.synchronize()
            return Timing(mean(alone), self.milliseconds(first, last) / 1e3 / times)

        return measure

    def cold(self, run: Run, prepare: Run) -> Callable[[], float]:
        """Each run has two events of its own, after memory was written to empty the cache."""

        def measure() -> float:
            pairs: list[tuple[Any, Any]] = []
            self.synchronize()
            begin, at_least = time.perf_counter(), min(ONE_BY_ONE, rounds.AT_LEAST)
            while not pairs or (time.perf_counter() - begin < at_least and len(pairs) < MOST_ONE_BY_ONE):
                prepare()
                self.fill()
                first, last = self.new_event(), self.new_event()
                first.record()
                run()
                last.record()
                pairs.append((first, last))
            self.synchronize()
            return mean(self.milliseconds(*pair) for pair in pairs) / 1e3

        return measure


Clock = HostClock | EventClock


def cupy_clock(xp: Any) -> EventClock:
    """Return a clock for CuPy, or for a module with the same names."""
    fill = _filler(lambda: xp.empty(COLD // 4, "float32"))
    return EventClock(xp.cuda.Event, xp.cuda.get_elapsed_time, lambda: xp.cuda.get_current_stream().synchronize(), fill)


def torch_clock(torch: Any, device: Any) -> EventClock:
    """Return a clock for torch."""
    return EventClock(
        lambda: torch.cuda.Event(enable_timing=True),
        lambda first, last: first.elapsed_time(last),
        lambda: torch.cuda.synchronize(device),
        _filler(lambda: torch.empty(COLD // 4, device=device)),
    )


def _filler(make: Callable[[], Any]) -> Run:
    """Return what writes to memory that is made at the first call."""
    memory = cache(make)
    return lambda: memory().__setitem__(..., 0)
