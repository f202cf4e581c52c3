"""The list of what waits for a GPU: each check runs, leaves a file, and stops nobody else."""

import pytest

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


def test_names_are_different_and_commands_are_known():
    assert len({check.name for check in CHECKS}) == len(CHECKS)
    assert {check.arguments[1] for check in CHECKS} == {"npalexnet", "pytest", "benchmarks"}
