"""The types of numbers in files of weights, under torch's names, and how their bytes become arrays.

NumPy has neither bfloat16 nor floats of 8 bits and fewer: they become float32, which holds every one of them.
Integers of 4 and 2 bits become those of 8. Types of fewer than 8 bits are packed, the first number in the lowest bits.

References
----------
Micikevicius et al., "FP8 Formats for Deep Learning" (arXiv:2209.05433): float8_e4m3fn, float8_e5m2.
Noune et al., "8-bit Numerical Formats for Deep Neural Networks" (arXiv:2206.02915): the two that end in fnuz.
Open Compute Project, "OCP Microscaling Formats (MX) Specification" 1.0: float8_e8m0fnu, float6, float4.
"""

from __future__ import annotations

from functools import cache
from typing import NamedTuple

import numpy as np


class SmallFloat(NamedTuple):
    """A float of a sign, an exponent and a mantissa, (-1)^s * 2^(e - bias) * (1 + m), or without the 1 where e is 0."""

    exponent: int  # bits
    mantissa: int  # bits
    bias: int
    infinity: int | None = None  # its code without the sign; larger ones are NaN
    nan: tuple[int, ...] = ()  # codes


SMALL_FLOATS = {
    "float8_e5m2": SmallFloat(5, 2, 15, infinity=0x7C),
    "float8_e4m3fn": SmallFloat(4, 3, 7, nan=(0x7F, 0xFF)),
    "float8_e5m2fnuz": SmallFloat(5, 2, 16, nan=(0x80,)),
    "float8_e4m3fnuz": SmallFloat(4, 3, 8, nan=(0x80,)),
    "float6_e3m2fn": SmallFloat(3, 2, 3),
    "float6_e2m3fn": SmallFloat(2, 3, 1),
    "float4_e2m1fn": SmallFloat(2, 1, 1),
}
_NUMPY = {  # what NumPy has, and its codes without the byte order
    "float64": "f8", "float32": "f4", "float16": "f2", "int64": "i8", "int32": "i4", "int16": "i2", "int8": "i1",
    "uint64": "u8", "uint32": "u4", "uint16": "u2", "uint8": "u1", "bool": "?", "complex64": "c8", "complex128": "c16",
}  # fmt: skip
BITS = {
    **{name: 8 * np.dtype(code).itemsize for name, code in _NUMPY.items()},
    **{name: 1 + kind.exponent + kind.mantissa for name, kind in SMALL_FLOATS.items()},
    "bfloat16": 16, "float8_e8m0fnu": 8, "int4": 4, "uint4": 4, "int2": 2, "uint2": 2,
}  # fmt: skip


def decode(content: np.ndarray, name: str, order: str = "<") -> np.ndarray:
    """Return bytes as numbers.

    Parameters
    ----------
    content : ndarray of uint8, shape (bytes,)
    name : str
        Their type: a key of `BITS`.
    order : {"<", ">"}
        The byte order of numbers of several bytes.

    Returns
    -------
    ndarray, 1-D
        In the machine's byte order and aligned. Where they are not packed and NumPy has the type, a view of `content`
        if that is possible.

    Raises
    ------
    ValueError
        If the bytes end within a number that takes several.
    """
    bits = BITS[name]
    if bits % 8 == 0 and content.nbytes % (bits // 8):
        raise ValueError(f"{content.nbytes:,} bytes are no whole number of {name}")
    if name == "bfloat16":  # the upper half of a float32
        return (native(content.view(f"{order}u2")).astype(np.uint32) << 16).view(np.float32)
    if name in _NUMPY:
        return native(content.view(order + _NUMPY[name]))
    return from_codes(content if bits == 8 else _unpacked(content, bits), name)


def from_codes(codes: np.ndarray, name: str) -> np.ndarray:
    """Return numbers of at most 8 bits, each given as a uint8 of its own, whose upper bits are not looked at."""
    codes = codes & np.uint8(2 ** BITS[name] - 1)
    if name.startswith("uint"):
        return codes
    if name.startswith("int"):
        sign = np.uint8(1 << BITS[name] - 1)  # of two's complement
        return (codes ^ sign).view(np.int8) - np.int8(sign)
    return _values(name)[codes]


def native(array: np.ndarray) -> np.ndarray:
    """Return an array in the machine's byte order, by which it is aligned, too; itself if it is so already."""
    if array.dtype.isnative and array.flags.aligned:
        return array
    return array.astype(array.dtype.newbyteorder("="))


def _unpacked(content: np.ndarray, bits: int) -> np.ndarray:
    """Return the codes in packed bytes, as many as are whole."""
    row = np.unpackbits(content, bitorder="little")
    count = row.size // bits
    return np.packbits(row[: count * bits].reshape(count, bits), axis=1, bitorder="little").reshape(count)


@cache
def _values(name: str) -> np.ndarray:
    """Return what each code of a small float is, as float32."""
    code = np.arange(2 ** BITS[name])
    if name == "float8_e8m0fnu":  # a scale: an exponent alone
        values = np.ldexp(1.0, code - 127)
        values[255] = np.nan
        return values.astype(np.float32)
    _, mantissa_bits, bias, infinity, nan = kind = SMALL_FLOATS[name]
    unsigned = code & 2 ** (kind.exponent + mantissa_bits) - 1
    exponent, mantissa = unsigned >> mantissa_bits, unsigned & 2**mantissa_bits - 1
    whole = mantissa + (exponent > 0) * 2**mantissa_bits
    values = np.ldexp(whole.astype(np.float64), np.maximum(exponent, 1) - bias - mantissa_bits)
    if infinity is not None:
        values[unsigned == infinity] = np.inf
        values[unsigned > infinity] = np.nan
    values[list(nan)] = np.nan
    return np.copysign(values, np.where(code == unsigned, 1.0, -1.0)).astype(np.float32)
