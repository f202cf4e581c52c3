"""The folder of a run as a place: how it is made, found, held by one process, and left again."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from itertools import count
from pathlib import Path

from npalexnet.files import LOCK, locked, missing_promises, no_folder, remove_leftovers

RUNS = Path("runs")  # where runs go that nobody named
CONFIG, SPLIT, METRICS = "config.json", "split.json", "metrics.jsonl"
ATTEMPTS = 100  # to make and hold a folder that others make and remove at the same time


def new_run_folder(parent: Path = RUNS) -> Path:
    """Return the first of ``runs/1``, ``runs/2``, ... that does not exist."""
    return next(parent / str(i) for i in count(1) if not (parent / str(i)).exists())


def newest_run(parent: Path = RUNS) -> Path:
    """Return the run in a folder that was written to last; a ValueError if there is none."""
    found: list[tuple[float, Path]] = []
    for config in parent.glob(f"*/{CONFIG}"):
        with suppress(OSError):
            times = [path.stat().st_mtime for path in config.parent.iterdir() if path.is_file()]
            found.append((max(times), config.parent))
    if not found:
        raise ValueError(f"there is no run in {parent.absolute()}/ to go on with; name one: --resume RUN")
    return max(found)[1]


class RunFolder:
    """The folder of a run, of which one process at a time is in possession.

    Parameters
    ----------
    path : Path
        With ``..`` in it, it is resolved first: what is judged is what will be written to.

    Attributes
    ----------
    path : Path
    """

    def __init__(self, path: Path) -> None:
        self.path = path.resolve() if ".." in path.parts else path
        self._made: list[Path] = []  # by this process, the folder itself last
        self._new = False  # nothing was written yet: what is there belongs to others
        self._holds = False
        self._locks = True

    @classmethod
    def make(cls, path: Path) -> RunFolder:
        """Make the folder, or take an empty one; a ValueError if it holds something."""
        folder = cls(path)
        folder._new = True
        try:
            folder._make()
        except OSError as error:  # a file among its parents, say, or a name that is too long
            folder._remove_made()
            raise no_folder(path, error) from None
        except BaseException:
            folder._remove_made()
            raise
        return folder

    def _make(self) -> None:
        if not self.path.is_dir() and (self.path.exists() or self.path.is_symlink()):
            what = "a link to nothing" if not self.path.exists() else "a file"
            raise ValueError(f"{self.path} holds something already: it is {what}; name a new folder")
        for path in reversed([path for path in (self.path, *self.path.parents) if not path.exists()]):
            with suppress(FileExistsError):  # another process was faster
                path.mkdir()
                self._made.append(path)
        self._check_empty()

    def _check_empty(self) -> None:
        if any(path.name != LOCK for path in self.path.iterdir()):
            raise self._taken()

    def _taken(self) -> ValueError:
        return ValueError(
            f"{self.path} holds something already; name a new folder, remove it first, or go on with "
            f"--resume {self.path} (in Python, Run.reopen)"
        )

    @property
    def made(self) -> bool:
        """Whether this process made the folder."""
        return self.path in self._made

    def file(self, name: str) -> Path:
        """Return the path of a file that will be written."""
        self._new = False
        return self.path / name

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Context in which no other process can train this run; a ValueError if one does so, or has begun here."""
        if self._holds:
            yield
            return
        with ExitStack() as stack:
            self._locks = self._enter(stack)
            if self._new:  # others may have come first, between the making of the folder and now
                self._check_empty()
            self._new, self._holds = False, True
            stack.callback(setattr, self, "_holds", False)
            yield

    def _enter(self, stack: ExitStack) -> bool:
        for attempt in range(ATTEMPTS):
            try:
                return stack.enter_context(locked(self.path))
            except BlockingIOError:
                raise ValueError(f"{self.path} is in use: another process is training this run") from None
            except FileNotFoundError:  # one that began nothing has removed it
                if not self._new or attempt == ATTEMPTS - 1:
                    raise
                self._make()
        raise AssertionError

    def promises(self) -> str | None:
        """Return a note of what the file system can't do for a run that is held, or None."""
        missing = missing_promises(self.path)
        if not self._locks:
            missing.append("lock a folder: see to it that no other process trains this run")
        return f"{self.path} is on a file system that can't {'; nor '.join(missing)}" if missing else None

    def remove_leftovers(self) -> None:
        """Remove what killed processes left, of a run that is held."""
        remove_leftovers(self.path, held=self._locks)

    def check_space(self, needed: int) -> None:
        """Raise an OSError unless there is room for `needed` bytes, or nobody knows."""
        try:
            usage = shutil.disk_usage(self.path)
        except OSError:  # a file system that doesn't say
            return
        if usage.free < needed and getattr(usage, "total", True):
            raise OSError(f"{self.path} needs {needed / 1e6:.0f} MB of free space, but has {usage.free / 1e6:.0f} MB")

    def discard(self) -> bool:
        """Remove the folder, and the parents made for it, if this process made it and it holds settings alone."""
        if not self.made or any(p.name not in (CONFIG, SPLIT, LOCK) for p in self.path.iterdir()):
            return False
        try:
            with self.locked():
                for name in (CONFIG, SPLIT, LOCK):
                    (self.path / name).unlink(missing_ok=True)
                self._remove_made()
        except (ValueError, OSError):  # others use it by now
            return False
        return not self.path.exists()

    def _remove_made(self) -> None:
        with suppress(OSError):  # others use it by now
            for path in reversed(self._made):
                path.rmdir()
