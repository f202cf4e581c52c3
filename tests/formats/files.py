"""Files of weights for tests, and what a reader makes of altered ones."""

import struct
import tracemalloc

import numpy as np
import pytest

from npalexnet.formats.reader import read_tensor_file

A = np.arange(6, dtype=np.float32).reshape(2, 3)


def assert_tensors(file, expected):
    """Compare names, dtypes, shapes and every bit."""
    assert list(file.tensors) == list(expected)
    for name, array in expected.items():
        np.testing.assert_array_equal(file.tensors[name], array, strict=True)


def refused(path, content, message):
    """Hold a reader to one line that names the file and says what is wrong, without taking memory."""
    path.write_bytes(content)
    tracemalloc.start()
    try:
        with pytest.raises(ValueError, match=message) as caught:
            read_tensor_file(path)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 5_000_000 + 100 * len(content)
    assert str(caught.value).startswith(str(path))
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 1000


def survives(path, content):
    """Whether a file is read; if not, it is refused as `refused` demands."""
    path.write_bytes(content)
    tracemalloc.start()
    message = None
    try:
        read_tensor_file(path)
    except ValueError as error:
        message = str(error)
    finally:
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
    assert peak < 5_000_000 + 100 * len(content)
    assert message is None or (message.startswith(str(path)) and "\n" not in message)
    return message is None


# --- Protocol Buffers, put together by hand ---------------------------------------------------------------------------


def varint(value):
    parts = []
    while value > 127:
        parts.append(value & 127 | 128)
        value >>= 7
    return bytes([*parts, value])


def number(field, value):
    return varint(field << 3) + varint(value)


def message(field, content):
    return varint(field << 3 | 2) + varint(len(content)) + content


def floats(values):
    return struct.pack(f"<{len(values)}f", *values)
