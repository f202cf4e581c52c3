"""Files as ``torch.save`` writes them, written without torch.

Such a file is a zip archive without compression: ``data.pkl`` is a pickle that says what the tensors are, and
``data/0``, ``data/1``, ... are their bytes. The pickle is put together here from its operations, as `pickle` could name
torch's functions only where torch is installed.

References
----------
torch, ``torch/serialization.py`` (``_save``) and ``caffe2/serialize/inline_container.cc`` (names and alignment); the
operations of a pickle: Python's ``pickletools``.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Mapping
from math import prod
from pathlib import Path
from typing import Any, BinaryIO
from zipfile import ZipFile, ZipInfo

import numpy as np

from npalexnet.files import atomic_write

FOLDER = "archive"  # of all entries; torch takes it from the file's name, which would make the bytes depend on that
DESCRIPTION = "extra/npalexnet.json"  # where TorchScript keeps files of the user's; torch.load does not look at it
ALIGNMENT = 64  # bytes, so that a tensor can be mapped into memory
LARGE_ENTRY = 2**30  # bytes; beyond, an entry's sizes are written in 64 bits
STORAGES = {
    "float64": "DoubleStorage", "float32": "FloatStorage", "float16": "HalfStorage", "bfloat16": "BFloat16Storage",
}  # fmt: skip
_ORDERED_DICT = b"ccollections\nOrderedDict\n)R"  # of nothing
_REBUILD_TENSOR = b"ctorch._utils\n_rebuild_tensor_v2\n"


def write_torch_file(path: str | Path, tensors: Mapping[str, np.ndarray], description: Any = None) -> None:
    """Write a state dict that ``torch.load(path, weights_only=True)`` returns; the same bytes for the same tensors.

    Parameters
    ----------
    path : str or Path
        Replaced atomically: after an OSError it still holds what was there before.
    tensors : mapping
        From names to arrays of float64, float32, float16 or bfloat16.
    description : optional
        What JSON can hold, kept beside the tensors in the entry `DESCRIPTION`; None for nothing.
    """
    with atomic_write(path) as temporary, open(temporary, "wb") as file, ZipFile(file, "w") as archive:
        _add(archive, file, "data.pkl", pickled(tensors))
        _add(archive, file, ".format_version", b"1")
        _add(archive, file, ".storage_alignment", b"%d" % ALIGNMENT)
        _add(archive, file, "byteorder", b"little")
        for number, array in enumerate(tensors.values()):
            _add(archive, file, f"data/{number}", little_endian_bytes(array))
        _add(archive, file, "version", b"3\n")
        if description is not None:
            _add(archive, file, DESCRIPTION, json.dumps(description).encode())


def little_endian_bytes(array: np.ndarray) -> memoryview:
    """Return an array's bytes in C order, the lowest byte of a number first."""
    little = np.ascontiguousarray(array).astype(array.dtype.newbyteorder("<"), copy=False)
    return little.reshape(-1).view(np.uint8).data


def pickled(tensors: Mapping[str, np.ndarray]) -> bytes:
    """Return the pickle of an OrderedDict of tensors, the n-th of which has the n-th storage."""
    parts = [b"\x80\x02", _ORDERED_DICT, b"("]  # protocol 2
    for number, (name, array) in enumerate(tensors.items()):
        strides = [prod(array.shape[axis + 1 :]) for axis in range(array.ndim)]  # in numbers; torch, too, is in C order
        storage = b"ctorch\n%s\n" % STORAGES[array.dtype.name].encode("ascii")
        parts += [_text(name), _REBUILD_TENSOR, b"("]  # called with all up to the next "tR":
        parts += [b"(", _text("storage"), storage, _text(str(number)), _text("cpu"), _integer(array.size), b"tQ"]
        parts += [_integer(0), _integers(array.shape), _integers(strides)]  # where it begins in the storage
        parts += [b"\x89", _ORDERED_DICT, b"tR"]  # no gradient, no hooks
    return b"".join([*parts, b"u."])  # all set as the items of the OrderedDict


def _text(text: str) -> bytes:
    encoded = text.encode("utf-8", "surrogatepass")
    return b"X" + struct.pack("<I", len(encoded)) + encoded


def _integer(value: int) -> bytes:
    return b"J" + struct.pack("<i", value) if value < 2**31 else b"\x8a\x08" + struct.pack("<q", value)


def _integers(values: Any) -> bytes:
    return b"(" + b"".join(map(_integer, values)) + b"t"


def _add(archive: ZipFile, file: BinaryIO, name: str, content: bytes | memoryview) -> None:
    """Add an entry whose content begins at a multiple of `ALIGNMENT`; an extra field before it fills the gap."""
    entry = ZipInfo(f"{FOLDER}/{name}")  # of the year 1980
    entry.create_system = 0  # else it would depend on the machine
    large = len(content) > LARGE_ENTRY
    header = 30 + len(entry.filename) + 20 * large + 4  # the last four begin the extra field
    gap = -(file.tell() + header) % ALIGNMENT
    entry.extra = b"FB" + struct.pack("<H", gap) + b"Z" * gap  # torch's, too, are named so
    with archive.open(entry, "w", force_zip64=large) as writer:
        writer.write(content)
