"""Files of a run that are altered: a few of the cases that ``tests/scripts/fuzz_files.py`` tries by the hundred."""

import random

import pytest

from tests.scripts import fuzz_files


@pytest.fixture(scope="module")
def run(_trained_run, tmp_path_factory):
    folder = tmp_path_factory.mktemp("altered") / "run"
    folder.mkdir()
    for name in fuzz_files.FILES:
        (folder / name).write_bytes((_trained_run / name).read_bytes())
    return folder


def test_altered_files_are_refused_in_a_line_or_harmless(narrow, run):
    good = {path.name: path.read_bytes() for path in run.iterdir()}
    moments = random.Random(0)
    cases = [case for case in fuzz_files.all_cases(run, moments) if case.command != "curves"]
    faults = {case.name: fuzz_files.fault(case, run, good) for case in moments.sample(cases, 12)}
    assert not {name: found for name, found in faults.items() if found}


def test_a_fault_is_found(narrow, run, monkeypatch):
    good = {path.name: path.read_bytes() for path in run.iterdir()}
    case = fuzz_files.Case("cut", "weights.safetensors", "predict", lambda content: content[:9])
    assert fuzz_files.fault(case, run, good) is None
    for answer, message in (
        (KeyError("classes"), "KeyError: 'classes'"),
        (fuzz_files.Hang(), "more than 60 s"),
        ((2, ""), "its status was 2"),
        ((1, "a\nb\n"), "not one line that names the file"),
        ((1, "something is wrong\n"), "not one line that names the file"),
    ):

        def perform(name, run, answer=answer):
            if isinstance(answer, BaseException):
                raise answer
            return answer

        monkeypatch.setattr(fuzz_files, "perform", perform)
        assert message in fuzz_files.fault(case, run, good)
    monkeypatch.undo()
    assert {path.name: path.read_bytes() for path in run.iterdir()} == good
