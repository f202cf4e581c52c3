"""NumPy's archives, made by NumPy; and hostile ones."""

import io
import zipfile

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from npalexnet.formats.reader import read_tensor_file
from tests.formats.files import A, assert_tensors, refused, survives
from tests.support import PROPERTY


def archived(header, data=b"\0" * 24, compression=zipfile.ZIP_STORED, name="a.npy"):
    """An archive of one array with a header of one's own."""
    text = header.encode("latin1").ljust(117) + b"\n"
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", compression) as archive:
        archive.writestr(name, b"\x93NUMPY\1\0" + len(text).to_bytes(2, "little") + text + data)
    return file.getvalue()


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
@pytest.mark.parametrize("dtype", [*"fd", "e", "b", "h", "i", "q", "B", "H", "I", "Q", "?", ">f4", ">i2"])
def test_arrays_are_numpys_to_the_bit(tmp_path, save, dtype):
    x = (A * 100).astype(dtype)
    arrays = {"a.weight": x, "t": np.asfortranarray(x), "none": x[:0], "one": x[0, 1], "c/d": x[None]}
    with open(tmp_path / "w.bin", "wb") as file:
        save(file, **arrays)
    native = {name: np.asarray(array).astype(x.dtype.newbyteorder("=")) for name, array in arrays.items()}
    assert_tensors(read_tensor_file(tmp_path / "w.bin"), native)


def test_texts_are_kept_apart_from_arrays(tmp_path):
    np.savez(tmp_path / "w.npz", a=A, note=np.array("caf\u00e9"))
    with zipfile.ZipFile(tmp_path / "w.npz", "a") as archive:
        archive.writestr("npalexnet.json", '{"classes": ["a"]}')
    file = read_tensor_file(tmp_path / "w.npz")
    assert_tensors(file, {"a": A})
    assert file.texts == {"note": "caf\u00e9", "npalexnet": '{"classes": ["a"]}'}


class Trap:
    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return open, (str(self.path), "w")


def test_objects_are_refused_and_not_unpickled(tmp_path):
    file = io.BytesIO()
    np.savez(file, a=A, b=np.array([Trap(tmp_path / "trap")], dtype=object), allow_pickle=True)
    refused(tmp_path / "w", file.getvalue(), r'"b" holds Python objects, which are not loaded: they can be code')
    assert not (tmp_path / "trap").exists()


HEADER = "{{'descr': {descr}, 'fortran_order': False, 'shape': {shape}, }}"
LIES = {
    "2 GB": {"shape": "(536870912,)"},
    "a huge shape": {"shape": f"({2**40}, {2**40})"},
    "a huger shape": {"shape": f"({2**80},)"},
    "a negative shape": {"shape": "(-2, -3)"},
    "all the rest": {"shape": "(-1, 3)"},
    "no elements, and huge": {"shape": f"(0, {2**62}, {2**62})"},
    "one number less": {"shape": "(5,)"},
    "many dimensions": {"shape": f"({'1,' * 40} 6)"},
    "another type": {"descr": "'<f8'"},
    "records": {"descr": "[('x', '<f4')]"},
    "dates": {"descr": "'<M8[s]'", "shape": "(3,)"},
    "code": {"shape": "(__import__('os').system('x'),)"},
    "deep": {"shape": "(" * 45 + ")" * 45},
}


@pytest.mark.parametrize("compression", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
@pytest.mark.parametrize("lie", LIES.values(), ids=LIES)
def test_a_header_that_lies_is_refused(tmp_path, lie, compression):
    header = HEADER.format(**{"descr": "'<f4'", "shape": "(2, 3)", **lie})
    refused(tmp_path / "w", archived(header, compression=compression), r"w (is damaged or cut short|can't be read): ")


def test_the_header_that_is_true_is_read(tmp_path):
    (tmp_path / "w").write_bytes(archived(HEADER.format(descr="'<f4'", shape="(2, 3)"), A.tobytes()))
    assert_tensors(read_tensor_file(tmp_path / "w"), {"a": A})


def test_a_record_that_claims_more_than_deflate_could_hold_is_refused(tmp_path):
    content = bytearray(archived(HEADER.format(descr="'<f4'", shape="(536870912,)"), compression=zipfile.ZIP_DEFLATED))
    place = content.rindex(b"PK\1\2")
    content[place + 24 : place + 28] = (2**31 + 128).to_bytes(4, "little")
    refused(tmp_path / "w", bytes(content), r"says it has 2,147,483,776 bytes, which it can't")


@PROPERTY
@given(data=st.data())
def test_files_cut_short_or_with_flipped_bits_are_refused_or_read_without_taking_memory(tmp_path, data):
    file = io.BytesIO()
    np.savez_compressed(file, **{"a.weight": A, "a.bias": A[0]})
    content = bytearray(file.getvalue())
    if data.draw(st.booleans()):
        assert not survives(tmp_path / "w", bytes(content[: data.draw(st.integers(0, len(content) - 1))]))
        return
    for _ in range(data.draw(st.integers(1, 3))):
        content[data.draw(st.integers(0, len(content) - 1))] ^= 1 << data.draw(st.integers(0, 7))
    survives(tmp_path / "w", bytes(content))
