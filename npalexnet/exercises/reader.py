"""The reader's files: importing one, and judging its functions; whatever happens in them becomes one line."""

from __future__ import annotations

import sys
import traceback
from dataclasses import dataclass, replace
from importlib import import_module
from pathlib import Path
from types import ModuleType

from npalexnet.exercises.calls import Raised, Wrong
from npalexnet.exercises.catalog import EXERCISES

PASSED, WRONG, UNWRITTEN, UNJUDGED = "passed", "wrong", "not yet written", "not judged"


@dataclass(frozen=True)
class Verdict:
    """What the judge says of an exercise: a state, one line, a hint or "", and further lines that show it."""

    state: str
    message: str
    hint: str = ""
    details: tuple[str, ...] = ()


def judge(folder: Path, name: str) -> Verdict:
    """Import the file of an exercise from the reader's folder, and judge its functions in this process."""
    checks = import_module(f"npalexnet.exercises.checks.{EXERCISES[name].module}").CHECKS[name]
    try:
        module = load(folder, name)
        held = [f"{check.function}: {', '.join(check.run(module))}" for check in checks]
    except Wrong as wrong:
        return Verdict(WRONG, wrong.message, wrong.hint, tuple(wrong.details))
    except Raised as raised:
        return replace(_of_error(raised.error, folder, f" (called with {raised.case})"), hint=raised.hint)
    return Verdict(PASSED, "; ".join(held))


def load(folder: Path, name: str) -> ModuleType:
    """Import NAME.py from the reader's folder, which comes first on the path; `Raised` for what that raises."""
    if not (folder / f"{name}.py").is_file():
        raise Wrong(f"{name}.py is missing; npalexnet exercise start {folder} writes what is missing")
    sys.path.insert(0, str(folder))
    try:
        return import_module(name)
    except (Exception, SystemExit) as error:
        raise Raised(error, "") from error


def _of_error(error: BaseException, folder: Path, called: str) -> Verdict:
    """Return the verdict on an exception: the last line of the reader's own that it came through, and its message."""
    frames = [frame for frame in traceback.extract_tb(error.__traceback__) if inside(frame.filename, folder)]
    place = f"{Path(frames[-1].filename).name}, line {frames[-1].lineno}" if frames else ""
    if isinstance(error, NotImplementedError):
        return Verdict(UNWRITTEN, f"{frames[-1].name} is not yet written ({place})" if frames else "not yet written")
    if isinstance(error, SyntaxError) and error.filename and inside(error.filename, folder):
        place, called = f"{Path(error.filename).name}, line {error.lineno}", ""
        return Verdict(WRONG, f"{place}: {type(error).__name__}: {error.msg}", details=_quoted(error.text))
    message = f"{type(error).__name__}: {' '.join(str(error).split())}".rstrip(": ")
    details = _quoted(frames[-1].line) if frames else ()
    return Verdict(WRONG, f"{place}: {message}".removeprefix(": ") + called * (len(called) > 15), details=details)


def _quoted(line: str | None) -> tuple[str, ...]:
    return (f"    {line.strip()}",) if line and line.strip() else ()


def inside(filename: str, folder: Path) -> bool:
    """Whether code is of a file in the folder; ``<frozen importlib._bootstrap>`` and the like are of none."""
    return not filename.startswith("<") and Path(filename).resolve().parent == folder.resolve()
