"""Contests with fake rivals: who fails is left out with the reason, who disagrees is not timed, the rest is."""

from types import SimpleNamespace

import numpy as np
import pytest

from benchmarks import floor, gpu_contest
from benchmarks.attempts import Attempts, left_out_lines
from benchmarks.clocks import Timing
from benchmarks.precisions import PRECISIONS

ARGUMENTS = SimpleNamespace(rounds=2, warmup=1, pause=0.0)
BATCHES = {2: ("two", "labels"), 9: ("nine", "labels")}


class Clock:
    """Runs once, and says a second on the device, two on the host."""

    def turn(self, run):
        def turn():
            run()
            return Timing(host=2.0, device=1.0)

        return turn


class Rival:
    """Computes what it is told to, and fails where it is told to."""

    threads, clock = 1, Clock()

    def __init__(self, name, logits=1.0, fails=None):
        self.name, self.value, self.fails, self.freed, self.runs = name, logits, fails, 0, []

    def _maybe(self, where):
        if self.fails == where:
            raise MemoryError(f"at\n{where}")

    def use(self, precision):
        self._maybe(precision.name)

    def take(self, images, labels):
        self._maybe(images)
        self.images = images

    def logits(self):
        return np.array([self.value, 2.0])

    def first_pass(self):
        self._maybe("first pass")
        return 1.0, 2.0

    def runner(self, task):
        self._maybe(task)
        return lambda: self.runs.append((task, self.images))

    def synchronize(self):
        pass

    def free(self):
        self.freed += 1

    def flags(self):
        return f"as {self.name} has them"

    def peak_memory(self):
        self._maybe("memory")
        return {"reserved": 3, "allocated": 2}


@pytest.fixture
def contests(monkeypatch):
    monkeypatch.setattr(floor, "forward_flops", lambda model, images: 10 * images)
    monkeypatch.setattr(floor, "step_flops", lambda model, images: 30 * images)
    said = []
    found = gpu_contest.Contests(ARGUMENTS, None, said.append, Attempts(said.append))
    found.said = said
    return found


def timed(contests):
    return [(row["batch"], row["task"], row["rival"]) for row in contests.rows]


ALL = [(batch, task) for batch in BATCHES for task in ("forward", "step")]


def test_the_time_that_counts_is_the_device_s_and_rates_follow_from_it(contests):
    contests.on_gpu([Rival("a")], PRECISIONS["tf32"], BATCHES)
    row = contests.rows[-1]
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
def test_a_rival_that_fails_is_left_out_where_it_does_and_the_others_are_timed(contests, fails, missing):
    bad, good = Rival("bad", fails=fails), Rival("good")
    flags = contests.on_gpu([bad, good], PRECISIONS["fp32"], BATCHES)
    expected = [(*where, name) for where in ALL for name in ("bad", "good") if name == "good" or where not in missing]
    assert timed(contests) == expected
    left_out = contests.attempts.left_out
    assert {(row["rival"], row["precision"], row["reason"]) for row in left_out} == {
        ("bad", "fp32", f"MemoryError: at {fails}")
    }
    assert bad.freed == len(left_out)
    assert good.freed == 0
    assert left_out_lines(left_out)[0].startswith("LEFT OUT: bad, fp32, ")
    assert flags == [f"{name}: as {name} has them" for name in ("bad", "good") if (name, fails) != ("bad", "fp32")]


def test_a_rival_must_agree_as_closely_as_the_precision_allows(contests):
    apart = 0.002 * np.sqrt(5)  # 0.002 of the norm of (1, 2): within 2^-7, not within 1e-4
    rivals = [Rival("a"), Rival("b", logits=1 + apart)]
    for name in ("fp32", "tf32"):
        contests.on_gpu(rivals, PRECISIONS[name], BATCHES)
    assert {row["rival"] for row in contests.rows if row["precision"] == "fp32"} == {"a"}
    assert {row["rival"] for row in contests.rows if row["precision"] == "tf32"} == {"a", "b"}
    assert "nothing was timed: the first logits of b is 2.0e-03 away" in contests.attempts.left_out[0]["reason"]
    assert contests.differences["tf32"]["logits"] == pytest.approx(0.002)


def test_a_rival_that_computes_nan_is_no_reference_for_the_others(contests):
    contests.on_gpu([Rival("broken", logits=np.nan), Rival("good")], PRECISIONS["fp32"], BATCHES)
    assert {row["rival"] for row in contests.rows} == {"good"}


def test_on_the_cpu_a_rival_that_disagrees_ends_the_run(contests):
    with pytest.raises(RuntimeError, match="first logits of b"):
        contests.on_cpu([Rival("a"), Rival("b", logits=1.1)], BATCHES)
    assert contests.rows == []


def test_what_the_cpu_computed_is_what_the_gpu_is_held_against(contests):
    cpu = Rival("npalexnet")
    cpu.forward = cpu.step = lambda: None
    contests.on_cpu([cpu], {2: BATCHES[2]})
    contests.on_gpu([Rival("a", logits=1.1)], PRECISIONS["bf16"], BATCHES)
    assert timed(contests) == [
        (2, "forward", "npalexnet"),
        (2, "step", "npalexnet"),
        (9, "forward", "a"),
        (9, "step", "a"),
    ]


def test_memory_is_measured_of_one_rival_after_the_other_and_failures_are_kept():
    made = []

    def make(name, fails):
        made.append(name)
        return Rival(name, fails=fails)

    attempts = Attempts(lambda line: None)
    makers = [lambda: make("a", None), lambda: make("b", "nine")]
    rows = gpu_contest.memory(makers, [PRECISIONS["fp32"]], BATCHES, attempts)
    assert made == ["a", "b"]
    assert [(row["rival"], row["batch"], row["reserved"]) for row in rows] == [("a", 2, 3), ("a", 9, 3), ("b", 2, 3)]
    assert [(row["rival"], row["batch"]) for row in attempts.left_out] == [("b", 9)]


def test_the_cpu_takes_the_batch_sizes_that_it_can():
    assert gpu_contest.for_the_cpu([1, 128, 512], 128) == [1, 128]
    assert gpu_contest.for_the_cpu([512, 256], 128) == [256]
