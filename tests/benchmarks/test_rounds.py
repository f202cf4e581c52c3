"""Who is timed when, what becomes of the times, and that nobody is timed who computes something else."""

import time
from types import SimpleNamespace

import numpy as np
import pytest

from benchmarks import rounds


def test_rivals_alternate_and_warm_up_is_not_counted():
    calls = []
    rivals = {name: lambda name=name: calls.append(name) or float(len(calls)) for name in "abc"}
    found = rounds.interleaved(rivals, SimpleNamespace(rounds=2, warmup=1, pause=0))
    assert "".join(calls) == "abc" + "bca" + "cab"
    assert found == {"a": [6.0, 8.0], "b": [4.0, 9.0], "c": [5.0, 7.0]}


def test_what_a_run_needs_beforehand_is_done_each_time_and_not_timed(monkeypatch):
    monkeypatch.setattr(rounds, "AT_LEAST", 0.2)
    calls = []

    def prepare():
        calls.append("prepare")
        time.sleep(0.02)

    seconds = rounds.timed(lambda: calls.append("run"), prepare)()
    assert seconds < 0.02
    assert len(calls) > 2
    assert calls == ["prepare", "run"] * (len(calls) // 2)


def test_short_runs_count_once_the_cores_are_awake(monkeypatch):
    monkeypatch.setattr(rounds, "AT_LEAST", 0.1)
    calls = []

    def slow_at_first():
        calls.append(time.sleep(0.03 if len(calls) < 3 else 0.0005))

    assert rounds.timed(slow_at_first)() < 0.01
    assert len(calls) > 6


def test_a_long_run_is_run_once_in_a_measurement_and_timed():
    calls = []
    assert 0.02 <= rounds.timed(lambda: calls.append(time.sleep(0.02)))() < 0.5
    assert len(calls) == 1


def test_median_and_spread_are_those_of_the_times():
    times = [4.0, 1.0, 2.0, 3.0, 10.0]
    spread = {"median": 3.0, "quartiles": [1.5, 7.0], "min": 1.0, "max": 10.0}
    assert rounds.spread(times) == spread
    assert rounds.summary(times) == {"seconds": times, **spread}


@pytest.mark.parametrize("theirs", [1.001, np.array([1.0, 2.0, 3.001]), np.array([1.0, 2.0, np.nan])])
def test_another_result_is_refused(theirs):
    ours = 1.0 if np.ndim(theirs) == 0 else np.array([1.0, 2.0, 3.0])
    assert rounds.check_agreement("torch", "loss", ours, ours * 1.00001) == pytest.approx(1e-5, rel=1e-3)
    with pytest.raises(RuntimeError, match=r"nothing was timed: loss of torch"):
        rounds.check_agreement("torch", "loss", ours, theirs)
