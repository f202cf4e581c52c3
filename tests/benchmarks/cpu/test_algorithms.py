"""The rule behind "auto" is judged by what it chooses, and by the times."""

import math

import pytest

from benchmarks.cpu import algorithms
from benchmarks.cpu.algorithms import Case, geometric_mean, rules
from npalexnet.layers import algorithm_choice


def row(task, im2col, winograd, chosen, **case):
    case = {"kernel": 3, "size": 13, "channels": 128, "images": 8} | case
    times = {"im2col": {"median": im2col}, "winograd": {"median": winograd}}
    return {**case, "task": task, **times, "chosen": chosen, "im2col_over_winograd": im2col / winograd}


ROWS = [
    *(row(task, 2.0, 1.0, "winograd") for task in algorithms.TASKS),  # right
    row("forward", 1.0, 4.0, "winograd"),  # wrong, 4 times as slow
    row("forward", 3.0, 2.95, "im2col"),  # as good
    row("forward", 9.0, 1.0, "im2col", channels=32),  # wrong, 9 times as slow
]


def test_a_rule_is_as_bad_as_its_wrong_choices():
    auto, im2col, winograd, *others = rules(ROWS)
    assert auto["rule"] == "auto"
    assert auto["forward"] == {
        "cases": 4,
        "wrong": 2,
        "loss_of_all": pytest.approx((36 * 3 / 2.95) ** (1 / 4)),
        "loss_of_wrong": pytest.approx(6.0),
        "worst": 9.0,
    }
    assert auto["training"]["wrong"] == 0
    assert auto["training"]["loss_of_all"] == auto["training"]["loss_of_wrong"] == 1
    assert (im2col["rule"], im2col["forward"]["wrong"]) == ("always im2col", 2)
    assert (winograd["rule"], winograd["forward"]["worst"]) == ("always winograd", 4.0)
    assert {rule["rule"].split(" = ")[0] for rule in others} == set(algorithms.TRIED)


def test_other_constants_are_tried_and_forgotten(monkeypatch):
    monkeypatch.setattr(algorithms, "TRIED", {"LEAST_CHANNELS": (16,)})
    monkeypatch.setattr(algorithm_choice, "LEAST_CHANNELS", 64)
    *_, tried = rules(ROWS[-1:])
    assert tried["rule"] == "LEAST_CHANNELS = 16"
    assert tried["forward"]["wrong"] == 0
    assert algorithm_choice.LEAST_CHANNELS == 64


def test_a_case_is_chosen_for_by_its_shape_alone(monkeypatch):
    for name, value in {"LEAST_CHANNELS": 64, "LEAST_WINDOWS": 300, "LEAST_SIZE": 8, "MOST_SIZE": 64}.items():
        monkeypatch.setattr(algorithm_choice, name, value)
    chosen = {case: case.chosen() for case in (Case(3, 13, 64, 2), Case(3, 13, 64, 1), Case(5, 27, 64, 1))}
    assert list(chosen.values()) == ["winograd", "im2col", "winograd"]
    assert Case(3, 13, 63, 2).chosen() == Case(3, 6, 64, 16).chosen() == Case(3, 112, 64, 1).chosen() == "im2col"


def test_cases_that_take_too_long_are_left_out(monkeypatch):
    assert Case(3, 13, 64, 2).multiply_adds == algorithms.SHARDS * 2 * 13 * 13 * 64 * 64 * 9
    monkeypatch.setattr(algorithms, "MOST", Case(3, 13, 64, 2).multiply_adds)
    found = list(algorithms.cases([2]))
    assert Case(3, 13, 64, 2) in found
    assert Case(3, 13, 128, 2) not in found
    assert {case.images for case in found} == {2}


@pytest.mark.parametrize("task", algorithms.TASKS)
def test_a_pass_computes_all_shards_with_one_algorithm_s_instance(task):
    counted = {"passes": 0, "output": 0, "gradients": 0}

    class Counting:
        def for_pass(self):
            counted["passes"] += 1
            return self

        def output(self, x, weight, bias, windows, groups):
            assert x.shape == (2, 9, 9, 4)
            assert weight.shape == (3, 3, 4, 4)
            counted["output"] += 1

        def gradients(self, grad_y, x, weight, windows, groups):
            assert grad_y.shape == x.shape
            counted["gradients"] += 1

    algorithms._passes(Case(3, 9, 4, 2), {"counting": Counting()})["counting", task]()
    backward = algorithms.SHARDS if task == "training" else 0
    assert counted == {"passes": 1, "output": algorithms.SHARDS, "gradients": backward}


def test_the_geometric_mean_of_none_is_one():
    assert geometric_mean([]) == 1
    assert math.isclose(geometric_mean([2, 8]), 4)
