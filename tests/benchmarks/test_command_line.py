"""The command line: what is refused, what is missing, and what is left behind when something goes wrong."""

import json
import sys
from types import SimpleNamespace

import pytest

from benchmarks import __main__ as command
from benchmarks import output
from benchmarks.__main__ import main
from benchmarks.cpu import memory
from benchmarks.rivals import lineup

RESULT = {"numbers": [1, 2]}


def question(monkeypatch, name, run, chart=lambda result: pytest.fail("it drew")):
    module = SimpleNamespace(run=run, show=str, chart=chart, TITLE="?", __doc__="?", BATCH_SIZES=[32], ROUNDS=7)
    monkeypatch.setitem(command.QUESTIONS, name, module)


def figure(result):
    from matplotlib.figure import Figure

    return Figure()


def test_without_a_question_step_and_forward_are_answered_into_files_of_their_own(monkeypatch, tmp_path, capsys):
    for name in ("step", "forward"):
        question(monkeypatch, name, lambda arguments, say, name=name: {"numbers": f"of {name}"}, figure)
    assert main(["--output", str(tmp_path / "today")]) == 0
    shown = capsys.readouterr().out
    assert shown.index("of step") < shown.index("of forward")
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "today-forward.json",
        "today-forward.png",
        "today-step.json",
        "today-step.png",
    ]
    written = json.loads((tmp_path / "today-step.json").read_text())
    assert (written["question"], written["numbers"], written["settings"]["rounds"]) == ("step", "of step", 7)


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ([], ([32], 7, 2)),
        (["--batch-sizes", "4", "8", "--rounds", "3", "--warmup", "0"], ([4, 8], 3, 0)),
        (["--quick"], ([1], 1, 0)),
    ],
)
def test_settings_are_the_questions_own_unless_given(monkeypatch, line, expected):
    seen = []
    question(monkeypatch, "step", lambda arguments, say: seen.append(arguments) or RESULT)
    assert main(["step", *line]) == 0
    assert [(each.batch_sizes, each.rounds, each.warmup) for each in seen] == [expected]


def test_ctrl_c_and_errors_have_their_exit_status_and_leave_no_file(monkeypatch, tmp_path, capsys):
    for error, status, message in ((KeyboardInterrupt, 130, "interrupted"), (RuntimeError("why"), 1, "why")):

        def run(arguments, say, error=error):
            raise error

        question(monkeypatch, "step", run)
        assert main(["step", "--output", str(tmp_path / "result")]) == status
        assert message in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_an_output_that_cannot_be_written_is_refused_before_time_is_spent(monkeypatch, tmp_path, capsys):
    for name in ("step", "forward"):
        question(monkeypatch, name, lambda arguments, say: pytest.fail("it ran"))
    (tmp_path / "taken.png").mkdir()
    (tmp_path / "today-forward.json").mkdir()
    for line in (["step", "--output", "taken"], ["step", "--output", "missing/result"], ["--output", "today"]):
        path = str(tmp_path / line.pop())
        assert main([*line, path]) == 1
        assert path in capsys.readouterr().err


def test_a_result_that_cannot_be_written_leaves_the_old_file_whole(tmp_path):
    file = tmp_path / "result.json"
    output.write_json(file, {"a": 1})
    with pytest.raises(TypeError):
        output.write_json(file, {"a": object()})
    assert json.loads(file.read_text()) == {"a": 1}
    assert [path.name for path in tmp_path.iterdir()] == ["result.json"]


@pytest.mark.parametrize(
    "line",
    [
        ["--batch-sizes", "0"],
        ["--batch-sizes", "8", "x"],
        ["--rounds", "x"],
        ["--dropout", "2"],
        ["--output", "result.json"],
        ["unknown"],
    ],
)
def test_a_wrong_command_line_is_refused(line, capsys):
    with pytest.raises(SystemExit) as caught:
        main(line)
    assert caught.value.code == 2
    assert line[-1] in capsys.readouterr().err


def test_help_explains_the_questions_and_options(capsys):
    with pytest.raises(SystemExit) as caught:
        main(["--help"])
    assert caught.value.code == 0
    shown = capsys.readouterr().out
    for name, module in command.QUESTIONS.items():
        assert f"  {name:10} {module.__doc__.splitlines()[0]}" in shown
    for word in ("--batch-sizes", "--rounds", "--threads", "--output", "--quick", "README.md"):
        assert word in shown


# --- what is not installed ------------------------------------------------------------------------------------------


def without(monkeypatch, *modules):
    for name in modules:
        monkeypatch.setitem(sys.modules, name, None)
    for name in ("torch_rival", "onnx_rival"):  # imported by other tests already
        monkeypatch.delitem(sys.modules, f"benchmarks.{name}", raising=False)


def test_without_torch_npalexnet_runs_alone_and_it_is_said(monkeypatch):
    without(monkeypatch, "torch")
    ours = SimpleNamespace(model=SimpleNamespace(state_dict=dict))
    monkeypatch.setattr(lineup, "NpalexnetRival", lambda *given: ours)
    said = []
    assert lineup.on_cpu(SimpleNamespace(threads=1, classes=3, dropout=0.5), said.append) == (ours, [])
    assert memory.installed(said.append) == ["npalexnet"]
    assert len(said) == 2
    assert all("torch is not installed" in line for line in said)


@pytest.mark.parametrize("missing", ["onnx", "onnxruntime"])
def test_without_onnx_or_its_runtime_it_is_left_out_and_it_is_said(monkeypatch, missing):
    without(monkeypatch, missing)
    said = []
    assert lineup.onnx_runtime(SimpleNamespace(threads=1, model=None), said.append) == []
    assert "onnxruntime is not installed" in said[0]


def test_without_matplotlib_table_and_numbers_come_and_it_is_said(monkeypatch, tmp_path, capsys):
    without(monkeypatch, "matplotlib", "matplotlib.figure")
    question(monkeypatch, "step", lambda arguments, say: RESULT, figure)
    assert main(["step", "--output", str(tmp_path / "result")]) == 0
    written = capsys.readouterr()
    assert str(RESULT).strip("{}") in written.out
    assert "matplotlib is not installed" in written.err
    assert "npalexnet[bench]" in written.err
    assert [path.name for path in tmp_path.iterdir()] == ["result.json"]
