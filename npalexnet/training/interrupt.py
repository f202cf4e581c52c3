"""Ctrl-C: the first one asks for a stop at a good moment, the second one interrupts."""

from __future__ import annotations

import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

INTERRUPTED = 130  # the exit status of a program that Ctrl-C ended, by the shells' convention
STOPPING = "Stopping after this step; Ctrl-C again stops at once, and only the last checkpoint is kept."


class Stop:
    """Whether a stop was requested: ``stop.requested``, or ``stop()``; `message` is then printed."""

    requested = False
    message = "Stopping before the first step; Ctrl-C again stops at once."

    def __call__(self) -> bool:
        """Return ``requested``."""
        return self.requested


@contextmanager
def stop_on_ctrl_c() -> Iterator[Stop]:
    """Context in which the first Ctrl-C asks for a stop, and the second one raises KeyboardInterrupt.

    In the main thread only, as Python has it with signals.
    """
    stop = Stop()

    def request(signal_number: int, frame: Any) -> None:
        stop.requested = True
        signal.signal(signal.SIGINT, signal.default_int_handler)
        print(f"\n{stop.message}", file=sys.stderr, flush=True)

    before = signal.signal(signal.SIGINT, request)
    try:
        yield stop
    finally:
        signal.signal(signal.SIGINT, before)
