"""The reader's folder: stubs are written to it, and it remembers what has passed."""

from __future__ import annotations

import ast
import json
from hashlib import sha256
from pathlib import Path

from npalexnet.exercises.catalog import EXERCISES
from npalexnet.exercises.reader import PASSED, UNWRITTEN
from npalexnet.fields import Text, read_json, table
from npalexnet.files import atomic_write, make_folder

STUBS = Path(__file__).parent / "stubs"
PROGRESS = "progress.json"  # the fingerprints of the exercises that have passed, by name


def start(folder: Path) -> tuple[list[str], list[str]]:
    """Write the stubs that are missing to a folder; returns the names of those, and of the files that were there."""
    make_folder(folder)
    written, kept = [], []
    for name in EXERCISES:
        text = (STUBS / f"{name}.py").read_text(encoding="utf-8")
        try:
            with open(folder / f"{name}.py", "x", encoding="utf-8") as file:  # never over a file of the reader's
                file.write(text)
            written.append(name)
        except FileExistsError:
            kept.append(name)
    return written, kept


def fingerprint(folder: Path, name: str) -> str:
    """Return a digest of an exercise's file, and of the files in the folder that it imports."""
    digest, waiting, done = sha256(), [name], set()
    while waiting:
        module = waiting.pop()
        path = folder / f"{module}.py"
        if module in done or not path.is_file():
            continue
        done.add(module)
        content = path.read_bytes()
        digest.update(module.encode() + b"\0" + sha256(content).digest())
        try:
            waiting += sorted(_imported(ast.parse(content)), reverse=True)
        except (SyntaxError, ValueError):
            continue
    return digest.hexdigest()


def _imported(tree: ast.Module) -> set[str]:
    names: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names.add(node.module)
    return {name for name in names if name.isidentifier()}


def is_stub(folder: Path, name: str) -> bool:
    """Whether the file is still as `start` wrote it."""
    try:
        return (folder / f"{name}.py").read_bytes().split() == (STUBS / f"{name}.py").read_bytes().split()
    except OSError:
        return False


def passed(folder: Path) -> dict[str, str]:
    """Return the fingerprints of the exercises that have passed, as they were then.

    Raises
    ------
    ValueError
        If the file that remembers them holds something else.
    """
    path = folder / PROGRESS
    if not path.exists():
        return {}
    try:
        return dict(read_json(path, table(Text())))
    except ValueError as error:
        raise ValueError(f"{error}; remove it, and check finds out again what passes") from None


def remember(folder: Path, fingerprints: dict[str, str]) -> None:
    """Write which exercises have passed, if that is something new."""
    if fingerprints != passed(folder):
        with atomic_write(folder / PROGRESS) as temporary:
            temporary.write_text(json.dumps(fingerprints, indent=1) + "\n", encoding="utf-8")


def state(folder: Path, name: str, fingerprints: dict[str, str]) -> str:
    """Return what is known of an exercise without judging it."""
    if not (folder / f"{name}.py").is_file():
        return "missing"
    if name in fingerprints:
        return PASSED if fingerprints[name] == fingerprint(folder, name) else "changed since it passed"
    return UNWRITTEN if is_stub(folder, name) else "begun"
