"""The files in an archive: each a function that returns its bytes, within bounds."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Callable
from typing import BinaryIO

MOST_BYTES = 1 << 28  # of a file that is read whole; the largest photographs have a tenth, CIFAR-100 has 155 million
MOST_ENTRIES = 4_000_000  # files and folders in an archive; ImageNet has 1.3 million
DEEPEST = 100  # folders in one another
MOST_UNPACKED = 3 << 28  # bytes of a compressed tar, which is kept in memory: it can't be read from the middle


class Member(io.BytesIO):
    """The content of a file in an archive; as text its path, so that messages about it name it."""

    def __init__(self, content: bytes, path: str) -> None:
        super().__init__(content)
        self.path = path

    def __str__(self) -> str:
        return self.path


class Refused(Exception):
    """What an archive or a file in it is refused for."""


class Zipped:
    """Reads a file of a zip."""

    def __init__(self, opened: Callable[[], zipfile.ZipFile], info: zipfile.ZipInfo) -> None:
        self.opened, self.info = opened, info

    def __call__(self) -> bytes:
        """Return the bytes, or refuse to."""
        _check_size(self.info.file_size)
        if self.info.flag_bits & 1:
            raise Refused("is encrypted: pack it without a password")
        if (self.info.external_attr >> 28) == 0o12:  # as Unix writes symbolic links
            raise Refused("is a link in its archive")
        with self.opened().open(self.info) as file:
            return file.read()  # no more than `file_size`, and a wrong one is seen by the checksum


class Stretch:
    """Reads a stretch of a file."""

    def __init__(self, path: str, offset: int, size: int) -> None:
        self.path, self.offset, self.size = path, offset, size

    def __call__(self) -> bytes:
        """Return the bytes, or refuse to."""
        _check_size(self.size)
        with open(self.path, "rb") as file:
            file.seek(self.offset)
            content = file.read(self.size)
        if len(content) != self.size:
            raise EOFError("the archive is cut short")
        return content


class Kept:
    """Returns bytes in memory."""

    def __init__(self, content: bytes, size: int) -> None:
        self.content, self.size = content, size

    def __call__(self) -> bytes:
        """Return the bytes, or refuse to."""
        _check_size(self.size)
        return self.content


class Unreadable:
    """Refuses to be read."""

    def __init__(self, reason: str) -> None:
        self.reason = reason

    def __call__(self) -> bytes:
        """Return the bytes, or refuse to."""
        raise Refused(self.reason)


class Limited:
    """A stream that refuses to give more than `MOST_UNPACKED` bytes, whatever sizes the headers in it claim."""

    def __init__(self, stream: BinaryIO, path: str) -> None:
        self.stream, self.path, self.left = stream, path, MOST_UNPACKED

    def read(self, size: int) -> bytes:
        """Return at most `size` bytes."""
        content = self.stream.read(size)
        self.left -= len(content)
        if self.left < 0:
            raise Refused(
                f"{self.path} has more than {MOST_UNPACKED >> 20:,} MiB when it is unpacked; a compressed tar is kept "
                "in memory: decompress it first (a .tar or .zip is read in place, however large), or unpack it"
            )
        return content


def _check_size(size: int) -> None:
    if size > MOST_BYTES:
        raise Refused(f"is too large for a picture in an archive: {size:,} bytes, at most {MOST_BYTES:,} are read")
