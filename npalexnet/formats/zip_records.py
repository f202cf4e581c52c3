"""Zip archives whose directories may lie: what is in one is read only as far as the file can hold it."""

from __future__ import annotations

import os
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from npalexnet.fields import found
from npalexnet.files import open_regular
from npalexnet.formats.tensor_file import MOST_TENSORS, Unreadable, damaged

DEFLATE = 1032  # no byte of deflate becomes more than so many
_CHUNK = 1 << 20
_FAULTS = (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError, OverflowError, UnicodeError)


class Records:
    """The files in an archive by their names.

    Parameters
    ----------
    archive : ZipFile
    size : int
        The archive's, in bytes.

    Raises
    ------
    ValueError
        If two have the same name, or all together take more bytes than there are, or lie elsewhere.
    """

    def __init__(self, archive: zipfile.ZipFile, size: int) -> None:
        self._archive = archive
        infos = archive.infolist()
        self._infos = {info.filename: info for info in infos}
        if len(infos) > 10 * MOST_TENSORS:
            raise ValueError(f"it names {len(infos):,} records")
        if len(self._infos) < len(infos):
            raise ValueError("two of its records have the same name")
        if any(not 0 <= info.header_offset < size for info in infos):
            raise ValueError("its records do not lie within it")
        if sum(info.compress_size for info in infos) > size:
            raise ValueError("its records take more bytes than it has")

    @property
    def names(self) -> list[str]:
        """The files' names."""
        return list(self._infos)

    def size(self, name: str) -> int:
        """Return the size of a file, unpacked, as the archive states it; no more than deflate could make of it."""
        if name not in self._infos:
            raise ValueError(f"it has no record {found(name)}")
        info = self._infos[name]
        most = info.compress_size * (1 if info.compress_type == zipfile.ZIP_STORED else DEFLATE)
        if info.file_size > most:
            raise ValueError(f"its record {found(name)} says it has {info.file_size:,} bytes, which it can't")
        return info.file_size

    def read(self, name: str, most: int | None = None) -> np.ndarray:
        """Return a file's bytes as uint8; a ValueError if it has more than `most`, or not as many as it states."""
        size = self.size(name)
        if most is not None and size > most:
            raise ValueError(f"its record {found(name)} has {size:,} bytes, more than the {most:,} that are read")
        content = np.empty(size, np.uint8)
        place = 0
        with self._archive.open(self._infos[name]) as file:
            while chunk := file.read(_CHUNK):  # checks the CRC-32 at the end
                if place + len(chunk) > size:
                    raise ValueError(f"its record {found(name)} is longer than it says")
                content[place : place + len(chunk)] = np.frombuffer(chunk, np.uint8)
                place += len(chunk)
        if place < size:
            raise ValueError(f"its record {found(name)} ends too early")
        return content


@contextmanager
def records(path: str | Path) -> Iterator[Records]:
    """Context with the files in a zip archive.

    Raises
    ------
    OSError
        If it can't be read.
    ValueError
        If it is damaged, or lies; also where the body of the context finds that and raises a ValueError without the
        file's name.
    """
    with open_regular(path) as file:
        try:
            with zipfile.ZipFile(file) as archive:
                yield Records(archive, os.fstat(file.fileno()).st_size)
        except _FAULTS as error:
            raise damaged(path, error) from None
        except Unreadable as error:
            raise ValueError(f"{path} {error}") from None
        except ValueError as error:
            raise damaged(path, error) from None
