"""Safetensors files, whose headers may lie: nothing is believed before it was compared with the file's size."""

import json

import ml_dtypes
import numpy as np
import pytest
import safetensors.torch
import torch
from safetensors.numpy import save_file

from npalexnet.tensors import read_tensors, write_tensors

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


@pytest.mark.parametrize("dtype", ["float8_e4m3fn", "float8_e5m2"])  # the others only newer versions write
def test_float8_that_the_library_wrote_is_read_as_float32(tmp_path, dtype):
    tensor = torch.arange(256, dtype=torch.uint8).view(getattr(torch, dtype)).reshape(2, 128)
    safetensors.torch.save_file({"a": tensor, "none": tensor[:0], "one": tensor[0, 9].clone()}, tmp_path / "x")
    tensors, _ = read_tensors(tmp_path / "x")
    np.testing.assert_array_equal(tensors["a"], tensor.float().numpy(), strict=True)
    np.testing.assert_array_equal(tensors["one"], tensor[0, 9].float().numpy(), strict=True)
    assert tensors["none"].shape == (0, 128)


@pytest.mark.parametrize(
    ("name", "dtype"),
    [
        ("F8_E4M3", "float8_e4m3fn"), ("F8_E5M2", "float8_e5m2"), ("F8_E4M3FNUZ", "float8_e4m3fnuz"),
        ("F8_E5M2FNUZ", "float8_e5m2fnuz"), ("F8_E8M0", "float8_e8m0fnu"),
    ],
)  # fmt: skip
def test_float8_of_all_kinds_is_read_as_float32(tmp_path, name, dtype):
    crafted(tmp_path / "x", {"a": tensor(name, (2, 128), (0, 256))}, bytes(range(256)))
    expected = torch.arange(256, dtype=torch.uint8).view(getattr(torch, dtype)).float().reshape(2, 128)
    np.testing.assert_array_equal(read_tensors(tmp_path / "x")[0]["a"], expected.numpy(), strict=True)


def test_of_two_numbers_of_4_bits_the_first_is_in_the_lower_half_of_a_byte(tmp_path):
    codes = np.arange(16, dtype=np.uint8).reshape(2, 8)[:, ::-1]
    packed = (codes[:, ::2] | codes[:, 1::2] << 4).tobytes()
    crafted(tmp_path / "x", {"a": tensor("F4", (2, 8), (0, 8))}, packed)
    expected = np.ascontiguousarray(codes).view(ml_dtypes.float4_e2m1fn).astype(np.float32)
    np.testing.assert_array_equal(read_tensors(tmp_path / "x")[0]["a"], expected, strict=True)


def test_complex_numbers_are_read(tmp_path):
    x = np.array([1 + 2j, -3j], "<c8")
    crafted(tmp_path / "x", {"a": tensor("C64", (2,), (0, 16))}, x.tobytes())
    np.testing.assert_array_equal(read_tensors(tmp_path / "x")[0]["a"], x.astype(np.complex64), strict=True)


LIES = {
    "a longer shape": ({"a": tensor(shape=(2, 4))}, "the shape and the size"),
    "a huge shape": ({"a": tensor(shape=(2**40, 2**40))}, "the shape and the size"),
    "a huge shape of nothing": ({"a": tensor(shape=(0, 2**62, 2**62), offsets=(0, 0))}, "damaged"),
    "huge offsets": ({"a": tensor(shape=(2**40,), offsets=(0, 2**42))}, "end at byte"),
    "bytes read twice": ({"a": tensor(), "b": tensor()}, "does not begin where the one before it ends"),
    "a gap": ({"a": tensor(shape=(2, 2), offsets=(8, 24))}, "does not begin where"),
    "bytes left over": ({"a": tensor(shape=(2, 2), offsets=(0, 16))}, "its tensors end at byte"),
    "a negative shape": ({"a": tensor(shape=(-2, -3))}, "a whole number of at least 0, got -2"),
    "an unknown type": ({"a": tensor("F8_E3M4", (24,))}, 'the tensor "a" is of the type "F8_E3M4"; save it as float32'),
    "a type whose bits are in no known order": ({"a": tensor("F6_E2M3", (32,))}, 'type "F6_E2M3"; save it as float32'),
    "half a byte": ({"a": tensor("F4", (47,))}, "the shape and the size"),
    "another byte of 4 bits": ({"a": tensor("F4", (46,))}, "the shape and the size"),
    "too few of 8 bits": ({"a": tensor("F8_E5M2", (25,))}, "the shape and the size"),
    "a huge shape of 4 bits": ({"a": tensor("F4", (2**40, 2**40))}, "the shape and the size"),
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


@pytest.mark.parametrize(
    ("dtype", "bits"),
    {
        "F64": 64, "F32": 32, "F16": 16, "BF16": 16, "F8_E4M3": 8, "F8_E5M2": 8, "F8_E4M3FNUZ": 8, "F8_E5M2FNUZ": 8,
        "F8_E8M0": 8, "F4": 4, "I64": 64, "I32": 32, "I16": 16, "I8": 8, "U64": 64, "U32": 32, "U16": 16, "U8": 8,
        "BOOL": 8, "C64": 64,
    }.items(),
)  # fmt: skip
def test_each_dtype_has_its_size(tmp_path, dtype, bits):
    crafted(tmp_path / "x", {"a": tensor(dtype, (24 * 8 // bits,))})
    assert read_tensors(tmp_path / "x")[0]["a"].shape == (24 * 8 // bits,)
