"""Work that a caller shares with the threads of a pool."""

import gc
import sys
import threading
import time
import weakref
from concurrent.futures import CancelledError, ThreadPoolExecutor
from functools import partial

import pytest

from npalexnet.backend import jobs
from npalexnet.backend.jobs import Job, compute_on

PATIENCE = 20  # seconds after which a test that hangs fails


@pytest.fixture
def pool():
    with ThreadPoolExecutor(2) as threads:
        yield threads


def in_the_caller():
    return threading.current_thread() is threading.main_thread()


def test_results_come_in_order_whoever_is_first(pool):
    later = threading.Event()

    def work(item):
        if item == 0:
            assert later.wait(PATIENCE)
        elif item == 9:
            later.set()
        return item

    assert list(compute_on(pool, 2, Job(work, range(10)))) == list(range(10))


def test_the_caller_computes_all_if_no_thread_comes_to_it(pool):
    leave = threading.Event()
    busy = [pool.submit(leave.wait, PATIENCE) for _ in range(2)]
    try:
        assert list(compute_on(pool, 2, Job(lambda item: in_the_caller(), range(5)))) == [True] * 5
    finally:
        leave.set()
    assert all(future.result() for future in busy)


@pytest.mark.parametrize("threads", [0, 2])
def test_an_error_comes_in_its_turn(pool, threads):
    results = compute_on(pool, threads, Job(lambda item: 6 // (item - 3), range(9)))
    assert [next(results) for _ in range(3)] == [-2, -3, -6]
    with pytest.raises(ZeroDivisionError):
        next(results)


def test_an_item_whose_thread_was_ended_is_not_waited_for(pool):
    meeting = threading.Barrier(2)

    def work(item):
        meeting.wait(PATIENCE)
        if not in_the_caller():
            raise SystemExit

    job = Job(work, range(2))
    with pytest.raises(CancelledError, match="thread that computed an item was ended"):
        list(compute_on(pool, 1, job))
    job.end()


def test_nothing_is_kept_of_what_was_computed(pool):
    class Thing:
        pass

    def watched():
        thing = Thing()
        seen.append(weakref.ref(thing))
        return thing

    seen, leave = [], threading.Event()
    busy = [pool.submit(leave.wait, PATIENCE) for _ in range(2)]  # so the job is in the queue when it is done
    gc.disable()
    try:
        job = Job(partial(lambda held, item: watched(), watched()), [watched(), watched()])
        for result in compute_on(pool, 2, job):
            del result
            assert seen[-1]() is None
        job.end()
        assert [thing() for thing in seen] == [None] * 5
    finally:
        gc.enable()
        leave.set()
    assert all(future.result() for future in busy)


def test_wherever_ctrl_c_interrupts_the_caller_nothing_runs_on(pool):
    """Raise it at the first, second, ... call or return in `jobs`, until there are no more."""
    position, interrupted, running = 0, True, []

    def work(item):
        running.append(item)
        time.sleep(0.001)
        running.remove(item)

    while interrupted:
        interrupted, seen = False, 0

        def interrupt(frame, event, argument, position=position):
            nonlocal interrupted, seen
            if frame.f_code.co_filename != jobs.__file__ or frame.f_code.co_name == "end" or interrupted:
                return
            seen += 1
            if seen > position:
                interrupted = True
                raise KeyboardInterrupt

        job = Job(work, range(4))
        try:
            sys.setprofile(interrupt)
            list(compute_on(pool, 2, job))
        except KeyboardInterrupt:
            pass
        finally:
            sys.setprofile(None)
            job.end()
        assert running == [], f"interrupted at {position}"
        position += 1
    assert position > 20
