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
from typing import IO

import numpy as np

from npalexnet.data.images import opened
from npalexnet.data.memory import memory_allowed

UNSIGNED_BYTE = 0x08
MOST_COMPRESSED = 1032  # bytes that a byte of a gzip file can stand for
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


def _read(path: str | Path, file: IO[bytes] | gzip.GzipFile, size: int | None, most: int) -> np.ndarray:
    """Read an IDX file of `size` bytes, if that is known, and of `most` bytes at most."""
    header = file.read(4)
    if len(header) < 4 or header[:2] != b"\0\0" or header[2] != UNSIGNED_BYTE:
        raise ValueError(f"{path} is not an IDX file of unsigned bytes: it begins with {header.hex(' ')}")
    start = 4 + 4 * header[3]
    header += file.read(start - 4)
    if len(header) < start:
        raise ValueError(f"{path} is cut short within its header: {len(header)} of {start} bytes")
    shape = tuple(np.frombuffer(header[4:], ">u4").tolist())
    stated = prod(shape)
    if stated > most - start or (size is not None and stated != size - start):
        found = f"got {size - start}" if size is not None else f"more than a file of its size can hold, {most - start}"
        raise ValueError(f"{path} should hold {stated} numbers of shape {shape}, {found}")
    if stated > memory_allowed() // 4:
        raise ValueError(
            f"{path} holds {stated:,} numbers of shape {shape}: more than a quarter of the memory, "
            f"{memory_allowed() // 4:,} bytes"
        )
    numbers = bytearray()
    while len(numbers) <= stated and (block := file.read(min(BLOCK, stated + 1 - len(numbers)))):
        numbers += block
    if len(numbers) != stated:
        more = "more" if len(numbers) > stated else len(numbers)
        raise ValueError(f"{path} should hold {stated} numbers of shape {shape}, got {more}")
    return np.frombuffer(numbers, np.uint8).reshape(shape)


def write_idx(path: str | Path, array: np.ndarray) -> None:
    """Write unsigned bytes as a gzipped IDX file; the same array always gives the same bytes."""
    header = bytes([0, 0, UNSIGNED_BYTE, array.ndim]) + np.array(array.shape, ">u4").tobytes()
    Path(path).write_bytes(gzip.compress(header + array.astype(np.uint8).tobytes(), compresslevel=9, mtime=0))
