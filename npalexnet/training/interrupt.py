"""Signals that ask a program to end: the first one asks for a stop at a good moment, the second one interrupts."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

from npalexnet.terminal import say

# Ctrl-C, what schedulers, `docker stop` and a closed terminal send, limits of CPU time; as far as the system has them.
NAMES = ("SIGINT", "SIGTERM", "SIGHUP", "SIGUSR1", "SIGUSR2", "SIGXCPU", "SIGBREAK")
ECHO_SECONDS = 0.5  # in which a sender may signal a process and its group, or a shell repeat the terminal's signal


class Interrupted(KeyboardInterrupt):
    """A second signal: the program is to end at once, without saving."""


class Stop:
    """Whether a stop was requested: ``stop.requested``, or ``stop()``.

    Attributes
    ----------
    began : bool
        Whether training has begun, for the message.
    number : int
        Of the last signal.
    """

    requested = began = False
    number = int(signal.SIGINT)

    def __call__(self) -> bool:
        """Return ``requested``."""
        return self.requested

    @property
    def status(self) -> int:
        """The exit status of a program that the signal ended, by the shells' convention: 130 for Ctrl-C."""
        return 128 + self.number

    @property
    def message(self) -> str:
        """What is printed when a stop is requested."""
        by_hand = self.number == signal.SIGINT
        cause = "" if by_hand else f" ({signal.Signals(self.number).name})"
        again = "Ctrl-C again" if by_hand else "another signal"
        if not self.began:
            return f"Stopping before the first step{cause}; {again} stops at once."
        return f"Stopping after this step{cause}; {again} stops at once, and only the last checkpoint is kept."


@contextmanager
def stop_on_signals() -> Iterator[Stop]:
    """Context in which the first signal asks for a stop, and the second one raises `Interrupted`.

    A signal that the program was started to ignore stays ignored (`nohup`, jobs in the background). Of those that are
    not typed by hand, one that comes at once after another is the same request. Nothing is changed outside of the main
    thread, where Python allows no handlers.
    """
    stop = Stop()
    asked = 0.0

    def request(number: int, frame: Any) -> None:
        nonlocal asked
        if stop.requested and number != signal.SIGINT and time.monotonic() - asked < ECHO_SECONDS:
            return
        before, stop.requested, stop.number = stop.requested, True, number
        if before:
            raise Interrupted
        asked = time.monotonic()
        with suppress(RuntimeError):  # the signal came amid a line that is being printed
            say(f"\n{stop.message}", error=True)

    replaced = {}
    try:
        if threading.current_thread() is threading.main_thread():
            for name in NAMES:
                number = getattr(signal, name, None)
                if number is not None and signal.getsignal(number) not in (signal.SIG_IGN, None):
                    replaced[number] = signal.signal(number, request)
        yield stop
    finally:
        for number, handler in replaced.items():
            signal.signal(number, handler)
