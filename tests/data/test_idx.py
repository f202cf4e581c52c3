import gzip
import tracemalloc

import numpy as np
import pytest

from npalexnet.data.idx import read_idx, write_idx

TWO_BY_THREE = bytes([0, 0, 8, 2, 0, 0, 0, 2, 0, 0, 0, 3]) + bytes([1, 2, 3, 4, 5, 255])


@pytest.mark.parametrize(("name", "pack"), [("plain", bytes), ("packed.gz", gzip.compress)])
def test_reads_the_documented_format(tmp_path, name, pack):
    (tmp_path / name).write_bytes(pack(TWO_BY_THREE))
    np.testing.assert_array_equal(read_idx(tmp_path / name), np.array([[1, 2, 3], [4, 5, 255]], np.uint8))


def test_writes_the_documented_format_and_the_same_bytes_each_time(tmp_path):
    array = np.array([[1, 2, 3], [4, 5, 255]], np.uint8)
    write_idx(tmp_path / "a.gz", array)
    write_idx(tmp_path / "b.gz", array)
    assert gzip.decompress((tmp_path / "a.gz").read_bytes()) == TWO_BY_THREE
    assert (tmp_path / "a.gz").read_bytes() == (tmp_path / "b.gz").read_bytes()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "not an IDX file"),
        (b"PNG!", "not an IDX file of unsigned bytes: it begins with 50 4e 47 21"),
        (bytes([0, 0, 0x0D, 1]) + TWO_BY_THREE[4:], "not an IDX file of unsigned bytes"),
        (TWO_BY_THREE[:-1], r"should hold 6 numbers of shape \(2, 3\), got 5"),
        (TWO_BY_THREE + b"x", r"should hold 6 numbers of shape \(2, 3\), got 7"),
        (TWO_BY_THREE[:7], "cut short within its header"),
        (bytes([0, 0, 8, 100]) + bytes([0, 0, 0, 1]) * 100 + b"x", "at most 8 axes, got 100"),
        (
            bytes([0, 0, 8, 3]) + bytes(4) + bytes([255] * 8),
            r"has the shape \(0, 4294967295, 4294967295\); at most",
        ),
    ],
)
def test_refuses_damaged_or_foreign_files_by_name(tmp_path, content, message):
    (tmp_path / "file").write_bytes(content)
    with pytest.raises(ValueError, match=message) as caught:
        read_idx(tmp_path / "file")
    assert str(tmp_path / "file") in str(caught.value)


@pytest.mark.parametrize("damage", [lambda packed: packed[:-9], lambda packed: b"no gzip"])
def test_refuses_a_damaged_gzip_file(tmp_path, damage):
    (tmp_path / "file.gz").write_bytes(damage(gzip.compress(TWO_BY_THREE)))
    with pytest.raises(ValueError, match=r"file\.gz is not a complete gzip file"):
        read_idx(tmp_path / "file.gz")


def test_a_header_that_states_more_than_the_file_can_hold_is_refused_before_memory_is_taken(tmp_path):
    lie = bytes([0, 0, 8, 3]) + bytes([255] * 4 + [0, 0, 16, 0] * 2) + bytes(100)
    for name, content, message in (
        ("plain", lie, r"should hold \d+ numbers of shape \(4294967295, 4096, 4096\), got 100"),
        (
            "packed.gz",
            gzip.compress(lie),
            r"numbers of shape .*, more than a file of its size can hold",
        ),
    ):
        (tmp_path / name).write_bytes(content)
        with pytest.raises(ValueError, match=message):
            read_idx(tmp_path / name)


def test_no_more_is_unpacked_than_the_header_states(tmp_path):
    (tmp_path / "bomb.gz").write_bytes(gzip.compress(TWO_BY_THREE + bytes(30_000_000), compresslevel=1))
    tracemalloc.start()
    with pytest.raises(ValueError, match=r"should hold 6 numbers of shape \(2, 3\), got more"):
        read_idx(tmp_path / "bomb.gz")
    assert tracemalloc.get_traced_memory()[1] < 10_000_000
    tracemalloc.stop()


def test_numbers_that_would_fill_the_memory_are_refused(tmp_path, monkeypatch):
    (tmp_path / "file").write_bytes(TWO_BY_THREE)
    monkeypatch.setattr("npalexnet.data.idx.memory_allowed", lambda: 20)
    with pytest.raises(ValueError, match=r"has the shape \(2, 3\); at most 5 numbers are read"):
        read_idx(tmp_path / "file")


def test_trailing_rubbish_behind_a_gzip_file_is_refused(tmp_path):
    (tmp_path / "file.gz").write_bytes(gzip.compress(TWO_BY_THREE) + b"rubbish")
    with pytest.raises(ValueError, match=r"file\.gz is not a complete gzip file"):
        read_idx(tmp_path / "file.gz")
