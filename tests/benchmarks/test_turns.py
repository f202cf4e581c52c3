"""Who is timed when, what becomes of the times, and that nobody is timed who computes something else."""

import time
from types import SimpleNamespace

import numpy as np
import pytest

from benchmarks import layers, network, turns
from benchmarks.layer_cases import Case


def test_rivals_alternate_and_warm_up_is_not_counted():
    calls = []
    rivals = {name: lambda name=name: calls.append(name) or float(len(calls)) for name in "abc"}
    found = turns.take_turns(rivals, rounds=2, warmup=1, pause=0)
    assert "".join(calls) == "abc" + "bca" + "cab"
    assert found == {"a": [6.0, 8.0], "b": [4.0, 9.0], "c": [5.0, 7.0]}


def test_what_a_run_needs_beforehand_is_done_each_time_and_not_timed(monkeypatch):
    monkeypatch.setattr(turns, "AT_LEAST", 0.2)
    calls = []

    def prepare():
        calls.append("prepare")
        time.sleep(0.02)

    seconds = turns.timed(lambda: calls.append("run"), prepare)()
    assert seconds < 0.02
    assert len(calls) > 2
    assert calls == ["prepare", "run"] * (len(calls) // 2)


def test_a_long_run_is_run_once_in_a_turn_and_timed():
    calls = []
    assert 0.02 <= turns.timed(lambda: calls.append(time.sleep(0.02)))() < 0.5
    assert len(calls) == 1


def test_median_and_spread_are_those_of_the_times():
    found = turns.spread([4.0, 1.0, 2.0, 3.0, 10.0])
    assert found == {"median": 3.0, "quartiles": [1.5, 7.0], "min": 1.0, "max": 10.0}


@pytest.mark.parametrize("theirs", [1.001, np.array([1.0, 2.0, 3.001]), np.array([1.0, 2.0, np.nan])])
def test_another_result_is_refused(theirs):
    ours = 1.0 if np.ndim(theirs) == 0 else np.array([1.0, 2.0, 3.0])
    assert turns.check_agreement("torch", "loss", ours, ours * 1.00001) == pytest.approx(1e-5, rel=1e-3)
    with pytest.raises(RuntimeError, match=r"nothing was timed: loss of torch"):
        turns.check_agreement("torch", "loss", ours, theirs)


def rival(name, logits):
    def timed():
        pytest.fail("it was timed")

    return SimpleNamespace(name=name, take=lambda *batch: None, logits=lambda: np.array(logits), forward=timed)


def test_networks_that_disagree_are_not_timed():
    rivals = [rival("npalexnet", [1.0, 2.0]), rival("torch", [1.0, 2.0]), rival("ONNX Runtime", [1.0, 2.1])]
    arguments = SimpleNamespace(batch_sizes=[1], classes=3)
    with pytest.raises(RuntimeError, match="first logits of ONNX Runtime"):
        network.answer("forward", rivals, network.first_logits, lambda images: 1, arguments, lambda line: None)


def test_layers_that_disagree_are_refused_but_for_dropout():
    def side(value):
        def nothing():
            pass

        return SimpleNamespace(forward=nothing, backward=nothing, forget=nothing, found=lambda: [np.array([value])])

    sides = {"npalexnet": side(1.0), "torch": side(1.1)}
    with pytest.raises(RuntimeError, match="conv1's output or gradient of torch"):
        layers.check(Case("conv1", (1,), {}, sides))
    layers.check(Case("dropout1", (1,), {}, sides, comparable=False))
