"""Files that are written whole or not at all, and files that can be read without waiting for anything."""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from itertools import count
from pathlib import Path
from typing import BinaryIO

# Names of temporary files: those of `atomic_write`, and those of safetensors while it writes.
_TEMPORARY = re.compile(r"\..+\.\d+-\d+\.tmp(\.[^.]*)?|\.tmp\w{6}")
_numbers = count()  # of the temporary files of this process: two threads never get the same one


@contextmanager
def atomic_write(path: str | Path, *, previous: str | Path | None = None) -> Iterator[Path]:
    """Context with a temporary path beside `path`; on leaving it becomes `path`, on an error it is removed.

    What stood at `path` before stays there until the new file is complete and on the disk. Several threads and
    processes may write the same `path`: the last one to finish wins. A process that is killed leaves its temporary
    file, see `remove_leftovers`.

    Parameters
    ----------
    path : str or Path
        What is to be written.
    previous : str or Path, optional
        Where, in the same folder, to keep what stood at `path` before. Killed between the two renamings, a process
        leaves the old file there, and none at `path`.
    """
    path = Path(path)
    temporary = path.with_name(f".{path.stem}.{os.getpid()}-{next(_numbers)}.tmp{path.suffix}")
    try:
        temporary.touch(exist_ok=False)
        mode = temporary.stat().st_mode  # the umask's; safetensors would make a file that only its owner can read
        yield temporary
        temporary.chmod(mode)
        with open(temporary, "rb+") as file:
            os.fsync(file.fileno())
        if previous is not None:
            with suppress(FileNotFoundError):
                os.replace(path, previous)
        os.replace(temporary, path)
        sync_folder(path.parent)
    finally:
        temporary.unlink(missing_ok=True)


def sync_folder(folder: Path) -> None:
    """Wait until the names in a folder are on the disk: a renaming is safe from a power cut only then."""
    if os.name == "nt":  # can't open a folder, and needs no such call
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Context in which no other process can hold the same folder; it ends with the process, however that ends.

    Raises
    ------
    BlockingIOError
        If another one does. (On Windows, which has no such lock, never.)
    """
    try:
        import fcntl
    except ImportError:
        yield
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
    finally:
        os.close(descriptor)


def remove_leftovers(folder: Path) -> list[Path]:
    """Remove the temporary files that killed processes left in a folder; returns their paths.

    Only where no other process is writing there.
    """
    leftovers = sorted(path for path in folder.iterdir() if _TEMPORARY.fullmatch(path.name))
    for path in leftovers:
        path.unlink(missing_ok=True)
    return leftovers


def open_regular(path: str | os.PathLike[str]) -> BinaryIO:
    """Open a file to read its bytes; a ValueError if it is a folder, or a pipe or device, where reading might hang."""
    if os.path.isdir(path):  # which Windows can't open
        raise ValueError(f"{os.fspath(path)} is a folder, not a file")
    descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0))
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise ValueError(f"{os.fspath(path)} is a pipe or a device, not a file")
    return os.fdopen(descriptor, "rb")
