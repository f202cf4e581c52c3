"""``npalexnet exercise``: stubs for the reader to complete, and the judge of what they wrote."""

from __future__ import annotations

import argparse
from pathlib import Path

from npalexnet.cli.options import number
from npalexnet.exercises import folder as memory
from npalexnet.exercises.catalog import EXERCISES
from npalexnet.exercises.process import judged
from npalexnet.exercises.reader import PASSED, UNWRITTEN, WRONG, Verdict
from npalexnet.terminal import table


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the actions of the command to its parser."""
    actions = parser.add_subparsers(dest="action", required=True, metavar="ACTION")
    start = actions.add_parser(
        "start", help="write the exercises to a folder",
        description="Writes a Python file for each exercise, with functions to complete. Files that are there stay.",
    )  # fmt: skip
    check = actions.add_parser(
        "check", help="judge what you wrote",
        description="Judges your functions, each exercise in a process of its own: types and shapes, numbers against "
        "the definitions, gradients against finite differences, and torch where it is installed. Exit status: 0 if "
        "all that was asked for passes.",
    )  # fmt: skip
    for action in (start, check):
        action.add_argument("folder", type=Path, metavar="FOLDER", help="where the exercises are")
    check.add_argument(
        "name", nargs="?", type=lambda text: text.removesuffix(".py"), choices=EXERCISES, metavar="NAME",
        help=f"one of {', '.join(EXERCISES)}; by default all that are begun and have not passed as they are",
    )  # fmt: skip
    check.add_argument(
        "--time-limit", type=number(float, 0.1, maximum=86400), metavar="S",
        help="seconds that an exercise may take (default: 30, alexnet 120)",
    )  # fmt: skip


def run(options: argparse.Namespace) -> int:
    """Write the exercises, or judge them; returns 1 if one that was asked for does not pass."""
    return _start(options.folder) if options.action == "start" else _check(options)


def _start(folder: Path) -> int:
    written, kept = memory.start(folder)
    if written:
        print(f"Written to {folder}: {', '.join(f'{name}.py' for name in written)}")
    if kept:
        print(f"Left as they were: {', '.join(f'{name}.py' for name in kept)}")
    print(f"Complete the functions in an editor, then: npalexnet exercise check {folder}")
    return 0


def _check(options: argparse.Namespace) -> int:
    folder = options.folder
    if not folder.is_dir():
        raise ValueError(f"{folder} is not a folder; npalexnet exercise start {folder} makes one, with the exercises")
    fingerprints = memory.passed(folder)
    states = {name: memory.state(folder, name, fingerprints) for name in EXERCISES}
    due = [name for name, state in states.items() if state not in (PASSED, UNWRITTEN, "missing")]
    for name in [options.name] if options.name else due:
        before = memory.fingerprint(folder, name)
        verdict = judged(folder, name, options.time_limit)
        states[name] = verdict.state
        print(_shown(name, verdict), flush=True)
        fingerprints.pop(name, None)
        if verdict.state == PASSED and memory.fingerprint(folder, name) == before:  # not edited meanwhile
            fingerprints[name] = before
        memory.remember(folder, fingerprints)
    rows = [[name, exercise.title, states[name]] for name, exercise in EXERCISES.items()]
    print(f"\n{table(['exercise', 'what it is', 'state'], rows, left=3)}")
    done = sum(state == PASSED for state in states.values())
    print(f"\n{done} of {len(EXERCISES)} passed")
    wanted = [states[options.name]] if options.name else [states[name] for name in due] or [*states.values()]
    return 0 if all(state == PASSED for state in wanted) else 1


def _shown(name: str, verdict: Verdict) -> str:
    """Return a verdict as lines: what is wrong, what it probably is, and the numbers that show it."""
    said = verdict.message.removeprefix(f"{name}: ")
    state = {WRONG: f"{WRONG.upper()}: ", UNWRITTEN: ""}.get(verdict.state, f"{verdict.state}: ")
    lines = [f"{name}: {state}{said}"]
    lines += [f"  probably: {verdict.hint}"] * bool(verdict.hint)
    return "\n".join(lines + [f"  {line}" for line in verdict.details])
