"""Finding the files in a folder that are not usable pictures.

A file is usable if it can be decoded, so each is decoded, exactly as for training: what passes here can be opened
there.

Decoders get some picture out of many damaged JPEG and WebP files; a file that can be opened does not count as broken.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple

from npalexnet.data.images import decode
from npalexnet.data.memory import PICTURES
from npalexnet.terminal import progress, reason

THREADS = max(8, os.cpu_count() or 1)  # on few cores they mostly wait for the disk


class Finding(NamedTuple):
    """The result for a file: why it is not usable, or None; and whether its picture is grey."""

    fault: str | None
    grey: bool


def inspect(paths: Iterable[str], opened: Callable[[str], Any] = str) -> list[Finding]:
    """Inspect files, several at a time; `opened` returns what stands for a path: itself, or a file in an archive."""

    def look(path: str) -> Finding:
        try:
            return inspect_file(opened(path))
        except OSError as error:
            return Finding(reason(error), grey=False)

    paths, findings = list(paths), []
    with (
        ThreadPoolExecutor(THREADS, thread_name_prefix="inspect") as pool,
        progress("inspecting files", len(paths), "file") as watch,
    ):
        for finding in pool.map(look, paths):
            findings.append(finding)
            watch(1)
    return findings


def inspect_file(source: Any) -> Finding:
    """Return whether `open_picture` can open a file, and whether its picture is grey."""
    try:
        with PICTURES.held():  # until the picture is dropped
            grey = decode(source)[1]
        return Finding(None, grey=grey)
    except OSError as error:
        return Finding(reason(error), grey=False)
