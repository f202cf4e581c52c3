"""A reader's folder for tests, and the judge of it in this process."""

import sys
from contextlib import contextmanager
from pathlib import Path

from npalexnet.exercises.catalog import EXERCISES
from npalexnet.exercises.reader import judge

SOLUTIONS = Path(__file__).parent / "solutions"
WAYS = ("loops", "einsum", "strided")


@contextmanager
def _own_modules():
    """Context in which what is imported under an exercise's name is forgotten afterwards."""
    path, bytecode = list(sys.path), sys.dont_write_bytecode
    sys.dont_write_bytecode = True
    try:
        yield
    finally:
        sys.path[:], sys.dont_write_bytecode = path, bytecode
        for name in EXERCISES:
            sys.modules.pop(name, None)


def verdict_on(folder, name):
    """What the judge says of an exercise in a folder."""
    with _own_modules():
        return judge(folder, name)


def text_of(name, way="loops"):
    """The text of a right solution."""
    return (SOLUTIONS / way / f"{name}.py").read_text(encoding="utf-8")


def verdict_on_text(folder, name, text, way="loops"):
    """What the judge says of an exercise with this text, in a new folder with right solutions of the others."""
    folder.mkdir()
    for other in (SOLUTIONS / way).glob("*.py"):
        (folder / other.name).write_bytes(other.read_bytes())
    (folder / f"{name}.py").write_text(text, encoding="utf-8")
    return verdict_on(folder, name)
