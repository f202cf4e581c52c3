"""IDX files, the format of MNIST and Fashion-MNIST: a header with type and shape, then the numbers.

References
----------
Y. LeCun, C. Cortes and C. Burges, "The MNIST database of handwritten digits", 1998, section "File formats".
"""

from __future__ import annotations

import gzip
import os
import zlib
from math import prod
from pathlib import Path
from typing import Any

import numpy as np

from npalexnet.data.images import opened
from npalexnet.data.memory import memory_allowed

UNSIGNED_BYTE = 0x08
MOST_COMPRESSED = 1032  # bytes that a byte of a gzip file can stand for
MOST_NUMBERS = 1 << 30  # and of the memory a quarter
MOST_AXES = 8  # images in colour have four
BLOCK = 1 << 20


def read_idx(path: str | Path) -> np.ndarray:
    """Return the unsigned bytes of an IDX file, gzipped if its name ends with ``.gz``, in their shape.

    A ValueError if it is not an IDX file of unsigned bytes, or is cut short or too long. The header is read first, and
    after it no more than it states, which a file of this size must be able to hold.
    """
    packed = Path(path).suffix == ".gz"
    try:
        with opened(path) as file:
            size = os.fstat(file.fileno()).st_size
            if not packed:
                return _read(path, file, size, size)
            with gzip.GzipFile(fileobj=file) as unpacked:
                return _read(path, unpacked, None, 16 + MOST_COMPRESSED * size)
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise ValueError(f"{path} is not a complete gzip file: {error}") from None


def _read(path: str | Path, file: Any, size: int | None, most: int) -> np.ndarray:
    """Read an IDX file of `size` bytes, if that is known, and of `most` bytes at most."""
    header = file.read(4)
    if len(header) < 4 or header[:2] != b"\0\0" or header[2] != UNSIGNED_BYTE:
        raise ValueError(f"{path} is not an IDX file of unsigned bytes: it begins with {header.hex(' ')}")
    if header[3] > MOST_AXES:
        raise ValueError(f"{path} should have at most {MOST_AXES} axes, got {header[3]}")
    start = 4 + 4 * header[3]
    header += file.read(start - 4)
    if len(header) < start:
        raise ValueError(f"{path} is cut short within its header: {len(header)} of {start} bytes")
    shape = tuple(np.frombuffer(header[4:], ">u4").tolist())
    stated = prod(shape)
    if stated > most - start or (size is not None and stated != size - start):
        found = f"got {size - start}" if size is not None else f"more than a file of its size can hold, {most - start}"
        raise ValueError(f"{path} should hold {stated} numbers of shape {shape}, {found}")
    limit = min(MOST_NUMBERS, memory_allowed() // 4)
    if prod(n for n in shape if n) > limit:  # NumPy refuses such shapes even where there are no numbers
        raise ValueError(f"{path} has the shape {shape}; at most {limit:,} numbers are read")
    numbers, filled = np.empty(stated, np.uint8), 0
    while filled < stated and (count := file.readinto(numbers.data[filled : filled + BLOCK])):
        filled += count
    if filled < stated or file.read(1):
        more = "more" if filled == stated else filled
        raise ValueError(f"{path} should hold {stated} numbers of shape {shape}, got {more}")
    return numbers.reshape(shape)


def write_idx(path: str | Path, array: np.ndarray) -> None:
    """Write unsigned bytes as a gzipped IDX file; the same array always gives the same bytes."""
    header = bytes([0, 0, UNSIGNED_BYTE, array.ndim]) + np.array(array.shape, ">u4").tobytes()
    Path(path).write_bytes(gzip.compress(header + array.astype(np.uint8).tobytes(), compresslevel=9, mtime=0))
