"""Judging in a child process with a time limit."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

from npalexnet.exercises.catalog import EXERCISES
from npalexnet.exercises.reader import UNJUDGED, WRONG, Verdict, inside

ROOT = Path(__file__).parents[2]  # where the package is imported from
STARTING = 60.0  # seconds that Python and NumPy may take to start on a busy machine, and the process to end


def judged(folder: Path, name: str, seconds: float | None = None) -> Verdict:
    """Judge an exercise of a reader's folder in a process of its own.

    Parameters
    ----------
    folder : Path
    name : str
        A key of `EXERCISES`.
    seconds : float, optional
        How long it may take; None for the exercise's own limit.
    """
    seconds = EXERCISES[name].seconds if seconds is None else seconds
    paths = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH", "")]))
    with tempfile.TemporaryDirectory(prefix="npalexnet-") as place:
        result = Path(place) / "verdict.json"
        # -P: a file of the reader's in the working directory is not taken for a module of Python's.
        command = [sys.executable, "-P", "-m", "npalexnet.exercises.child", str(folder), name, str(result)]
        try:
            ended = subprocess.run(
                [*command, str(seconds)],
                env={**os.environ, "PYTHONPATH": paths},
                stdin=subprocess.DEVNULL,
                timeout=seconds + STARTING,
                check=False,
            )
        except subprocess.TimeoutExpired:
            return Verdict(WRONG, f"{name}.py had not finished after {seconds + STARTING:g} s")
        if result.exists():
            fields = json.loads(result.read_text(encoding="utf-8"))
            return Verdict(**{**fields, "details": tuple(fields["details"])})
        stack = Path(f"{result}.stack")
        where = _where(stack.read_text(encoding="utf-8"), folder) if stack.exists() else None
        if where is not None:
            return _too_late(name, seconds, where)
    how = f"signal {-ended.returncode}" if ended.returncode < 0 else f"exit status {ended.returncode}"
    return Verdict(WRONG, f"{name}.py ended Python itself ({how})")


def _too_late(name: str, seconds: float, where: str) -> Verdict:
    if where:
        return Verdict(WRONG, f"{name}.py had not finished after {seconds:g} s ({where}): is there an endless loop?")
    rest = "and your code was not running then: on a machine that is slow to import torch, give more with --time-limit"
    return Verdict(UNJUDGED, f"{seconds:g} s were up, {rest}")


def _where(stack: str, folder: Path) -> str | None:
    """Return where the reader's code was when time was up, "" if it was not running; None if time was not up."""
    if not stack:
        return None
    for path, line in re.findall(r'File "(.+)", line (\d+)', stack):  # the innermost call first
        if inside(path, folder):
            return f"in {Path(path).name}, line {line}"
    return ""
