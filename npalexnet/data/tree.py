"""Folders and files: on a disk, or in an archive."""

from __future__ import annotations

import os
from typing import BinaryIO, Protocol

from npalexnet.data.members import MOST_BYTES
from npalexnet.data.names import is_rubbish


class Tree(Protocol):
    """Folders and files. Paths begin with that of the tree; in an archive they go on with slashes."""

    place: str

    def entries(self, folder: str) -> list[str]:
        """Return the names in a folder, sorted, without rubbish; a ValueError if it can't be read."""

    def join(self, folder: str, name: str) -> str:
        """Return the path of a file or folder in a folder."""

    def is_folder(self, path: str) -> bool:
        """Return whether there is a folder of this path."""

    def is_file(self, path: str) -> bool:
        """Return whether there is a file of this path."""

    def open(self, path: str) -> str | BinaryIO:
        """Return what `open_picture` takes."""

    def read(self, path: str) -> bytes:
        """Return a file's bytes; an OSError, which names it, if it can't be read."""


class Disk:
    """The folders and files on a disk, from a folder on."""

    def __init__(self, place: str | os.PathLike[str] = "") -> None:
        self.place = os.fspath(place)

    def entries(self, folder: str) -> list[str]:
        """Return the names in a folder, sorted, without rubbish; a ValueError if it can't be read."""
        try:
            return sorted(name for name in os.listdir(folder) if not is_rubbish(name))
        except OSError as error:
            raise ValueError(f"the folder {folder} can't be read: {error.strerror}") from None

    def join(self, folder: str, name: str) -> str:
        """Return the path of a file or folder in a folder."""
        return os.path.join(folder, name)

    def is_folder(self, path: str) -> bool:
        """Return whether there is a folder of this path."""
        return os.path.isdir(path)

    def is_file(self, path: str) -> bool:
        """Return whether there is a file of this path."""
        return os.path.isfile(path)

    def open(self, path: str) -> str:
        """Return the path itself."""
        return path

    def read(self, path: str) -> bytes:
        """Return a file's bytes; an OSError, which names it, if it can't be read."""
        with open(path, "rb") as file:
            size = os.fstat(file.fileno()).st_size
            if size > MOST_BYTES:
                raise OSError(f"{path} is too large: {size:,} bytes, at most {MOST_BYTES:,} are read")
            return file.read()
