import io
import sys

import pytest

from npalexnet import terminal as progress


class Terminal(io.StringIO):
    def isatty(self):
        return True


@pytest.mark.parametrize(
    ("terminal", "tqdm", "shown"), [(True, True, True), (True, False, False), (False, True, False)]
)
def test_a_bar_is_drawn_on_a_terminal_alone_and_needs_no_tqdm(monkeypatch, terminal, tqdm, shown):
    stream = Terminal() if terminal else io.StringIO()
    monkeypatch.setattr(sys, "stderr", stream)
    monkeypatch.setattr(progress, "find_spec", lambda name: name if tqdm else None)
    seconds = iter(range(0, 10_000, 2))  # a bar comes after a second
    monkeypatch.setattr("tqdm.std.time", lambda: next(seconds))
    with progress.progress("looking", 3, "file") as watch:
        for _ in range(3):
            watch(1)
    assert ("looking" in stream.getvalue()) == shown
    assert ("3/3" in stream.getvalue()) == shown


@pytest.mark.parametrize(
    ("name", "expected"),
    [("猫 é", "猫 é"), ("\x1b[31mred", r"\x1b[31mred"), ("a\u202eb\n\x9b", r"a\u202eb\n\x9b"), ("d\udce9", r"d\xe9")],
)
def test_a_name_is_shown_without_what_a_terminal_would_obey(name, expected):
    assert progress.shown(name) == expected


@pytest.mark.parametrize("name", ["=1+1", "+1", "-1", "@SUM(A1)", "\tx"])
def test_a_spreadsheet_computes_no_name(name):
    assert progress.spreadsheet_cell(name) == "'" + name
    assert progress.spreadsheet_cell("a" + name) == "a" + name
