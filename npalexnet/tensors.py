"""Files of tensors, as safetensors: written whole or not at all, and checked before anything is taken from them.

They are read here and not by the library, which has no bfloat16 for NumPy nor smaller floats, and calls anything else
that people have for weights a safetensors file whose header is too large.
"""

from __future__ import annotations

import math
import os
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np

from npalexnet.dtypes import BITS, decode
from npalexnet.fields import FieldError, Int, List, Record, Text, found, parse_json, table
from npalexnet.files import atomic_write, open_regular
from npalexnet.signatures import HEAD, what_it_is

MOST_HEADER = 20_000_000  # bytes; the format allows 100 million, of which Python would make gigabytes
# All that safetensors 0.8 has but F6_E2M3 and F6_E3M2: how their bits are packed is said nowhere, and no program writes
# them. F4 is torch's float4_e2m1fn_x2, the first of two numbers in the lower bits; the shape counts single ones.
DTYPES = {
    "F64": "float64", "F32": "float32", "F16": "float16", "BF16": "bfloat16", "F8_E4M3": "float8_e4m3fn",
    "F8_E5M2": "float8_e5m2", "F8_E4M3FNUZ": "float8_e4m3fnuz", "F8_E5M2FNUZ": "float8_e5m2fnuz",
    "F8_E8M0": "float8_e8m0fnu", "F4": "float4_e2m1fn", "I64": "int64", "I32": "int32", "I16": "int16", "I8": "int8",
    "U64": "uint64", "U32": "uint32", "U16": "uint16", "U8": "uint8", "BOOL": "bool", "C64": "complex64",
}  # fmt: skip
_TEXTS = "__metadata__"
_TENSOR = Record({"dtype": Text(32), "shape": List(Int(), 0, 32), "data_offsets": List(Int(), 2, 2)})
_HEADER = Record({}, optional={_TEXTS: table(Text(MOST_HEADER))}, others=_TENSOR)


class Tensor(NamedTuple):
    """What a header says of a tensor."""

    dtype: str  # as safetensors calls it
    shape: tuple[int, ...]
    start: int  # in the file, in bytes
    stop: int


@dataclass(frozen=True)
class Header:
    """What the beginning of a safetensors file says of the rest: tensors by their names, and texts."""

    tensors: dict[str, Tensor]
    texts: dict[str, str]


def write_tensors(
    path: str | Path, tensors: Mapping[str, np.ndarray], texts: Mapping[str, str], *, previous: Path | None = None
) -> None:
    """Write a safetensors file, with texts as its metadata, whole or not at all; see `atomic_write` for `previous`."""
    from safetensors import SafetensorError
    from safetensors.numpy import save_file

    arrays = {name: np.ascontiguousarray(array).reshape(array.shape) for name, array in tensors.items()}
    with atomic_write(path, previous=previous) as temporary:
        try:
            save_file(arrays, temporary, metadata=dict(texts))
        except SafetensorError as error:  # a full disk, among others
            raise OSError(f"can't write {path}: {error}") from None


def read_tensors(path: str | Path) -> tuple[dict[str, np.ndarray], dict[str, str]]:
    """Return the tensors of a safetensors file, what NumPy doesn't have as float32, and the texts in its metadata.

    Raises
    ------
    OSError
        If it can't be read.
    ValueError
        If it is damaged, or another kind of file, which the message names.
    """
    header = read_header(path)
    with open_regular(path) as file:
        tensors = {}
        for name, tensor in header.tensors.items():
            content = np.empty(tensor.stop - tensor.start, np.uint8)
            file.seek(tensor.start)
            if file.readinto(content) < content.nbytes:  # type: ignore[attr-defined]
                raise _damaged(path, f"the tensor {found(name)} ends too early")
            try:
                tensors[name] = decode(content, DTYPES[tensor.dtype]).reshape(tensor.shape)
            except ValueError as error:  # of no elements, but with lengths beyond NumPy's
                raise _damaged(path, f"the tensor {found(name)}: {error}") from None
    return tensors, header.texts


def read_header(path: str | Path) -> Header:
    """Return what a safetensors file says of its content, compared with the file's size; see `read_tensors`."""
    with open_regular(path) as file:
        size = os.fstat(file.fileno()).st_size
        head = file.read(HEAD)
        length = int.from_bytes(head[:8], "little")
        begin = 8 + length  # of the data
        if len(head) < 8 or length > MOST_HEADER or begin > size:
            raise _no_safetensors(path, head)
        file.seek(8)
        content = file.read(length)
    try:
        values = _HEADER.check(parse_json(content))
    except FieldError as error:
        raise _damaged(path, f"of its header, {error}") from None
    texts = values.pop(_TEXTS, {})
    tensors = {}
    for name, value in values.items():
        shape, (start, stop) = tuple(value["shape"]), value["data_offsets"]
        if value["dtype"] not in DTYPES:
            raise ValueError(
                f"{path} can't be read: the tensor {found(name)} is of the type {found(value['dtype'])}; save it as "
                "float32, float16 or bfloat16"
            )
        if 8 * (stop - start) != math.prod(shape) * BITS[DTYPES[value["dtype"]]]:
            raise _damaged(path, f"the shape and the size of the tensor {found(name)} don't fit together")
        tensors[name] = Tensor(value["dtype"], shape, begin + start, begin + stop)
    place = begin
    for name, tensor in sorted(tensors.items(), key=lambda item: item[1][2:]):
        if tensor.start != place:  # no bytes are read twice, so that a small file can't fill the memory
            raise _damaged(path, f"the tensor {found(name)} does not begin where the one before it ends")
        place = tensor.stop
    if place != size:
        raise _damaged(path, f"its tensors end at byte {place:,}, the file at {size:,}")
    return Header(tensors, texts)


def checksum(array: np.ndarray) -> int:
    """Return the CRC-32 of an array's bytes."""
    return zlib.crc32(np.ascontiguousarray(array).reshape(-1).view(np.uint8).data)


def _damaged(path: str | Path, why: str) -> ValueError:
    return ValueError(f"{path} is damaged or cut short, or no safetensors file: {why}")


def _no_safetensors(path: str | Path, head: bytes) -> ValueError:
    """Return the error for a file whose beginning is no header of safetensors."""
    if not head:
        return ValueError(f"{path} is damaged or cut short: it is empty")
    if what := what_it_is(head):
        advised = ":" in what  # what to do instead
        return ValueError(f"{path} is {what}" + ("" if advised else ", where a safetensors file is needed"))
    return _damaged(path, "its header does not end within it")
