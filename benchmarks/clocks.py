"""How long something takes: by the host's clock, and between two events on a GPU's stream."""

from __future__ import annotations

import time
from collections.abc import Callable
from math import ceil
from statistics import mean
from typing import Any, NamedTuple, Protocol

from benchmarks import turns

MOST = 200  # runs between two events
UNTIL_DONE = 0.03  # seconds: for so long, runs are waited for one by one
ONE_BY_ONE, MOST_ONE_BY_ONE = 0.02, 20  # seconds, and runs, each of them with cold caches
COLD = 1 << 29  # bytes: written before such a run, more than a GPU's cache holds, and the host gets ahead meanwhile


class Timing(NamedTuple):
    """Seconds of one run.

    Attributes
    ----------
    host : float
        By the host's clock, from the call until the device is done, one run after the other.
    device : float or None
        Between two events on the device, when runs follow each other without waiting; None on the CPU.
    """

    host: float
    device: float | None = None

    @property
    def seconds(self) -> float:
        """Those that count: the device's where there are some."""
        return self.host if self.device is None else self.device


class Clock(Protocol):
    """Makes turns, see `turns.take_turns`."""

    def turn(self, run: Callable[[], object]) -> Callable[[], Timing]:
        """Return a turn that runs again and again."""

    def cold_turn(self, run: Callable[[], object], prepare: Callable[[], object]) -> Callable[[], float]:
        """Return a turn whose runs find nothing in the caches; `prepare` is done before each, and not timed."""


class HostClock:
    """For the CPU. (Its runs go through more memory than its caches hold, but for small ones: nothing is emptied.)"""

    def turn(self, run: Callable[[], object]) -> Callable[[], Timing]:
        """Return a turn."""
        seconds = turns.timed(run)
        return lambda: Timing(seconds())

    def cold_turn(self, run: Callable[[], object], prepare: Callable[[], object]) -> Callable[[], float]:
        """Return a turn."""
        return turns.timed(run, prepare)


class EventClock:
    """For a GPU, on the current stream.

    Parameters
    ----------
    new_event : callable
        Makes an event with a ``record()``.
    milliseconds : callable
        Those between two events.
    synchronize : callable
        Waits until the device is done.
    fill : callable
        Writes `COLD` bytes of the device's memory.
    """

    def __init__(
        self,
        new_event: Callable[[], Any],
        milliseconds: Callable[[Any, Any], float],
        synchronize: Callable[[], object],
        fill: Callable[[], object],
    ) -> None:
        self.new_event, self.milliseconds, self.synchronize, self.fill = new_event, milliseconds, synchronize, fill

    def turn(self, run: Callable[[], object]) -> Callable[[], Timing]:
        """Return a turn: runs that are waited for, then some between two events, `turns.AT_LEAST` seconds or more."""

        def turn() -> Timing:
            alone: list[float] = []
            self.synchronize()
            while not alone or (sum(alone) < min(UNTIL_DONE, turns.AT_LEAST) and len(alone) < turns.MOST):
                start = time.perf_counter()
                run()
                self.synchronize()
                alone.append(time.perf_counter() - start)
            times = min(MOST, max(1, ceil(turns.AT_LEAST / mean(alone))))
            first, last = self.new_event(), self.new_event()
            first.record()
            for _ in range(times):
                run()
            last.record()
            self.synchronize()
            return Timing(mean(alone), self.milliseconds(first, last) / 1e3 / times)

        return turn

    def cold_turn(self, run: Callable[[], object], prepare: Callable[[], object]) -> Callable[[], float]:
        """Return a turn: each run has two events of its own, behind the writing of memory that empties the cache."""

        def turn() -> float:
            pairs: list[tuple[Any, Any]] = []
            self.synchronize()
            begin = time.perf_counter()
            atleast = min(ONE_BY_ONE, turns.AT_LEAST)
            while not pairs or (time.perf_counter() - begin < atleast and len(pairs) < MOST_ONE_BY_ONE):
                prepare()
                self.fill()
                first, last = self.new_event(), self.new_event()
                first.record()
                run()
                last.record()
                pairs.append((first, last))
            self.synchronize()
            return mean(self.milliseconds(*pair) for pair in pairs) / 1e3

        return turn


def cupy_clock(xp: Any) -> EventClock:
    """Return CuPy's, or that of a module with the same names; the memory to fill is made at the first use."""
    memory: list[Any] = []

    def fill() -> None:
        if not memory:
            memory.append(xp.empty(COLD // 4, "float32"))
        memory[0][...] = 0

    return EventClock(xp.cuda.Event, xp.cuda.get_elapsed_time, lambda: xp.cuda.get_current_stream().synchronize(), fill)


def torch_clock(torch: Any, device: Any) -> EventClock:
    """Return torch's."""
    memory: list[Any] = []

    def fill() -> None:
        if not memory:
            memory.append(torch.empty(COLD // 4, device=device))
        memory[0].zero_()

    return EventClock(
        lambda: torch.cuda.Event(enable_timing=True),
        lambda first, last: first.elapsed_time(last),
        lambda: torch.cuda.synchronize(device),
        fill,
    )
