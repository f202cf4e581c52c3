"""The wire format of Protocol Buffers, as far as files of weights need it: fields with numbers, one after the other.

A field begins with a varint: its number, and in the three lowest bits its type: 0, a varint; 1, eight bytes; 2, a
length and so many bytes; 5, four bytes. What the bytes are (text, packed numbers, a message of further fields) only
the format's description says. See https://protobuf.dev/programming-guides/encoding/.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

VARINT, EIGHT, BYTES, FOUR = 0, 1, 2, 5
MOST_FIELDS = 1_000_000  # of a message: unpacked numbers, one field each, would take minutes
Value = int | memoryview


class WireError(ValueError):
    """Bytes that are no message."""


def fields(message: memoryview) -> Iterator[tuple[int, int, Value]]:
    """Yield number, type and value of each field: an int for varints, else the bytes.

    Raises
    ------
    WireError
        If a field does not end within the message, or is of no such type.
    """
    place, size = 0, len(message)
    for _ in range(MOST_FIELDS):
        if place == size:
            return
        key, place = varint(message, place)
        number, kind = key >> 3, key & 7
        if number == 0:
            raise WireError("a field in it has the number 0")
        if kind == VARINT:
            value, place = varint(message, place)
            yield number, kind, value
            continue
        if kind == BYTES:
            length, place = varint(message, place)
        elif kind in (EIGHT, FOUR):
            length = 8 if kind == EIGHT else 4
        else:
            raise WireError(f"a field in it is of the type {kind}, which there is not")
        if length > size - place:
            raise WireError(f"a field in it has {length:,} bytes, of which {size - place:,} are there")
        yield number, kind, message[place : place + length]
        place += length
    raise WireError(f"a message in it has more than {MOST_FIELDS:,} fields")


def varint(message: memoryview, place: int) -> tuple[int, int]:
    """Return a number of seven bits a byte, the lowest first, and where it ends."""
    value = 0
    for shift in range(0, 70, 7):
        if place == len(message):
            raise WireError("it ends in the middle of a number")
        byte = message[place]
        place += 1
        value |= (byte & 127) << shift
        if byte < 128:
            return value & (2**64 - 1), place
    raise WireError("a number in it has more than ten bytes")


def signed(value: Value) -> int:
    """Return a varint as an int64."""
    if not isinstance(value, int):
        raise WireError("bytes in the place of a number")
    return value - 2**64 if value >= 2**63 else value


def data(value: Value) -> memoryview:
    """Return a field's bytes."""
    if isinstance(value, int):
        raise WireError("a number in the place of bytes")
    return value


def text(value: Value) -> str:
    """Return a field's text."""
    try:
        return bytes(data(value)).decode("utf-8")
    except UnicodeDecodeError:
        raise WireError("a text in it is no UTF-8") from None


def integers(kind: int, value: Value) -> list[int]:
    """Return one field's part of repeated int64: one, or packed ones."""
    if kind == VARINT:
        return [signed(value)]
    message, place = data(value), 0
    values: list[int] = []
    while place < len(message):
        if len(values) == MOST_FIELDS:
            raise WireError(f"a list in it has more than {MOST_FIELDS:,} numbers")
        number, place = varint(message, place)
        values.append(signed(number))
    return values


def numbers(parts: list[memoryview], dtype: str) -> np.ndarray:
    """Return repeated numbers of a fixed size, in one array that is aligned: each part one, or packed ones."""
    size = np.dtype(dtype).itemsize
    if any(len(part) % size for part in parts):
        raise WireError(f"a list of numbers of {size} bytes in it ends within one")
    arrays = [np.frombuffer(part, dtype) for part in parts]
    return np.concatenate(arrays) if arrays else np.empty(0, dtype)
