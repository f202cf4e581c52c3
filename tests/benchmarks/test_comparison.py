"""Comparisons of fake rivals: who fails is left out with the reason, who disagrees is not timed, the rest is."""

from types import SimpleNamespace

import numpy as np
import pytest

from benchmarks import comparison
from benchmarks.attempts import Attempts, left_out_lines
from benchmarks.comparison import Comparison
from benchmarks.precisions import PRECISIONS
from tests.fakes.rival import Rival

ARGUMENTS = SimpleNamespace(rounds=2, warmup=1, pause=0.0)
BATCHES = {2: ("two", "labels"), 9: ("nine", "labels")}


@pytest.fixture
def attempts():
    return Attempts(lambda line: None)


@pytest.fixture
def compared(monkeypatch):
    monkeypatch.setattr(comparison, "FLOPS", {"forward": lambda _, images: 10 * images, "step": lambda _, n: 30 * n})
    return Comparison(ARGUMENTS, None, lambda line: None)


def timed(compared):
    return [(row["batch"], row["task"], row["rival"]) for row in compared.rows]


ALL = [(batch, task) for batch in BATCHES for task in ("forward", "step")]


def test_the_time_that_counts_is_the_device_s_and_rates_follow_from_it(compared, attempts):
    compared.measure([Rival("a")], BATCHES, precision=PRECISIONS["tf32"], on_gpu=attempts)
    row = compared.rows[-1]
    assert (row["place"], row["precision"], row["batch"], row["task"]) == ("GPU", "tf32", 9, "step")
    assert row["seconds"] == [1.0, 1.0]
    assert row["until_done"] == 2.0
    assert row["gflops_per_second"] == pytest.approx(270e-9)


@pytest.mark.parametrize(
    ("fails", "missing"),
    [
        ("fp32", ALL),
        ("nine", [(9, "forward"), (9, "step")]),
        ("first pass", ALL),
        ("step", [(2, "step"), (9, "step")]),
    ],
)
def test_a_rival_that_fails_is_left_out_where_it_does_and_the_others_are_timed(compared, attempts, fails, missing):
    bad, good = Rival("bad", fails=fails), Rival("good")
    flags = compared.measure([bad, good], BATCHES, precision=PRECISIONS["fp32"], on_gpu=attempts)
    expected = [(*where, name) for where in ALL for name in ("bad", "good") if name == "good" or where not in missing]
    assert timed(compared) == expected
    left_out = attempts.left_out
    assert {(row["rival"], row["precision"], row["reason"]) for row in left_out} == {
        ("bad", "fp32", f"MemoryError: at {fails}")
    }
    assert len(bad.freed) == len(left_out)
    assert not good.freed
    assert left_out_lines(left_out)[0].startswith("LEFT OUT: bad, fp32, ")
    assert flags == [f"{name}: as {name} has them" for name in ("bad", "good") if (name, fails) != ("bad", "fp32")]


def test_a_rival_must_agree_as_closely_as_the_precision_allows(compared, attempts):
    apart = 0.002 * np.sqrt(5)  # 0.002 of the norm of (1, 2): within 2^-7, not within 1e-4
    rivals = [Rival("a"), Rival("b", logits=1 + apart)]
    for name in ("fp32", "tf32"):
        compared.measure(rivals, BATCHES, precision=PRECISIONS[name], on_gpu=attempts)
    assert {row["rival"] for row in compared.rows if row["precision"] == "fp32"} == {"a"}
    assert {row["rival"] for row in compared.rows if row["precision"] == "tf32"} == {"a", "b"}
    assert "nothing was timed: the first logits of b is 2.0e-03 away" in attempts.left_out[0]["reason"]
    assert compared.differences["tf32"]["logits"] == pytest.approx(0.002)


def test_a_rival_that_computes_nan_is_no_reference_for_the_others(compared, attempts):
    compared.measure(
        [Rival("broken", logits=np.nan), Rival("good")], BATCHES, precision=PRECISIONS["fp32"], on_gpu=attempts
    )
    assert {row["rival"] for row in compared.rows} == {"good"}


def test_on_the_cpu_a_rival_that_disagrees_ends_the_run_and_nobody_is_timed(compared):
    rivals = [Rival("npalexnet"), Rival("torch"), Rival("ONNX Runtime", logits=1.1)]
    with pytest.raises(RuntimeError, match="first logits of ONNX Runtime"):
        compared.measure(rivals, BATCHES, lambda: pytest.fail("it looked for the fastest sgemm"))
    assert compared.rows == []
    assert not any(rival.runs for rival in rivals)


def test_what_the_cpu_computed_is_what_the_gpu_is_held_against(compared, attempts):
    cpu = Rival("npalexnet")
    compared.measure([cpu], {2: BATCHES[2]})
    compared.measure([Rival("a", logits=1.1)], BATCHES, precision=PRECISIONS["bf16"], on_gpu=attempts)
    assert timed(compared) == [
        (2, "forward", "npalexnet"),
        (2, "step", "npalexnet"),
        (9, "forward", "a"),
        (9, "step", "a"),
    ]
