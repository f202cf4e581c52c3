"""Finding the files in a folder that are no usable pictures, without decoding all the others.

To decode every picture would be the surest check, and would take as long as loading a whole epoch. So a file of a
common kind is believed where a look at its ends tells that it is all there:

- JPEG: the header can be read, and the last two bytes are the end-of-image marker;
- PNG: all chunks are there with the right check sums, which Pillow can tell without decompressing them;
- WebP: Pillow opens it, which it refuses where the file is shorter than it says.

Every other file is decoded: none is called broken on a suspicion. What can slip through is a JPEG or WebP file with
wrong bytes in its middle. Decoders make some picture of most of these; the rest stop loading with the file's name.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

from npalexnet.data.images import open_picture

GREY_MODES = ("1", "L", "LA", "I;16", "I;16B", "I;16L")
THREADS = 8  # they wait for the disk more than they compute


class Finding(NamedTuple):
    """What was found out about a file: why it is not usable, or None; and whether its picture is grey."""

    fault: str | None
    grey: bool


def inspect(paths: Iterable[str]) -> list[Finding]:
    """Look at files, several at a time."""
    with ThreadPoolExecutor(THREADS, thread_name_prefix="inspect") as pool:
        return list(pool.map(inspect_file, paths))


def inspect_file(path: str) -> Finding:
    """Find out whether a file is a picture that `open_picture` can open."""
    if os.path.isdir(path):
        return Finding(f"{path} is a folder", grey=False)
    mode, whole = _look_at_ends(path)
    if not whole:
        try:
            open_picture(path)
        except OSError as error:
            return Finding(str(error), grey=False)
    return Finding(None, grey=mode in GREY_MODES)


def _look_at_ends(path: str) -> tuple[str, bool]:
    """Return the mode, and whether the file is surely whole."""
    from PIL import Image

    try:
        with open(path, "rb") as file, Image.open(file) as image:
            mode, kind = image.mode, image.format
            if mode in ("I", "F"):
                return mode, False
            if kind == "PNG":
                image.verify()
                return mode, True
            if kind == "JPEG":
                file.seek(-2, os.SEEK_END)
                return mode, file.read(2) == b"\xff\xd9"
            return mode, kind == "WEBP"
    except Exception:  # whatever the reason, decoding the file will tell it
        return "", False
