"""The list of what waits for a GPU: each check runs, leaves a file, and stops nobody else."""

from pathlib import Path

import pytest

from benchmarks import __main__ as command
from benchmarks import gpu_checks
from benchmarks.gpu_checks import CHECKS, Check, main


def test_a_check_that_fails_or_never_ends_does_not_stop_the_others(monkeypatch, tmp_path, capfd):
    checks = (
        Check("bad", ("-c", "print('before'); raise SystemExit(3)")),
        Check("endless", ("-c", "import time; print('begun', flush=True); time.sleep(60)")),
        Check("good", ("-c", "import os; print(os.environ['COLOUR'], r'{name}')"), {"COLOUR": "green"}),
    )
    monkeypatch.setattr(gpu_checks, "CHECKS", checks)
    monkeypatch.setattr(gpu_checks, "LIMIT", 2.0)
    assert main(["--output", str(tmp_path)]) == 2
    texts = {path.name.partition("-gpu-")[2]: path.read_text() for path in tmp_path.iterdir()}
    assert set(texts) == {"bad.txt", "endless.txt", "good.txt"}
    assert texts["bad.txt"].endswith("before\n\nexit status 3\n")
    assert texts["endless.txt"].endswith("begun\n\nstopped after 2 s\n")
    assert texts["good.txt"].startswith("COLOUR=green python -c")
    assert f"green {tmp_path}" in texts["good.txt"]
    assert capfd.readouterr().out.endswith("2 of 3 failed\n")


def test_a_folder_that_is_not_there_is_refused(tmp_path, capsys):
    with pytest.raises(SystemExit) as error:
        main(["--output", str(tmp_path / "none")])
    assert error.value.code == 2
    assert "must be a folder that exists" in capsys.readouterr().err


def test_the_list_in_the_readme_is_the_list_of_the_checks():
    text = (Path(gpu_checks.__file__).parent / "README.md").read_text(encoding="utf-8")
    table = text.partition("## Checks that wait for a GPU")[2].partition("| check | command |")[2]
    written = [line.split("`")[-2] for line in table.splitlines() if line.startswith("| ") and "`" in line]
    assert written == [check.line(Path("NAME")) for check in CHECKS]


def test_every_precision_has_its_layers_checked_and_the_question_takes_the_command(monkeypatch):
    taken = []

    class Question:
        """As a module has it."""

        BATCH_SIZES, ROUNDS, TITLE = [128], 5, "?"

        def run(self, arguments, say):
            taken.append(arguments)
            return {}

        def show(self, result):
            return ""

    for name in ("gpu", "gpu-layers"):
        monkeypatch.setitem(command.QUESTIONS, name, Question())
    for check in CHECKS:
        if check.arguments[:2] == ("-m", "benchmarks"):
            assert "--output" in check.arguments
            line = [argument for argument in check.arguments[2:] if argument not in ("--output", "{name}")]
            assert command.main(line) == 0
    found = [(each.question, each.precisions, each.batch_sizes) for each in taken]
    assert found == [
        ("gpu", ["fp32", "tf32", "bf16"], [128]),
        *(("gpu-layers", [precision], [128]) for precision in ("fp32", "tf32", "bf16")),
        ("gpu", ["fp32"], [1, 128]),
    ]


def test_names_are_different_and_commands_are_known():
    assert len({check.name for check in CHECKS}) == len(CHECKS)
    assert {check.arguments[1] for check in CHECKS} == {"npalexnet", "pytest", "benchmarks"}
