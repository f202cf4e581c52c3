"""Pickle files: those of the data sets are read, and no other runs anything."""

import builtins
import os
import pickle
import struct

import numpy as np
import pytest

from npalexnet.data.pickled import read_pickle

PIXELS = np.random.default_rng(0).integers(0, 256, (2, 3072), np.uint8)


def as_python_2_wrote_it(pixels=PIXELS, labels=(3, 1)):
    """Return the bytes of a data batch as Python 2 and NumPy of 2009 wrote them, instruction by instruction."""
    content = pixels.tobytes()
    array = (
        b"cnumpy.core.multiarray\n_reconstruct\n" b"cnumpy\nndarray\n" b"K\x00\x85" b"U\x01b" b"\x87R"
        b"(K\x01" b"K" + bytes([len(pixels)]) + b"M" + struct.pack("<H", pixels.shape[1]) + b"\x86"
        b"cnumpy\ndtype\n" b"U\x02u1" b"K\x00K\x01\x87R" b"(K\x03U\x01|NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb"
        b"\x89" b"T" + struct.pack("<i", len(content)) + content + b"tb"
    )  # fmt: skip
    numbers = b"](" + b"".join(b"K" + bytes([label]) for label in labels) + b"e"
    return b"\x80\x02}(U\x04data" + array + b"U\x06labels" + numbers + b"u."


def test_what_python_2_wrote_is_read():
    found = read_pickle(as_python_2_wrote_it(), "f")
    np.testing.assert_array_equal(found["data"], PIXELS)
    assert found["data"].dtype == np.uint8
    assert found["labels"] == [3, 1]


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
@pytest.mark.parametrize("by_columns", [False, True])
def test_what_this_python_writes_is_read_in_every_protocol(protocol, by_columns):
    if protocol == 5:
        pytest.skip("NumPy writes arrays as buffers there, which no published file has")
    pixels = np.asfortranarray(PIXELS) if by_columns else PIXELS
    content = {
        "data": pixels,
        "labels": [3, 1],
        "names": ["caf\u00e9", b"\xff"],
        "none": None,
        "flags": (True, -5, 2**40),
    }
    found = read_pickle(pickle.dumps(content, protocol), "f")
    np.testing.assert_array_equal(found["data"], PIXELS)
    assert found["labels"] == [3, 1]
    assert found["names"][1] == b"\xff"
    assert found["flags"] == (True, -5, 2**40)


class Runs:
    """Unpickled the usual way, it calls a function."""

    def __init__(self, function, *arguments):
        self.called = function, arguments

    def __reduce__(self):
        return self.called


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
@pytest.mark.parametrize("function", [os.mkdir, eval, exec, getattr, np.load, builtins.__import__])
def test_nothing_that_a_file_asks_for_is_called(tmp_path, monkeypatch, protocol, function):
    monkeypatch.chdir(tmp_path)
    target = "touched" if function is os.mkdir else "__import__('os').mkdir('touched')"
    content = pickle.dumps({"data": Runs(function, target)}, protocol)
    with pytest.raises(ValueError, match=r"f is not a pickle file .*: it asks for \S+, which is not loaded"):
        read_pickle(content, "f")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", ""),
        (b"not a pickle", ""),
        (b"\x80\x04.", ""),
        (pickle.dumps([1]), "it holds a list, not a dict"),
        (pickle.dumps({1: 2}), "it has the key 1, which is no text"),
        (pickle.dumps({"data": np.zeros(3)}, 4), "an array that is not of bytes"),
        (pickle.dumps({"data": np.array([{}], object)}, 4), "an array that is not of bytes"),
        (b"\x80\x02}U\x01aPx\ns.", "it has the instruction PERSID"),
        (b"\x80\x02cnumpy.core.multiarray\n_reconstruct.__globals__\n.", "it asks for"),
        (as_python_2_wrote_it()[:3000], ""),
        (as_python_2_wrote_it().replace(b"K\x02M\x00\x0c", b"K\x02M\xff\xff"), "with the shape"),
        (b"\x80\x02X\xff\xff\xff\x7fabc.", ""),
        (b"\x80\x02" + b"(" * 5000 + b"t" * 4999 + b".", ""),
    ],
)
def test_other_and_damaged_files_are_refused_by_name(content, reason):
    with pytest.raises(ValueError, match=f"f is not a pickle file of plain data .* or is damaged: .*{reason}"):
        read_pickle(content, "f")


def test_flipped_bytes_give_an_error_that_names_the_file_or_a_dict():
    good = bytearray(as_python_2_wrote_it(PIXELS[:, :8]))
    rng, refused = np.random.default_rng(5), 0
    for _ in range(500):
        content = bytearray(good)
        content[rng.integers(len(good))] = rng.integers(256)
        try:
            assert isinstance(read_pickle(bytes(content), "f"), dict)
        except ValueError as error:
            refused += str(error).startswith("f is not a pickle")
    assert refused > 50
