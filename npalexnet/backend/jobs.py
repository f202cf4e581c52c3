"""Work on a pool of threads and on the thread that wants it, which ends with the call that began it."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import CancelledError, Executor, Future
from contextlib import suppress
from contextvars import copy_context
from functools import partial
from typing import Generic, NamedTuple

from npalexnet.backend.device import Item, Result
from npalexnet.backend.threads import forget_workers

LOOK_AGAIN = 0.2  # seconds


class Outcome(NamedTuple):
    """What became of an item."""

    result: object
    error: Exception | None


class Job(Generic[Result]):
    """The items of one `map`, which the caller and the threads of a pool take one after the other.

    Ctrl-C may interrupt the caller at every line. So who computes is a set, from which `end` takes the caller in any
    case, and an item that was begun may come to no outcome.
    """

    def __init__(self, function: Callable[[Item], Result], items: Sequence[Item]) -> None:
        self.outcomes: list[Outcome | None] = [None] * len(items)
        self.left = deque(enumerate(partial(function, item) for item in items))  # what nobody has begun
        self.computing: set[int] = set()  # threads
        self.changed = threading.Condition()

    def compute_next(self) -> bool:
        """Compute the first item that nobody has begun, and keep its outcome; return False if there is none."""
        this_thread = threading.get_ident()
        try:
            with self.changed:
                if not self.left:
                    return False
                self.computing.add(this_thread)
                number, compute = self.left.popleft()
            try:
                self.outcomes[number] = Outcome(compute(), None)
            except Exception as error:
                self.outcomes[number] = Outcome(None, error)
        finally:
            self.computing.discard(this_thread)  # before all that needs memory
            with self.changed:
                self.changed.notify_all()
        return True

    def compute_all(self) -> None:
        """Compute items until none is left."""
        while self.compute_next():
            pass

    def result(self, number: int) -> Result:
        """Return the item's result, or raise its error; until it is there, compute other items, or else wait."""
        while self.outcomes[number] is None and self.compute_next():
            pass
        self._wait_for(lambda: self.outcomes[number] is not None or not self.computing)
        outcome, self.outcomes[number] = self.outcomes[number], None  # the caller's from here on, who may drop it
        try:
            if outcome is None:
                raise CancelledError("the thread that computed an item was ended")
            if outcome.error is not None:
                raise outcome.error
            return outcome.result  # type: ignore[return-value]
        finally:
            del outcome  # an error's traceback holds this frame: together they would never be free again

    def end(self) -> None:
        """Let no further item begin, and wait for those that have begun."""
        self.left.clear()
        self.computing.discard(threading.get_ident())
        self._wait_for(lambda: not self.computing)
        self.outcomes.clear()

    def _wait_for(self, done: Callable[[], bool]) -> None:
        """Wait until it is done; for lack of memory a notice may be lost, and so may be what waits for it."""
        while not done():
            try:
                with self.changed:
                    self.changed.wait_for(done, LOOK_AGAIN)
            except MemoryError:
                time.sleep(LOOK_AGAIN)


def compute_on(pool: Executor, threads: int, job: Job[Result]) -> Iterator[Result]:
    """Compute a job's items on the calling thread and on up to `threads` of a pool; yield the results in order."""
    count, futures = len(job.outcomes), list[Future[None]]()
    try:
        with suppress(RuntimeError):  # no further thread can be started: those that are there do the work
            for _ in range(min(threads, count - 1)):  # in a copy of the caller's context: np.errstate is part of it
                futures.append(pool.submit(copy_context().run, job.compute_all))
        for number in range(count):
            yield job.result(number)
    except MemoryError:
        forget_workers(pool)  # it may have ended one of its threads
        raise
    finally:
        for future in futures:
            future.cancel()
