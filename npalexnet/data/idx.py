"""IDX files, the format of MNIST and Fashion-MNIST: a header with type and shape, then the numbers.

References
----------
Y. LeCun, C. Cortes and C. Burges, "The MNIST database of handwritten digits", 1998, section "File formats".
"""

from __future__ import annotations

import gzip
from math import prod
from pathlib import Path

import numpy as np

UNSIGNED_BYTE = 0x08


def read_idx(path: str | Path) -> np.ndarray:
    """Return the unsigned bytes of an IDX file, gzipped if its name ends with ``.gz``, in their shape.

    A ValueError if it is not an IDX file of unsigned bytes, or is cut short or too long.
    """
    try:
        with gzip.open(path) if Path(path).suffix == ".gz" else open(path, "rb") as file:
            content = file.read()
    except (EOFError, gzip.BadGzipFile) as error:
        raise ValueError(f"{path} is not a complete gzip file: {error}") from None
    if len(content) < 4 or content[:2] != b"\0\0" or content[2] != UNSIGNED_BYTE:
        raise ValueError(f"{path} is not an IDX file of unsigned bytes: it begins with {content[:4].hex(' ')}")
    start = 4 + 4 * content[3]
    if len(content) < start:
        raise ValueError(f"{path} is cut short within its header: {len(content)} of {start} bytes")
    shape = tuple(np.frombuffer(content[4:start], ">u4").tolist())
    if len(content) - start != prod(shape):
        raise ValueError(f"{path} should hold {prod(shape)} numbers of shape {shape}, got {len(content) - start}")
    return np.frombuffer(content, np.uint8, offset=start).reshape(shape)


def write_idx(path: str | Path, array: np.ndarray) -> None:
    """Write unsigned bytes as a gzipped IDX file; the same array always gives the same bytes."""
    header = bytes([0, 0, UNSIGNED_BYTE, array.ndim]) + np.array(array.shape, ">u4").tobytes()
    Path(path).write_bytes(gzip.compress(header + array.astype(np.uint8).tobytes(), compresslevel=9, mtime=0))
