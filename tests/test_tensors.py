"""Safetensors files, whose headers may lie: nothing is believed before it was compared with the file's size."""

import json

import numpy as np
import pytest
from safetensors.numpy import save_file

from npalexnet.tensors import DTYPES, read_tensors, write_tensors

A = np.arange(6, dtype=np.float32).reshape(2, 3)


def crafted(path, header, data=b"\0" * 24):
    content = header if isinstance(header, bytes) else json.dumps(header).encode()
    path.write_bytes(len(content).to_bytes(8, "little") + content + data)


def tensor(dtype="F32", shape=(2, 3), offsets=(0, 24)):
    return {"dtype": dtype, "shape": list(shape), "data_offsets": list(offsets)}


@pytest.mark.parametrize("dtype", [*"fd", "e", "b", "h", "i", "q", "B", "H", "I", "Q", "?"])
def test_files_of_the_library_are_read(tmp_path, dtype):
    arrays = {"a": A.astype(dtype), "none": np.zeros((0, 3), dtype), "one": np.array(1, dtype)}
    save_file(arrays, tmp_path / "x", metadata={"key": "caf\u00e9"})
    tensors, texts = read_tensors(tmp_path / "x")
    assert texts == {"key": "caf\u00e9"}
    for name, array in arrays.items():
        np.testing.assert_array_equal(tensors[name], array, strict=True)


def test_what_is_written_is_read_whatever_its_order_in_memory(tmp_path):
    write_tensors(tmp_path / "x", {"a": A.T, "b": A[:, ::2]}, {})
    tensors, _ = read_tensors(tmp_path / "x")
    np.testing.assert_array_equal(tensors["a"], A.T)
    np.testing.assert_array_equal(tensors["b"], A[:, ::2])


def test_bfloat16_is_read_as_float32(tmp_path):
    crafted(tmp_path / "x", {"a": tensor("BF16", (2,), (0, 4))}, bytes([0x80, 0x3F, 0x20, 0xC1]))
    np.testing.assert_array_equal(read_tensors(tmp_path / "x")[0]["a"], np.array([1, -10], np.float32), strict=True)


LIES = {
    "a longer shape": ({"a": tensor(shape=(2, 4))}, "the shape and the size"),
    "a huge shape": ({"a": tensor(shape=(2**40, 2**40))}, "the shape and the size"),
    "a huge shape of nothing": ({"a": tensor(shape=(0, 2**62, 2**62), offsets=(0, 0))}, "damaged"),
    "huge offsets": ({"a": tensor(shape=(2**40,), offsets=(0, 2**42))}, "end at byte"),
    "bytes read twice": ({"a": tensor(), "b": tensor()}, "does not begin where the one before it ends"),
    "a gap": ({"a": tensor(shape=(2, 2), offsets=(8, 24))}, "does not begin where"),
    "bytes left over": ({"a": tensor(shape=(2, 2), offsets=(0, 16))}, "its tensors end at byte"),
    "a negative shape": ({"a": tensor(shape=(-2, -3))}, "a whole number of at least 0, got -2"),
    "an unknown type": ({"a": tensor("F8_E4M3", (24,))}, "is of the type .*; save it as float32"),
    "no type": ({"a": tensor(None)}, "text of at most"),
    "no fields": ({"a": {}}, "lacks dtype"),
    "another field": ({"a": {**tensor(), "extra": 1}}, "unknown field"),
    "a list": ([1], "must be an object"),
    "a number as text": ({"__metadata__": {"x": 1}, "a": tensor()}, "must be text"),
    "twice": (b'{"a": {"dtype": "F32", "shape": [6], "data_offsets": [0, 24]}, "a": 1}', "twice"),
    "deep": (b"[" * 100_000, "nested too deeply"),
}


@pytest.mark.parametrize(("header", "message"), LIES.values(), ids=LIES)
def test_a_header_that_lies_is_refused(tmp_path, header, message):
    crafted(tmp_path / "x", header)
    with pytest.raises(ValueError, match=message) as caught:
        read_tensors(tmp_path / "x")
    assert str(tmp_path / "x") in str(caught.value)


def test_a_header_longer_than_its_file_or_too_long_is_refused(tmp_path):
    for length in (25, 2**63):
        (tmp_path / "x").write_bytes(length.to_bytes(8, "little") + b"{}")
        with pytest.raises(ValueError, match="its header does not end within it"):
            read_tensors(tmp_path / "x")


def test_each_dtype_has_its_size():
    sizes = {
        "F64": 8,
        "F32": 4,
        "F16": 2,
        "BF16": 2,
        "BOOL": 1,
        **{f"{s}{8 * n}": n for s in "IU" for n in (1, 2, 4, 8)},
    }
    assert {name: np.dtype(kind).itemsize for name, kind in DTYPES.items()} == sizes
