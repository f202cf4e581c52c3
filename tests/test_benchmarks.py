"""The benchmark runs, compares like with like, and reports in full; the times themselves are not looked at."""

import json
import re
import sys
from types import SimpleNamespace

import pytest

import npalexnet as na
from benchmarks import harness, network
from benchmarks.__main__ import main

QUICK = ["--quick", "--classes", "3", "--threads", "1"]


@pytest.fixture(autouse=True)
def _same_threads_afterwards(monkeypatch):
    import torch

    monkeypatch.setattr(harness, "PAUSE", 0.0)
    ours, theirs = na.get_num_threads(), torch.get_num_threads()
    yield
    na.set_num_threads(ours)
    torch.set_num_threads(theirs)


def test_the_table_and_the_file_have_every_rival_and_all_that_a_reader_needs(tmp_path, capsys):
    file = tmp_path / "result.json"
    assert main([*QUICK, "--output", str(file)]) == 0
    table = capsys.readouterr().out
    result = json.loads(file.read_text())

    rivals = ["npalexnet", "torch", "torch, channels_last"]
    assert [(found["task"], found["rival"]) for found in result["results"]] == [
        (task, rival) for task in ("forward", "training step") for rival in rivals
    ]
    for found in result["results"]:
        assert found["threads"] == 1
        assert found["images"] == 1
        assert len(found["seconds"]) == 1
        assert found["median"] == found["seconds"][0] == found["min"] == found["max"] > 0
        assert found["images_per_second"] == pytest.approx(1 / found["median"])
        ours = next(o for o in result["results"] if o["task"] == found["task"])
        assert found["time_over_npalexnet"] == pytest.approx(found["median"] / ours["median"])
    first = result["first_pass_without_dropout"]
    assert list(first) == rivals
    assert first["npalexnet"]["loss"] == pytest.approx(first["torch"]["loss"], rel=1e-4)
    assert first["npalexnet"]["gradient_norm"] == pytest.approx(first["torch"]["gradient_norm"], rel=1e-4)
    assert result["machine"]["cpu"]
    assert result["machine"]["cores"] >= 1
    assert set(result["versions"]) == {"npalexnet", "python", "numpy", "numpy_blas", "torch"}
    assert result["settings"]["batch_size"] == 1

    for text in (result["machine"]["cpu"], result["versions"]["numpy"], result["versions"]["torch"], result["date"]):
        assert text in table
    header, _, *rows = table.split("\n\n")[1].rstrip().splitlines()
    assert re.split(r"  +", header) == [
        "task",
        "rival",
        "threads",
        "median",
        "min..max",
        "images/s",
        "time / npalexnet's",
    ]
    assert len(rows) == 6
    assert all(len(re.split(r"  +", row)) == 7 for row in rows)
    assert [path.name for path in tmp_path.iterdir()] == ["result.json"]


def small_question(monkeypatch, run):
    monkeypatch.setattr("benchmarks.__main__.QUESTIONS", {"network": SimpleNamespace(run=run, show=str, __doc__="?")})


def test_without_torch_npalexnet_runs_alone_and_it_is_said(monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "torch", None)
    monkeypatch.setattr(network, "_npalexnet", lambda *_: network.Rival("npalexnet", 1, int, int, lambda: (1.0, 2.0)))
    monkeypatch.setattr(na, "AlexNet", lambda **_: SimpleNamespace(state_dict=dict))
    assert main(QUICK) == 0
    written = capsys.readouterr()
    assert "torch is not installed" in written.err
    assert len(written.out.split("\n\n")[1].splitlines()) == 4  # header, rule, forward, training step


def test_rivals_that_compute_something_else_are_not_timed():
    network._check_agreement({"npalexnet": (1.0, 2.0), "torch": (1.00001, 2.00001)})
    with pytest.raises(RuntimeError, match=r"nothing was timed.*loss"):
        network._check_agreement({"npalexnet": (1.0, 2.0), "torch": (1.001, 2.0)})
    with pytest.raises(RuntimeError, match="gradients' norm"):
        network._check_agreement({"npalexnet": (1.0, 2.0), "a": (1.0, 2.0), "torch": (1.0, 2.001)})


def test_rivals_alternate_and_warm_up_is_not_counted():
    calls = []
    rivals = {name: lambda name=name: calls.append(name) for name in "abc"}
    seconds = harness.take_turns(rivals, rounds=2, warmup=1, pause=0)
    assert "".join(calls) == "abc" + "bca" + "cab"
    assert {name: len(times) for name, times in seconds.items()} == {"a": 2, "b": 2, "c": 2}


def test_median_and_spread_are_those_of_the_times():
    found = harness.Timing("task", "rival", 1, 8, [4.0, 1.0, 2.0, 3.0, 10.0]).as_dict()
    assert (found["median"], found["min"], found["max"], found["images_per_second"]) == (3.0, 1.0, 10.0, 8 / 3)
    assert found["quartiles"] == [1.5, 7.0]


def test_ctrl_c_and_errors_have_their_exit_status_and_leave_no_file(monkeypatch, tmp_path, capsys):
    for error, status, message in ((KeyboardInterrupt, 130, "interrupted"), (RuntimeError("why"), 1, "why")):

        def run(arguments, say, error=error):
            raise error

        small_question(monkeypatch, run)
        assert main([*QUICK, "--output", str(tmp_path / "result.json")]) == status
        assert message in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_an_output_that_cannot_be_written_is_refused_before_time_is_spent(monkeypatch, tmp_path, capsys):
    small_question(monkeypatch, lambda arguments, say: pytest.fail("it ran"))
    for path in (tmp_path, tmp_path / "missing" / "result.json"):
        assert main(["--output", str(path)]) == 1
        assert str(path) in capsys.readouterr().err


def test_a_result_that_cannot_be_written_leaves_the_old_file_whole(tmp_path):
    file = tmp_path / "result.json"
    harness.write_json(file, {"a": 1})
    with pytest.raises(TypeError):
        harness.write_json(file, {"a": object()})
    assert json.loads(file.read_text()) == {"a": 1}
    assert [path.name for path in tmp_path.iterdir()] == ["result.json"]


@pytest.mark.parametrize("line", [["--batch-size", "0"], ["--rounds", "x"], ["--dropout", "2"], ["unknown"]])
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
    for word in ("network", "--batch-size", "--rounds", "--threads", "--output", "--quick", "README.md"):
        assert word in shown
