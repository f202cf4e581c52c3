import json
import re

import pytest

from npalexnet.cli import exercise as command
from npalexnet.cli import main
from npalexnet.exercises.catalog import EXERCISES
from tests.exercises.readers_folder import text_of, verdict_on


@pytest.fixture
def folder(tmp_path, capsys):
    """A folder as ``exercise start`` leaves it."""
    assert main(["exercise", "start", str(tmp_path / "mine")]) == 0
    capsys.readouterr()
    return tmp_path / "mine"


@pytest.fixture
def at_once(monkeypatch):
    """Exercises are judged in this process, which has torch already."""
    monkeypatch.setattr(command, "judged", lambda folder, name, seconds: verdict_on(folder, name))


def check(folder, *arguments):
    return main(["exercise", "check", str(folder), *arguments])


def states(output):
    """The progress table: the state of each exercise."""
    rows = (re.split(r"  +", line) for line in output.splitlines())
    return {row[0]: row[-1] for row in rows if len(row) == 3 and row[0] in EXERCISES}


def test_start_writes_every_exercise_and_never_over_a_file_of_the_readers(folder, capsys):
    assert {path.stem for path in folder.iterdir()} == set(EXERCISES)
    (folder / "conv2d.py").write_text("mine")
    (folder / "im2col.py").unlink()
    assert main(["exercise", "start", str(folder)]) == 0
    assert (folder / "conv2d.py").read_text() == "mine"
    output = capsys.readouterr().out
    assert "im2col.py" in output.splitlines()[0]
    assert "conv2d.py" not in output.splitlines()[0]


def test_nothing_is_judged_before_something_is_written(folder, capsys):
    assert check(folder) == 1
    assert states(capsys.readouterr().out) == dict.fromkeys(EXERCISES, "not yet written")


def test_the_judge_is_a_process_of_its_own_and_leaves_nothing_but_what_passed(folder, capsys):
    (folder / "conv2d.py").write_text(text_of("conv2d", "einsum"))
    assert check(folder) == 0
    assert capsys.readouterr().out.startswith("conv2d: passed: 5 cases against the definition, torch\n")
    assert {path.name for path in folder.iterdir()} == {*(f"{name}.py" for name in EXERCISES), "progress.json"}


def test_what_passes_is_remembered_until_the_file_changes(folder, capsys, at_once):
    (folder / "conv2d.py").write_text(text_of("conv2d", "einsum"))
    assert check(folder) == 0
    output = capsys.readouterr().out
    assert output.startswith("conv2d: passed: ")
    assert states(output)["conv2d"] == "passed"
    assert check(folder) == 1  # the others are left; conv2d is not run again
    output = capsys.readouterr().out
    assert "conv2d: passed" not in output
    assert states(output)["conv2d"] == "passed"
    (folder / "conv2d.py").write_text(text_of("conv2d").replace("+= weight", "-= weight"))
    assert check(folder, "im2col") == 1
    assert states(capsys.readouterr().out)["conv2d"] == "changed since it passed"
    assert check(folder) == 1
    assert states(capsys.readouterr().out)["conv2d"] == "wrong"
    assert json.loads((folder / "progress.json").read_text()) == {}


def test_a_solution_that_uses_another_file_is_judged_again_when_that_changes(folder, capsys, at_once):
    for name in ("im2col", "col2im", "conv2d_backward"):
        (folder / f"{name}.py").write_text(text_of(name, "strided"))
    assert check(folder) == 0
    (folder / "col2im.py").write_text(text_of("col2im").replace("+= columns", "= columns"))
    capsys.readouterr()
    assert check(folder) == 1
    assert states(capsys.readouterr().out)["conv2d_backward"] == "wrong"


TROUBLE = {
    "def conv2d(x, weight, bias, stride, padding):\n    return x[99]\n": (
        r"conv2d: WRONG: conv2d.py, line 2: IndexError: index 99 is out of bounds .*called with x \(1, 1, 4, 5\)"
    ),
    "def conv2d(x, weight)\n    return x\n": r"conv2d: WRONG: conv2d.py, line 1: SyntaxError: expected ':'",
    "import no_such_thing\n": r"conv2d: WRONG: conv2d.py, line 1: ModuleNotFoundError: No module named 'no_such_thing'",
    "x = 1\n": r"conv2d: WRONG: conv2d.py has no function conv2d",
    "def conv2d(*a):\n    pass\n": r"conv2d: WRONG: conv2d returned None, must return an array.*is there a return\?",
    "def conv2d(*a):\n    return [1]\n": r"conv2d: WRONG: conv2d returned a list, must return an array, y",
    "import numpy as np\ndef conv2d(*a):\n    return np.zeros((1, 1, 2, 3), int)\n": "dtype int64, must be float64",
    "def conv2d(*a):\n    raise SystemExit(3)\n": r"conv2d: WRONG: conv2d.py, line 2: SystemExit: 3",
    "def conv2d(*a):\n    return conv2d(*a)\n": r"line 2: RecursionError",
    "from npalexnet.naive import conv2d\n": "is npalexnet's own function: the exercise is to write it",
    "def conv2d(x, weight, *a):\n    x += 1\n    return x\n": "conv2d changed x, which belongs to the caller",
}


@pytest.mark.parametrize(("text", "line"), TROUBLE.items())
def test_whatever_the_readers_code_does_is_one_clear_line(folder, capsys, at_once, text, line):
    (folder / "conv2d.py").write_text(text)
    assert check(folder, "conv2d") == 1
    output = capsys.readouterr().out
    assert re.search(line, output.splitlines()[0]), output
    assert "Traceback" not in output


def test_code_that_ends_its_process_is_one_clear_line(folder, capsys):
    (folder / "conv2d.py").write_text("import os\nos._exit(5)\n")
    assert check(folder, "conv2d") == 1
    assert capsys.readouterr().out.startswith("conv2d: WRONG: conv2d.py ended Python itself (exit status 5)\n")


def test_an_endless_loop_is_stopped_and_its_line_named(folder, capsys):
    (folder / "im2col.py").write_text("def im2col(x, *a):\n    i = 0\n    while True:\n        i += 1\n")
    assert check(folder, "im2col.py", "--time-limit", "1.5") == 1
    line = capsys.readouterr().out.splitlines()[0]
    assert re.match(
        r"im2col: WRONG: im2col.py had not finished after 1.5 s \(in im2col.py, line [34]\): is there", line
    )


def test_time_that_is_up_elsewhere_is_no_mistake_of_the_readers(folder, capsys, monkeypatch, tmp_path_factory):
    slow = tmp_path_factory.mktemp("slow")
    (slow / "torch.py").write_text("import time\ntime.sleep(60)\n")
    monkeypatch.setenv("PYTHONPATH", str(slow))
    monkeypatch.chdir(folder)  # where a name such as <frozen importlib._bootstrap> might pass for a file's
    (folder / "im2col.py").write_text(text_of("im2col"))
    assert check(".", "im2col", "--time-limit", "0.5") == 1
    output = capsys.readouterr().out
    assert output.startswith("im2col: not judged: 0.5 s were up, and your code was not running then")
    assert re.search(r"im2col .* not judged\n", output)


def test_a_wrong_number_is_shown_with_its_window_and_what_it_probably_is(folder, capsys):
    (folder / "conv2d.py").write_text(text_of("conv2d").replace("[o, c, i, j]", "[o, c, kH - 1 - i, kW - 1 - j]"))
    assert check(folder, "conv2d") == 1
    output = capsys.readouterr().out
    assert "probably: the kernel is rotated by 180 degrees" in output
    first = re.match(r"conv2d: WRONG: y\[0, 0, 0, 0\] is (\S+), must be (\S+)\n", output)
    shown = re.search(r"products is (\S+), the bias (\S+), together (\S+)", output)
    assert float(shown[1]) + float(shown[2]) == float(shown[3]) == float(first[2])
    rows = re.search(r"weight\[0, 0\]\n(.*\n.*\n.*)\n", output)[1].splitlines()
    numbers = [[float(number) for number in row.split()] for row in rows]
    assert sum(row[i] * row[3 + i] for row in numbers for i in range(3)) == float(shown[1])
    assert sum(a * b for row, turned in zip(numbers, numbers[::-1], strict=True)
               for a, b in zip(row[:3], turned[:2:-1], strict=True)) + float(shown[2]) == float(first[1])  # fmt: skip


@pytest.mark.parametrize(
    ("arguments", "message", "status"),
    [
        (["check", "nowhere"], "nowhere is not a folder; npalexnet exercise start nowhere makes one", 1),
        (["check", "{}", "conv2"], "did you mean conv2d", 2),
        (["start", "{}/conv2d.py"], "is a file", 1),
        (["begin", "{}"], "invalid choice: 'begin'", 2),
    ],
)
def test_a_wrong_command_line_is_one_line(folder, capsys, arguments, message, status):
    try:
        got = main(["exercise", *(argument.format(folder) for argument in arguments)])
    except SystemExit as stopped:
        got = stopped.code
    assert got == status
    assert message in capsys.readouterr().err


def test_a_damaged_memory_is_refused_and_the_way_out_named(folder, capsys):
    (folder / "progress.json").write_text("{")
    assert check(folder) == 1
    assert "progress.json is damaged" in (error := capsys.readouterr().err)
    assert "remove it" in error
