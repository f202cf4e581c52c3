"""Schedules beside torch's."""

import json

import numpy as np
import pytest
import torch
from torch.optim import lr_scheduler

from npalexnet.training import (
    Constant,
    CosineDecay,
    LinearDecay,
    MultiStepDecay,
    Plateau,
    StepDecay,
    WarmUp,
    make_schedule,
)

STEPS = 50


def torchs_rates(make, errors=None):
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=0.3)
    scheduler, rates = make(optimizer), []
    for step in range(STEPS):
        rates.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        scheduler.step(*([] if errors is None else [errors[step]]))
    return rates


def warm_up(optimizer, other):
    warm = lr_scheduler.LinearLR(optimizer, start_factor=1 / 8, end_factor=1.0, total_iters=7)
    return lr_scheduler.ChainedScheduler([warm, other(optimizer)])


CASES = {
    "constant": (Constant(0.3), lambda o: lr_scheduler.ConstantLR(o, factor=1.0)),
    "linear": (LinearDecay(0.3, 40), lambda o: lr_scheduler.LinearLR(o, 1.0, 0.0, total_iters=40)),
    "poly": (LinearDecay(0.3, 40), lambda o: lr_scheduler.PolynomialLR(o, total_iters=40, power=1.0)),
    "step": (StepDecay(0.3, 7, 0.2), lambda o: lr_scheduler.StepLR(o, 7, 0.2)),
    "multi-step": (
        MultiStepDecay(0.3, STEPS, (3, 5, 6), 8, 0.2),
        lambda o: lr_scheduler.MultiStepLR(o, [19, 32, 38], 0.2),
    ),
    "cosine": (CosineDecay(0.3, STEPS), lambda o: lr_scheduler.CosineAnnealingLR(o, STEPS)),
    "warm-up": (
        WarmUp(CosineDecay(0.3, STEPS), 8),
        lambda o: warm_up(o, lambda o: lr_scheduler.CosineAnnealingLR(o, STEPS)),
    ),
    "warm-up, step": (WarmUp(StepDecay(0.3, 10), 8), lambda o: warm_up(o, lambda o: lr_scheduler.StepLR(o, 10))),
}


@pytest.mark.parametrize(("schedule", "theirs"), CASES.values(), ids=CASES)
def test_rates_are_torchs(schedule, theirs):
    np.testing.assert_allclose(
        [schedule.lr(step) for step in range(STEPS)], torchs_rates(theirs), rtol=1e-9, atol=1e-12
    )


@pytest.mark.parametrize("patience", [0, 2])
def test_the_rate_falls_when_torchs_does_as_the_error_stops_falling(patience):
    errors = np.random.default_rng(0).random(STEPS).cumsum() ** -0.3 + 0.05 * np.random.default_rng(1).random(STEPS)
    schedule = Plateau(0.3, patience=patience, reductions=1000)
    theirs = torchs_rates(lambda o: lr_scheduler.ReduceLROnPlateau(o, factor=0.1, patience=patience, eps=0), errors)
    rates = []
    for step in range(STEPS):
        rates.append(schedule.lr(step))
        schedule.report(errors[step])
    np.testing.assert_allclose(rates, theirs, rtol=1e-9)
    assert len(set(theirs)) > 3


def test_the_papers_rate_is_divided_by_ten_three_times_and_no_more():
    schedule = WarmUp(Plateau(0.01, patience=0), 1)
    falls = [schedule.report(0.5) for _ in range(8)]
    assert falls == [False, True, True, True, False, False, False, False]
    assert schedule.lr(8) == pytest.approx(1e-5)


def test_a_schedule_goes_on_from_its_state_which_json_can_hold():
    one = WarmUp(Plateau(0.01, patience=1), 3)
    other = WarmUp(Plateau(0.01, patience=1), 3)
    other.load_state_dict(json.loads(json.dumps(other.state_dict())))  # of one that has seen nothing
    for step, error in enumerate([0.5, 0.4, 0.4, 0.4, 0.3, 0.3, 0.3, 0.3]):
        assert other.lr(step) == one.lr(step)
        one.report(error)
        other = WarmUp(Plateau(0.01, patience=1), 3)
        other.load_state_dict(json.loads(json.dumps(one.state_dict())))
    with pytest.raises(ValueError, match=r"the state of a Linear schedule has \[\], got \['bad', 'best', 'reduced'\]"):
        LinearDecay(0.1, 5).load_state_dict(one.state_dict())


@pytest.mark.parametrize(
    ("name", "rates"),
    [
        ("constant", [1, 1, 1, 1, 1, 1]),
        ("linear", [1, 5 / 6, 4 / 6, 3 / 6, 2 / 6, 1 / 6]),
        ("step", [1, 1, 0.1, 0.1, 0.01, 0.01]),
        ("plateau", [1, 1, 1, 1, 1, 1]),
        ("cosine", [1, 0.9330127, 0.75, 0.5, 0.25, 0.0669873]),
        ("released", [1, 1, 0.1, 0.1, 0.01, 0.01]),
        ("caffe", [1, 1, 0.1, 0.01, 0.001, 0.001]),
        ("one-weird-trick", [1, 1, 0.158740105, 0.0251984209, 0.0251984209, 0.004]),
    ],
)
def test_each_name_gives_its_schedule(name, rates):
    schedule = make_schedule(name, 2.0, 6)
    np.testing.assert_allclose([schedule.lr(step) for step in range(6)], [2 * rate for rate in rates], rtol=1e-6)
    assert make_schedule(name, 2.0, 6, warmup=4).lr(0) == 0.5


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Constant(0), "lr must be above 0 and finite, got 0"),
        (lambda: Constant(float("nan")), "lr must be above 0 and finite, got nan"),
        (lambda: StepDecay(1.0, 0), "step_size must be at least 1, got 0"),
        (lambda: StepDecay(1.0, 5, 1.5), "gamma must be from 0 to below 1, got 1.5"),
        (lambda: MultiStepDecay(1.0, 9, (0, 2), 3), "milestones must be at least 1, got 0"),
        (lambda: MultiStepDecay(1.0, 9, (1, 2), 0), "total must be at least 1, got 0"),
        (lambda: CosineDecay(1.0, 0), "steps must be at least 1, got 0"),
        (lambda: make_schedule("cosine", 1.0, 5, -1), "warmup must be at least 0, got -1"),
    ],
)
def test_what_can_not_be_is_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()
