"""How much memory pictures may take: a bound for each, and for all that are decoded at the same time.

A file of some kilobytes can hold a picture of gigabytes. Both bounds follow from the memory that this process may use,
which is the machine's, or less where a cgroup (a container) or ``ulimit -v`` says so.
"""

from __future__ import annotations

import os
import threading
from collections import deque
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from functools import cache
from pathlib import Path

VARIABLE = "NPALEXNET_PICTURE_MEMORY"  # overrides the bound of a picture, in megabytes
MOST = 1 << 30  # bytes of one picture, however much memory there is
UNKNOWN = 8 << 30  # bytes of memory that are presumed on a system that doesn't tell


def picture_limit() -> int:
    """Return how many bytes decoding one picture may take: a quarter of the memory, and at most 1 GiB.

    The environment variable ``NPALEXNET_PICTURE_MEMORY``, in megabytes, overrides it.
    """
    text = os.environ.get(VARIABLE, "")
    if not text:
        return min(MOST, memory_allowed() // 4)
    if not (text.isascii() and text.isdigit() and 0 < int(text) < 1 << 30):
        raise ValueError(f"{VARIABLE} must be a number of megabytes, at least 1, got {text!r}")
    return int(text) * 1_000_000


def bound(limit: int) -> str:
    """Return the words for it, with what can be done."""
    return f"a picture may take {limit / 1e6:,.0f}; make it smaller, or set {VARIABLE} to more megabytes"


@cache
def memory_allowed() -> int:
    """Return how many bytes of memory this process may use."""
    limits = [*_cgroup_limits(), *_resource_limits()]
    try:
        limits.append(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"))
    except (AttributeError, OSError, ValueError):  # Windows
        limits.append(UNKNOWN)
    return min(limits)


def _cgroup_limits() -> Iterator[int]:
    """Yield the limits of this process's cgroup and of those above it."""
    try:
        lines = Path("/proc/self/cgroup").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return
    for line in lines:
        _, controllers, place = line.split(":", 2)
        if controllers == "":
            root, name = Path("/sys/fs/cgroup"), "memory.max"
        elif "memory" in controllers.split(","):
            root, name = Path("/sys/fs/cgroup/memory"), "memory.limit_in_bytes"
        else:
            continue
        here = root / place.lstrip("/")
        for folder in (here, *here.parents):  # in a container some of them can't be seen
            with suppress(OSError, ValueError):  # "max" is no number
                yield int((folder / name).read_text(encoding="ascii"))
            if folder == root:
                break


def _resource_limits() -> Iterator[int]:
    try:
        import resource
    except ModuleNotFoundError:  # Windows
        return
    soft, _ = resource.getrlimit(resource.RLIMIT_AS)
    if soft != resource.RLIM_INFINITY:
        yield soft


class Reservations:
    """Memory that threads reserve before they decode: who finds too little left waits for the others.

    First come, first served. A picture that takes more than there is in all is decoded alone. A thread that holds a
    reservation never waits for another one, so that none can wait for each other.
    """

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._queue: deque[object] = deque()
        self._used = 0
        self._local = threading.local()

    @contextmanager
    def reserve(self, size: int, capacity: int) -> Iterator[None]:
        """Context in which `size` bytes are reserved, of `capacity` in all; inside of `held`, until that one's end."""
        scope: ExitStack | None = getattr(self._local, "scope", None)
        with ExitStack() as own:
            (own if scope is None else scope).enter_context(self._reserved(min(size, capacity), capacity))
            yield

    @contextmanager
    def held(self) -> Iterator[None]:
        """Context of a thread at whose end all that it reserved inside is free: it has dropped its pictures by then."""
        if getattr(self._local, "scope", None) is not None:
            yield
            return
        with ExitStack() as self._local.scope:
            try:
                yield
            finally:
                scope, self._local.scope = self._local.scope, None
                scope.close()

    @contextmanager
    def _reserved(self, size: int, capacity: int) -> Iterator[None]:
        mine = getattr(self._local, "count", 0)
        with self._changed:
            if not mine:
                ticket = object()
                self._queue.append(ticket)
                try:
                    self._changed.wait_for(lambda: self._queue[0] is ticket and self._used + size <= capacity)
                finally:
                    self._queue.remove(ticket)
                    self._changed.notify_all()
            self._used += size
        self._local.count = mine + 1
        try:
            yield
        finally:
            self._local.count -= 1
            with self._changed:
                self._used -= size
                self._changed.notify_all()


PICTURES = Reservations()
