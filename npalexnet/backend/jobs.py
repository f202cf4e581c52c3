"""Work on a pool of threads that ends with the call that began it."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import CancelledError, Executor, Future
from contextvars import copy_context

from npalexnet.backend.device import Item, Result
from npalexnet.backend.threads import forget_workers


class Job:
    """The items of one `map` that are being computed. It counts them where they run, whatever became of their futures.

    An error or Ctrl-C in the middle of ``submit`` can leave an item in the queue that no future is known of.
    """

    def __init__(self) -> None:
        self.ended, self.running, self.changed = False, 0, threading.Condition()

    def compute(self, function: Callable[[Item], Result], item: Item) -> Result:
        """Compute an item, unless the job has ended."""
        with self.changed:
            if self.ended:
                raise CancelledError
            self.running += 1
        try:
            return function(item)
        finally:
            with self.changed:
                self.running -= 1
                self.changed.notify_all()

    def end(self) -> None:
        """Let no further item begin, and wait for those that have begun."""
        with self.changed:
            self.ended = True
            self.changed.wait_for(lambda: not self.running)


def compute_on(pool: Executor, job: Job, function: Callable[[Item], Result], work: Sequence[Item]) -> Iterator[Result]:
    """Compute items on the threads of a pool; yield their results in order."""
    futures: deque[Future[Result]] = deque()
    try:
        for item in work:  # each in a copy of the caller's context: np.errstate is part of it
            futures.append(pool.submit(copy_context().run, job.compute, function, item))
        while futures:
            futures[0].result()
            yield futures.popleft().result()  # dropped here, so that its arrays don't live until the last one
    except MemoryError:
        forget_workers(pool)  # it may have ended a thread of theirs, whose work would be waited for in vain
        raise
    finally:
        for future in futures:
            future.cancel()
        futures.clear()  # an error's traceback would keep them, and they the error: memory that is never free again
