"""How many threads compute, the threads themselves, and a BLAS that stays on the thread that asks it."""

from __future__ import annotations

import os
import threading
from concurrent.futures import Executor, ThreadPoolExecutor
from functools import partial
from typing import Any

import numpy as np
from threadpoolctl import OpenBLASController, ThreadpoolController, threadpool_info

from npalexnet.backend.cores import usable_cores
from npalexnet.checks import integer

ENVIRONMENT_VARIABLE = "NPALEXNET_NUM_THREADS"

_lock = threading.Lock()
_num_threads: int | None = None
_pool: ThreadPoolExecutor | None = None


def get_num_threads() -> int:
    """Return how many threads compute.

    That is what `set_num_threads` was given; without it, the environment variable ``NPALEXNET_NUM_THREADS``; without
    that, the cores that this process may use: no more than its affinity and its container's CPU quota allow.

    Raises
    ------
    ValueError
        If the environment variable holds something else than an integer of at least 1.
    """
    global _num_threads
    if _num_threads is None:
        _num_threads = _from_environment() or usable_cores()
    return _num_threads


def _from_environment() -> int | None:
    text = os.environ.get(ENVIRONMENT_VARIABLE, "").strip()
    if not text:
        return None
    if not text.isdecimal() or int(text) < 1:
        raise ValueError(f"the environment variable {ENVIRONMENT_VARIABLE} must be an integer above 0, got {text!r}")
    return int(text)


def set_num_threads(num_threads: int) -> None:
    """Set how many threads compute. The results do not depend on it, not in a single bit.

    Parameters
    ----------
    num_threads : int
        At least 1.

    Raises
    ------
    TypeError, ValueError
        If `num_threads` is not an integer, or below 1; nothing is changed.
    """
    global _num_threads, _pool
    num_threads = integer("num_threads", num_threads, 1)
    with _lock:
        if num_threads != _num_threads:
            _num_threads = num_threads
            _pool = None  # work that is under way keeps the old pool until it is done


def workers() -> ThreadPoolExecutor:
    """Return the threads that compute beside the one that calls."""
    global _pool
    with _lock:
        if _pool is None:
            _pool = ThreadPoolExecutor(max(1, get_num_threads() - 1), "npalexnet")
        return _pool


def forget_workers(pool: Executor) -> None:
    """Let `workers` return other threads than those of `pool` from here on."""
    global _pool
    with _lock:
        if _pool is pool:
            _pool = None


class _BlasLimit:
    """BLAS held to one thread while anybody needs it: the first to come sets the limit, the last to go lifts it.

    Ctrl-C may interrupt every line. So what is to be restored is written down before anything is set, `settle` does
    again what was not done to its end, and users are a set, in which it does no harm to add or discard one twice.
    """

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.users: set[object] = set()
        self.controller: ThreadpoolController | None = None
        self.before: list[tuple[Any, int]] = []  # each library, and how many threads it had
        self.limited = False

    def settle(self) -> None:
        """Set the limit if there are users, else lift it; the lock is held."""
        if self.users and not self.limited:
            if self.controller is None:
                self.controller = ThreadpoolController().select(user_api="blas")
            if not self.before:
                self.before = [(library, library.num_threads) for library in self.controller.lib_controllers]
            _set_blas([(library, 1) for library, _ in self.before])
            self.limited = True
        elif not self.users and self.before:
            self.limited = False
            _set_blas(self.before)
            self.before = []


_blas = _BlasLimit()
# threadpoolctl ignores all but the thread that first set OpenBLAS's limit, unless it is told to forget which that was.
_let_this_thread_set_blas = partial(getattr(OpenBLASController, "clear_controlling_thread", lambda force: None), True)


def _set_blas(numbers: list[tuple[Any, int]]) -> None:
    _let_this_thread_set_blas()
    for library, number in numbers:
        library.set_num_threads(number)
    _let_this_thread_set_blas()


class single_threaded_blas:
    """Context in which BLAS computes each product on the thread that asks for it."""

    def __init__(self) -> None:
        self.blas = _blas

    def acquire(self) -> None:
        """Set the limit; `release` must follow, even if this is interrupted."""
        self.blas = _blas
        with self.blas.lock:
            self.blas.users.add(self)
            self.blas.settle()

    def release(self) -> None:
        """Lift the limit, unless others need it; may be called again, and has to be if it was interrupted."""
        if self.blas is not _blas:  # in a forked child, which has restored the limit already
            return
        with self.blas.lock:
            self.blas.users.discard(self)
            self.blas.settle()

    def __enter__(self) -> None:
        try:
            self.acquire()
        except BaseException:
            self.release()
            raise

    def __exit__(self, *error: object) -> None:
        try:
            self.release()
        finally:
            self.release()


def blas_libraries() -> tuple[list[str], str]:
    """Return the BLAS libraries of this process, and what is to be said of them, or "".

    The threads of those that threadpoolctl does not know can't be limited: of Apple's Accelerate, which NumPy's wheels
    for macOS use. Then the worker threads and the BLAS's own compete for the cores. Results are right all the same.
    """
    known = [library for library in threadpool_info() if library["user_api"] == "blas"]
    if known:
        return [f"{library['internal_api']} {library['version']}" for library in known], ""
    built_with = np.show_config(mode="dicts").get("Build Dependencies", {}).get("blas", {}).get("name", "unknown")
    advice = ""
    if "accelerate" in built_with.lower():
        advice = ": set the environment variable VECLIB_MAXIMUM_THREADS=1 before Python starts"
    return [built_with], f"the BLAS's own threads can't be limited from here{advice}"


def _after_fork() -> None:
    """In a forked child: the threads of the parent are not there, and its locks may be held for ever."""
    global _lock, _pool, _blas
    _lock, _pool = threading.Lock(), None
    if _blas.before:
        _set_blas(_blas.before)
    _blas = _BlasLimit()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
