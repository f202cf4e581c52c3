"""What the bytes of numbers that NumPy does not have mean: every code, held to ml_dtypes and to torch."""

import ml_dtypes
import numpy as np
import pytest
import torch

from npalexnet.dtypes import BITS, decode, from_codes

SMALL = [name for name, bits in BITS.items() if bits <= 8 and hasattr(ml_dtypes, name)]
FLOAT8 = [name for name in BITS if name.startswith("float8")]


def assert_same(numbers, expected):
    """Compare values, signs of zeros among them; a NaN is a NaN."""
    np.testing.assert_array_equal(numbers, expected, strict=True)
    signs = [np.signbit(array)[~np.isnan(expected)] for array in (numbers, expected)]
    np.testing.assert_array_equal(*signs)


def test_all_types_of_few_bits_are_compared():
    assert len(SMALL) == 12
    assert len(FLOAT8) == 5


@pytest.mark.parametrize("name", SMALL)
def test_each_code_is_the_number_that_ml_dtypes_has(name):
    codes = np.arange(2 ** BITS[name], dtype=np.uint8)
    wide = {"f": np.float32, "i": np.int8, "u": np.uint8}[name[0]]
    expected = codes.view(getattr(ml_dtypes, name)).astype(wide)
    assert_same(from_codes(codes, name), expected)
    if BITS[name] < 8:
        assert_same(from_codes(codes | np.uint8(0x80), name), expected)  # whatever is in the bits above


@pytest.mark.parametrize("name", FLOAT8)
def test_each_byte_is_the_number_that_torch_has(name):
    content = torch.arange(256, dtype=torch.uint8)
    assert_same(decode(content.numpy(), name), content.view(getattr(torch, name)).float().numpy())


def test_float8_e5m2_is_the_upper_byte_of_a_float16():
    content = np.arange(256, dtype=np.uint8)
    halves = (content.astype(np.uint16) << 8).view(np.float16)
    assert_same(decode(content, "float8_e5m2"), halves.astype(np.float32))


def test_the_ends_of_each_float_are_those_of_its_specification():
    by_hand = {
        "float8_e5m2": {0x7B: 57344, 0x7C: np.inf, 0xFC: -np.inf, 0x01: 2.0**-16, 0x04: 2.0**-14, 0x7D: np.nan},
        "float8_e4m3fn": {0x7E: 448, 0x7F: np.nan, 0xFF: np.nan, 0x01: 2.0**-9, 0x08: 2.0**-6, 0xF8: -256},
        "float8_e5m2fnuz": {0x7F: 57344, 0x80: np.nan, 0x01: 2.0**-17},
        "float8_e4m3fnuz": {0x7F: 240, 0x80: np.nan, 0x01: 2.0**-10},
        "float8_e8m0fnu": {0: 2.0**-127, 127: 1, 254: 2.0**127, 255: np.nan},
        "float6_e3m2fn": {0x1F: 28, 0x01: 0.0625, 0x3F: -28},
        "float6_e2m3fn": {0x1F: 7.5, 0x01: 0.125},
        "float4_e2m1fn": dict(enumerate([0, 0.5, 1, 1.5, 2, 3, 4, 6, -0.0, -0.5, -1, -1.5, -2, -3, -4, -6])),
    }
    for name, numbers in by_hand.items():
        codes = np.array(list(numbers), np.uint8)
        assert_same(from_codes(codes, name), np.array(list(numbers.values()), np.float32))


@pytest.mark.parametrize(("bits", "name"), [(2, "uint2"), (4, "uint4"), (6, "float6_e3m2fn")])
def test_packed_numbers_begin_in_the_lowest_bits(bits, name):
    codes = np.random.default_rng(bits).integers(0, 2**bits, 24)
    whole = sum(int(code) << bits * place for place, code in enumerate(codes))
    content = np.frombuffer(whole.to_bytes(24 * bits // 8, "little"), np.uint8)
    np.testing.assert_array_equal(decode(content, name), from_codes(codes.astype(np.uint8), name), strict=True)


@pytest.mark.parametrize("order", "<>")
@pytest.mark.parametrize("name", ["float64", "float16", "int32", "uint16", "complex64"])
def test_both_byte_orders_become_the_machines(name, order):
    numbers = np.array([1, 2, 250, 4], name)
    content = np.frombuffer(b"x" + numbers.astype(numbers.dtype.newbyteorder(order)).tobytes(), np.uint8)[1:]
    decoded = decode(content, name, order)  # which do not begin at a multiple of their size
    np.testing.assert_array_equal(decoded, numbers, strict=True)
    assert decoded.dtype.isnative
    assert decoded.flags.aligned


@pytest.mark.parametrize("order", ["little", "big"])
def test_bfloat16_is_the_upper_half_of_a_float32(order):
    numbers = np.array([1, -10, np.inf, 2.0**-133], np.float32)
    content = b"".join((int(bits) >> 16).to_bytes(2, order) for bits in numbers.view(np.uint32))
    assert_same(decode(np.frombuffer(content, np.uint8), "bfloat16", {"little": "<", "big": ">"}[order]), numbers)


def test_bytes_that_end_within_a_number_are_refused():
    with pytest.raises(ValueError, match="7 bytes are no whole number of float32"):
        decode(np.zeros(7, np.uint8), "float32")
