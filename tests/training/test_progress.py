import io
import re
import sys

import numpy as np
import pytest

from npalexnet.training import Metrics, Progress, StepResult
from tests.training.small import trainer_of


def step(number, loss=2.0, accuracy=0.5):
    return StepResult(number, 10, 16 * number, loss, accuracy, 0.1, None, 0.25)


def test_off_a_terminal_it_is_a_line_now_and_then(capsys, monkeypatch):
    monkeypatch.setattr(Progress, "QUIET_SECONDS", 0.0)
    with Progress() as progress:
        progress.on_step_end(step(1, loss=4.0))
        progress.on_step_end(step(2, loss=2.0))
    first, second = capsys.readouterr().out.splitlines()
    assert re.fullmatch(r"step 1 of 10: loss 4\.000, accuracy 50 %, \d+\.\d images/s, 2 s left", first)
    assert re.fullmatch(r"step 2 of 10: loss 3\.000, accuracy 50 %, \d+\.\d images/s, 1 s left", second)


def test_off_a_terminal_it_is_quiet_in_between(capsys):
    with Progress() as progress:
        for number in range(1, 5):
            progress.on_step_end(step(number))
    assert capsys.readouterr() == ("", "")


def test_a_resumed_runs_speed_and_time_left_are_of_the_steps_that_it_took_itself(capsys, monkeypatch):
    monkeypatch.setattr(Progress, "QUIET_SECONDS", 0.0)
    now = iter(np.arange(0.0, 100.0, 0.5))
    monkeypatch.setattr("time.monotonic", lambda: next(now))
    with Progress() as progress:
        progress.on_step_end(step(9))  # begins at 0.5 - 0.25, is asked at 2.0
    assert "9.1 images/s, 2 s left" in capsys.readouterr().out


def test_on_a_terminal_it_is_a_bar(capsys, monkeypatch):
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)
    with Progress() as progress:
        progress.on_step_end(step(1))
        progress.on_validation_begin()
        progress.on_message("a line")
        progress.on_step_end(step(2))
    out, err = capsys.readouterr()
    assert out == "a line\n"
    assert "16/160" in err
    assert "loss 2.000, accuracy 50 %" in err


@pytest.mark.parametrize(("classes", "more"), [(10, ""), (11, ", top-5 75.0 %")])
def test_a_validation_is_a_line_with_top_five_where_there_are_enough_classes(capsys, classes, more):
    confusion = np.zeros((classes, classes), np.int64)
    confusion[0, 0], confusion[0, 1] = 1000, 3000
    Progress().on_validation_end(Metrics(1.5, 0.25, 0.75, confusion), 1.25)
    line = f"epoch 1.25: validation loss 1.500, accuracy 25.0 %{more} of 4,000 images, 0 s since"
    assert capsys.readouterr().out.startswith(line)


def test_training_can_be_watched(capsys, monkeypatch):
    monkeypatch.setattr(Progress, "QUIET_SECONDS", 0.0)
    with Progress() as progress:
        trainer_of(validation=8).fit(progress)
    lines = capsys.readouterr().out.splitlines()
    assert [line.split(":")[0] for line in lines] == [
        *(f"step {number} of 6" for number in (1, 2, 3)), "epoch 1", *(f"step {number} of 6" for number in (4, 5, 6)),
        "epoch 2",
    ]  # fmt: skip


class Broken(io.StringIO):
    """A stream that can't be written to, on a terminal or not."""

    def __init__(self, error, terminal):
        super().__init__()
        self.error, self.terminal = error, terminal

    def isatty(self):
        return self.terminal

    def write(self, text):
        raise self.error


@pytest.mark.parametrize("terminal", [True, False])
@pytest.mark.parametrize(
    "error", [BrokenPipeError(), OSError(28, "No space left"), OSError(5, "I/O error"), ValueError("closed"), None]
)
def test_output_that_can_not_be_written_does_not_end_training(monkeypatch, error, terminal):
    monkeypatch.setattr(Progress, "QUIET_SECONDS", 0.0)
    for name in ("stdout", "stderr"):
        monkeypatch.setattr(sys, name, None if error is None else Broken(error, terminal))
    with Progress() as progress:
        assert trainer_of(validation=8, steps=2).fit(progress)


def test_a_message_is_one_line_whatever_the_names_in_it(capsys):
    Progress().on_message("can't write a\nb\x1b[2J")
    assert capsys.readouterr().out == "can't write a\\nb\\x1b[2J\n"
