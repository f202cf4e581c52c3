"""Folders of pictures in a zip or tar file, read in place: nothing is unpacked to the disk."""

from __future__ import annotations

import bz2
import gzip
import lzma
import os
import posixpath
import tarfile
import weakref
import zipfile
import zlib
from collections.abc import Callable
from contextlib import suppress
from typing import Any, BinaryIO, cast

from npalexnet.data.members import (
    DEEPEST,
    MOST_BYTES,
    MOST_ENTRIES,
    Kept,
    Limited,
    Member,
    Refused,
    Stretch,
    Unreadable,
    Zipped,
)
from npalexnet.data.names import is_rubbish

_DAMAGED = (zipfile.BadZipFile, tarfile.TarError, EOFError, zlib.error, lzma.LZMAError, OSError, ValueError)
_COMPRESSED: dict[bytes, Callable[..., Any]] = {b"\x1f\x8b": gzip.open, b"BZh": bz2.open, b"\xfd7zXZ\0": lzma.open}
_LONGEST_MAGIC = 6  # bytes
_OTHERS = {  # how other archives begin
    b"7z\xbc\xaf\x27\x1c": "a 7z archive", b"Rar!": "a RAR archive", b"\x28\xb5\x2f\xfd": "compressed by Zstandard",
    b"\x04\x22\x4d\x18": "compressed by LZ4", b"\x1f\x9d": "compressed by compress",
}  # fmt: skip
_BLOCK = 1 << 20


class Archive:
    """The files of a zip or tar file, as a folder that has the archive's path.

    Safe on any thread, in a forked process, and to be pickled: it opens the archive's file anew where it needs to.
    Links, devices and encrypted files can't be read; a name that leads out of the archive is refused.

    Parameters
    ----------
    path : path

    Attributes
    ----------
    place : str
        The archive's path.

    Raises
    ------
    ValueError
        If it is no zip or tar file, is damaged, or is compressed as a whole and too large for the memory.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.place = os.fspath(path)
        self._read: dict[str, Callable[[], bytes]] = {}  # how to read each file, by its name in the archive
        self._folders: dict[str, set[str]] = {"": set()}
        self._zip: tuple[int, zipfile.ZipFile] | None = None  # with the number of the process that opened it
        try:
            kind = archive_kind(self.place)
            if kind is None:
                raise Refused(f"{self.place} is neither a folder nor a zip or tar file")
            {"zip": self._index_zip, "tar": self._index_tar, "compressed": self._index_compressed}[kind]()
        except Refused as error:
            raise ValueError(str(error)) from None
        except _DAMAGED as error:
            if isinstance(error, OSError) and error.errno is not None:
                raise
            raise ValueError(f"{self.place} is a damaged archive, or cut short: {error}") from None

    def __reduce__(self) -> tuple[type[Archive], tuple[str]]:
        return Archive, (self.place,)

    # --- the same as `npalexnet.data.tree.Disk` ------------------------------------------------------------------

    def entries(self, folder: str) -> list[str]:
        """Return the names in a folder, sorted, without rubbish."""
        return sorted(name for name in self._folders[self._inside(folder)] if not is_rubbish(name))

    def join(self, folder: str, name: str) -> str:
        """Return the path of a file or folder in a folder."""
        return f"{folder}/{name}"

    def is_folder(self, path: str) -> bool:
        """Return whether there is a folder of this path."""
        return self._inside(path) in self._folders

    def is_file(self, path: str) -> bool:
        """Return whether there is a file of this path."""
        return self._inside(path) in self._read

    def open(self, path: str) -> Member:
        """Return a file's content; an OSError, which names it, if it can't be read."""
        return Member(self.read(path), path)

    def read(self, path: str) -> bytes:
        """Return a file's bytes."""
        read = self._read.get(self._inside(path))
        if read is None:
            raise OSError(f"{path} is {'a folder' if self.is_folder(path) else 'not in the archive (any more)'}")
        try:
            return read()
        except Refused as error:
            raise OSError(f"{path} {error}") from None
        except (*_DAMAGED, RuntimeError) as error:  # RuntimeError: encrypted; NotImplementedError, a compression
            if isinstance(error, OSError) and error.errno is not None:
                raise
            raise OSError(f"{path} can't be read from its archive: {error}") from None

    def _inside(self, path: str) -> str:
        return path[len(self.place) + 1 :].replace(os.sep, "/")

    # --- what both kinds have in common ----------------------------------------------------------------------------

    def _add(self, name: str, read: Callable[[], bytes] | None) -> None:
        """Add a file, or with None a folder."""
        parts = [part for part in name.split("/") if part not in ("", ".")]
        if ".." in parts:
            raise Refused(f"{self.place} holds {name!r}, which leads out of the archive: it is not read")
        if len(parts) > DEEPEST:
            raise Refused(f"{self.place} holds {len(parts):,} folders in one another, at most {DEEPEST} are read")
        if len(self._read) + len(self._folders) >= MOST_ENTRIES:
            raise Refused(f"{self.place} holds more than {MOST_ENTRIES:,} files and folders: unpack it")
        if read is not None and parts:
            self._read["/".join(parts)] = read
        for depth in range(len(parts) if read is None else len(parts) - 1, 0, -1):
            self._folders.setdefault("/".join(parts[:depth]), set())
        for depth in range(len(parts), 0, -1):
            inside = self._folders["/".join(parts[: depth - 1])]
            if parts[depth - 1] in inside:
                break
            inside.add(parts[depth - 1])

    # --- zip -------------------------------------------------------------------------------------------------------

    def _index_zip(self) -> None:
        for info in self._zipfile().infolist():
            self._add(_name(info), None if info.is_dir() else Zipped(self._zipfile, info))

    def _zipfile(self) -> zipfile.ZipFile:
        """Return the open file of this process: after a fork both would move one position in it."""
        if self._zip is None or self._zip[0] != os.getpid():
            opened = zipfile.ZipFile(self.place)
            weakref.finalize(self, opened.close)
            self._zip = os.getpid(), opened
        return self._zip[1]

    # --- tar -------------------------------------------------------------------------------------------------------

    def _index_tar(self) -> None:
        with tarfile.open(self.place, "r:") as tar:
            for info in tar:
                self._add_tarred(info, Stretch(self.place, info.offset_data, info.size))
                cast("Any", tar).members = []  # or it keeps all of them

    def _index_compressed(self) -> None:
        with open(self.place, "rb") as file, _decompressed(file) as decompressed:
            limited: Any = Limited(decompressed, self.place)
            with tarfile.open(fileobj=limited, mode="r|", bufsize=_BLOCK) as tar:
                for info in tar:
                    content = b""
                    if info.isreg() and not is_rubbish(posixpath.basename(info.name)) and info.size <= MOST_BYTES:
                        content = cast("BinaryIO", tar.extractfile(info)).read()
                        if len(content) != info.size:
                            raise EOFError("unexpected end of data")
                    self._add_tarred(info, Kept(content, info.size))
                    cast("Any", tar).members = []

    def _add_tarred(self, info: tarfile.TarInfo, read: Callable[[], bytes]) -> None:
        if info.isdir():
            self._add(info.name, None)
        elif info.isreg() and not info.issparse():
            self._add(info.name, read)
        else:
            self._add(info.name, Unreadable("is a link, a device or another special file in its archive"))


def _decompressed(file: BinaryIO) -> BinaryIO:
    """Return a stream of what a compressed file holds."""
    start = file.read(_LONGEST_MAGIC)
    file.seek(0)
    opened = next(opened for magic, opened in _COMPRESSED.items() if start.startswith(magic))
    return cast("BinaryIO", opened(file))


def _name(info: zipfile.ZipInfo) -> str:
    """Return a name as it was meant: macOS writes UTF-8 without saying so, old programs for Windows backslashes."""
    name = info.filename
    if not info.flag_bits & 0x800:
        with suppress(UnicodeError):
            name = name.encode("cp437").decode("utf-8")
    return name.replace("\\", "/") if info.create_system == 0 or "/" not in name else name


def archive_kind(path: str | os.PathLike[str]) -> str | None:
    """Return "zip", "tar" or "compressed", by a file's content, or None if it is none of them."""
    with open(path, "rb") as file:
        start = file.read(_LONGEST_MAGIC)
    if start.startswith(b"PK\3\4"):
        return "zip"
    if start.startswith(tuple(_COMPRESSED)):
        return "compressed"
    try:
        tarfile.open(path, "r:").close()
    except tarfile.TarError:
        return "zip" if zipfile.is_zipfile(path) else None  # an empty one, or with a program in front
    return "tar"


def other_archive(path: str | os.PathLike[str]) -> str:
    """Return what a file is that `archive_kind` does not know, "" if it is no archive."""
    with open(path, "rb") as file:
        start = file.read(_LONGEST_MAGIC)
    return next((what for magic, what in _OTHERS.items() if start.startswith(magic)), "")
