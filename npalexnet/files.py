"""Files that are written whole or not at all, read without waiting, and folders that one process holds."""

from __future__ import annotations

import errno
import os
import re
import shutil
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from itertools import count
from pathlib import Path
from typing import BinaryIO

LOCK = ".lock"  # in a folder that a process holds
# What file systems answer that can't flush a folder, set permissions or lock a file: shared folders, network mounts.
UNSUPPORTED = {
    getattr(errno, name)
    for name in ("EINVAL", "ENOTSUP", "EOPNOTSUPP", "EPERM", "EACCES", "ENOLCK", "ENOSYS", "ENOTTY", "EBADF", "EISDIR")
    if hasattr(errno, name)
}
# Names of temporary files: those of `atomic_write`, and those of safetensors while it writes.
_TEMPORARY = re.compile(r"\..+\.(?P<owner>\d+)-\d+\.tmp(\.[^.]*)?|\.tmp\w{6}")
_numbers = count()  # of the temporary files of this process: two threads never get the same one


@contextmanager
def atomic_write(path: str | Path, *, previous: str | Path | None = None) -> Iterator[Path]:
    """Context with a temporary path beside `path`; on leaving it becomes `path`, on an error it is removed.

    What stood at `path` before stays there until the new file is complete and on the disk. Several threads and
    processes may write the same `path`: the last one to finish wins. A link at `path` is replaced, not followed. A
    process that is killed leaves its temporary file, see `remove_leftovers`.

    Parameters
    ----------
    path : str or Path
        What is to be written.
    previous : str or Path, optional
        Where, in the same folder, to keep what stood at `path` before. Killed between the two renamings, a process
        leaves the old file there, and none at `path`.
    """
    path = Path(path)
    temporary, mode = _temporary_beside(path)
    try:
        yield temporary
        if stat.S_IMODE(temporary.stat().st_mode) != mode:
            _supported(lambda: temporary.chmod(mode))
        with open(temporary, "rb+") as file:
            sync(file.fileno())
        if previous is not None:
            with suppress(FileNotFoundError):
                os.replace(path, previous)
        os.replace(temporary, path)
        sync_folder(path.parent)
    except OSError as error:
        if error.errno is None or error.filename is not None:
            raise
        raise OSError(error.errno, error.strerror, str(path)) from None  # a full disk's says nothing of the file
    finally:
        temporary.unlink(missing_ok=True)


def _temporary_beside(path: Path) -> tuple[Path, int]:
    """Make an empty file beside `path`, under a name that nothing has; returns its path, and the umask's mode."""
    while True:  # a killed process of the same number may have left one
        temporary = path.with_name(f".{path.stem}.{os.getpid()}-{next(_numbers)}.tmp{path.suffix}")
        with suppress(FileExistsError):
            temporary.touch(exist_ok=False)
            return temporary, stat.S_IMODE(temporary.stat().st_mode)  # safetensors would make it the owner's alone


# --- what a file system may not be able to do -----------------------------------------------------------------------


def _supported(call: Callable[[], object]) -> bool:
    """Call; returns whether the file system can do that. Other errors, such as a full disk, are raised."""
    try:
        call()
    except OSError as error:
        if error.errno not in UNSUPPORTED:
            raise
        return False
    return True


def sync(descriptor: int) -> bool:
    """Wait until a file is on the disk; returns whether the file system can do that.

    On macOS fsync leaves it in the drive's own memory, and F_FULLFSYNC does not.
    """
    with suppress(ImportError, AttributeError, OSError):  # network drives don't have it
        import fcntl

        fcntl.fcntl(descriptor, fcntl.F_FULLFSYNC)  # type: ignore[attr-defined, unused-ignore]
        return True
    return _supported(lambda: os.fsync(descriptor))


def sync_folder(folder: Path) -> bool:
    """Wait until the names in a folder are on the disk: a renaming is safe from a power cut only then.

    Returns whether the file system can do that.
    """
    if os.name == "nt":  # can't open a folder, and needs no such call
        return True
    opened: list[int] = []
    if not _supported(lambda: opened.append(os.open(folder, os.O_RDONLY))):
        return False
    try:
        return sync(opened[0])
    finally:
        os.close(opened[0])


def missing_promises(folder: Path) -> list[str]:
    """Return what a folder's file system can't promise, each as the end of "... can't"; may be empty."""
    missing = []
    with suppress(OSError):  # a full disk, say, is noticed with the files that matter
        if not sync_folder(folder):
            missing.append("flush the names of files: after a power cut, the newest checkpoint may be gone")
    with suppress(OSError):
        temporary, mode = _temporary_beside(folder / "promises")
        try:
            if not _supported(lambda: temporary.chmod(mode)):
                missing.append("set permissions: files have those that the file system gives them")
        finally:
            temporary.unlink(missing_ok=True)
    return missing


# --- what belongs to one process ------------------------------------------------------------------------------------


def make_folder(path: Path) -> None:
    """Make a folder, and those above it, where there is none; a ValueError if a file is in the way."""
    try:
        path.mkdir(parents=True, exist_ok=True)
    except (FileExistsError, NotADirectoryError):
        raise ValueError(f"{path} can't be a folder to write to: it, or what is above it, is a file") from None


def own(path: str | os.PathLike[str], flags: int) -> int:
    """Open a file of a run in place: the `opener` of ``open(path, "ab", opener=own)``.

    Raises
    ------
    OSError
        If there is a link, or something else that is no file: nothing is written through it.
    """
    for name in ("O_NOFOLLOW", "O_NONBLOCK"):  # as far as the system has them
        flags |= getattr(os, name, 0)
    try:
        descriptor = os.open(path, flags, 0o666)
    except OSError:
        if os.path.lexists(path) and not stat.S_ISREG(os.lstat(path).st_mode):
            raise _not_own(path) from None
        raise
    opened, there = os.fstat(descriptor), os.lstat(path)
    if not (stat.S_ISREG(opened.st_mode) and os.path.samestat(opened, there)):  # where there is no O_NOFOLLOW
        os.close(descriptor)
        raise _not_own(path)
    return descriptor


def unshare(path: Path) -> None:
    """Give a file with further names (hard links, as backups make them) a copy of its own under this one."""
    with suppress(FileNotFoundError):
        found = os.lstat(path)
        if stat.S_ISREG(found.st_mode) and found.st_nlink > 1:
            with atomic_write(path) as temporary:
                shutil.copyfile(path, temporary)


def _not_own(path: str | os.PathLike[str]) -> OSError:
    what = "a link" if os.path.islink(path) else "no file"
    return OSError(f"{os.fspath(path)} is {what}, and must be a file of the run's own: nothing is written through it")


def no_folder(path: Path, error: OSError) -> OSError:
    """Return the error for a folder that can't be made."""
    return type(error)(f"the folder {path} can't be made: {error.strerror or error}")


@contextmanager
def locked(folder: Path) -> Iterator[bool]:
    """Context in which no other process can hold the same folder; it ends with the process, however that ends.

    Yields whether the file system can do that; where it can't, nothing is held.

    Raises
    ------
    BlockingIOError
        If another one does.
    OSError
        If there is a link or a folder in the lock's place, or the lock of another user, who may hold it.
    """
    from filelock import FileLock, Timeout

    path = folder / LOCK
    with suppress(FileNotFoundError):  # there is none, or another process has just removed it
        if not stat.S_ISREG(os.lstat(path).st_mode):
            raise _not_own(path)
        if not os.access(path, os.W_OK) and os.path.lexists(path):
            what = "is the lock of another user, who may be training this run; if nobody is, remove it"
            raise PermissionError(f"{path} {what}")
    lock = FileLock(path, timeout=0, thread_local=False, fallback_to_soft=False)
    try:
        holds = _supported(lock.acquire)
    except Timeout:
        raise BlockingIOError(errno.EAGAIN, "another process holds it", str(folder)) from None
    except OSError as error:
        if error.errno != errno.EROFS:
            raise
        raise OSError(f"{folder} can't be trained in: it is on a read-only file system; copy it elsewhere") from None
    try:
        yield holds
    finally:
        with suppress(OSError):  # while it is held: whoever has opened it meanwhile finds it gone, and tries again
            path.unlink()
        lock.release()


def remove_leftovers(folder: Path, *, held: bool = True) -> list[Path]:
    """Remove the temporary files that killed processes left in a folder; returns their paths.

    Parameters
    ----------
    folder : Path
    held : bool
        Whether this process holds the folder, so that no other one is writing there. Else only those are removed
        whose process is certainly gone.
    """
    leftovers = []
    for path in sorted(folder.iterdir()):
        match = _TEMPORARY.fullmatch(path.name)
        if match and stat.S_ISREG(path.lstat().st_mode) and (held or _is_gone(match["owner"])):
            path.unlink(missing_ok=True)
            leftovers.append(path)
    return leftovers


def _is_gone(owner: str | None) -> bool:
    """Whether there is no process of that number on this machine."""
    if owner is None or os.name == "nt":
        return False
    try:
        os.kill(int(owner), 0)
    except ProcessLookupError:
        return True
    except (OSError, OverflowError):  # another user's
        return False
    return False


def open_regular(path: str | os.PathLike[str]) -> BinaryIO:
    """Open a file to read its bytes; a ValueError if it is a folder, or a pipe or device, where reading might hang."""
    if os.path.isdir(path):  # which Windows can't open
        raise ValueError(f"{os.fspath(path)} is a folder, not a file")
    descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0))
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise ValueError(f"{os.fspath(path)} is a pipe or a device, not a file")
    return os.fdopen(descriptor, "rb")
