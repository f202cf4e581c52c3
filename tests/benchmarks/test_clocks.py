"""What the clocks count, with a device whose time is a number."""

import pytest

from benchmarks import clocks, rounds
from benchmarks.clocks import EventClock, HostClock, Timing


class Device:
    """Its time goes on by what it is asked to do."""

    def __init__(self):
        self.now, self.done = 0.0, []

    def work(self, what, milliseconds):
        def run():
            self.done.append(what)
            self.now += milliseconds

        return run

    def clock(self):
        device = self

        class Event:
            def record(self):
                self.at = device.now

        return EventClock(
            Event,
            lambda first, last: last.at - first.at,
            lambda: device.done.append("wait"),
            device.work("fill", 1000.0),
        )


def test_between_two_events_are_runs_alone_and_their_mean_counts():
    device = Device()
    timing = device.clock().warm(device.work("run", 4.0))()
    assert timing.device == pytest.approx(0.004)
    assert timing.seconds == timing.device
    assert 0 < timing.host < 0.1
    assert device.done == ["wait", "run", "wait", "run", "wait"]  # once waited for, then between the events


def test_enough_runs_follow_each_other_to_fill_the_time(monkeypatch):
    monkeypatch.setattr(rounds, "AT_LEAST", 0.1)
    monkeypatch.setattr(rounds, "MOST", 3)
    monkeypatch.setattr(clocks, "MOST", 50)
    device = Device()
    timing = device.clock().warm(device.work("run", 4.0))()
    assert device.done == ["wait", *["run", "wait"] * 3, *["run"] * 50, "wait"]
    assert timing.device == pytest.approx(0.004)


def test_a_cold_run_does_not_count_what_is_done_before_it(monkeypatch):
    monkeypatch.setattr(rounds, "AT_LEAST", 10.0)
    monkeypatch.setattr(clocks, "ONE_BY_ONE", 10.0)
    monkeypatch.setattr(clocks, "MOST_ONE_BY_ONE", 2)
    device = Device()
    seconds = device.clock().cold(device.work("run", 4.0), device.work("prepare", 100.0))()
    assert seconds == pytest.approx(0.004)
    assert device.done == ["wait", *["prepare", "fill", "run"] * 2, "wait"]


def test_on_the_cpu_the_host_s_clock_is_all_there_is():
    timing = HostClock().warm(lambda: None)()
    assert timing.device is None
    assert timing.seconds == timing.host
    assert Timing(2.0, 1.0).seconds == 1.0


def test_cupy_has_the_names_that_the_gpu_questions_use():
    cupy = pytest.importorskip("cupy", exc_type=ImportError)
    for name in ("Event", "MemoryHook", "get_current_stream", "get_elapsed_time"):
        assert hasattr(cupy.cuda, name)
    for name in ("copyto", "empty", "full", "zeros", "get_default_memory_pool"):
        assert hasattr(cupy, name)
    for name in ("free_all_blocks", "total_bytes", "used_bytes"):
        assert hasattr(cupy.cuda.MemoryPool, name)
    assert hasattr(cupy.cuda.MemoryHook, "malloc_postprocess")
