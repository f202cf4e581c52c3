import struct
import zlib

import numpy as np
import pytest

from npalexnet.data import open_picture
from npalexnet.data.inspection import inspect, inspect_file
from tests.data.pictures import BROKEN, noise, write_broken, write_good


def test_no_good_picture_is_called_broken(tmp_path):
    assert write_good(tmp_path / "good") == 16
    paths = sorted(str(path) for path in (tmp_path / "good").iterdir() if path.name != ".hidden")
    assert [finding.fault for finding in inspect(paths)] == [None] * 16


@pytest.mark.parametrize("name", BROKEN)
def test_every_broken_file_is_found_and_named(tmp_path, name):
    write_broken(tmp_path)
    fault = inspect_file(str(tmp_path / name)).fault
    assert fault is not None
    assert str(tmp_path / name) in fault


def test_a_file_that_vanished_is_a_fault(tmp_path):
    assert "gone.jpg" in inspect_file(str(tmp_path / "gone.jpg")).fault


@pytest.mark.parametrize("name", ["RGB.jpg", "CMYK.jpg", "progressive.jpg", "lossy.webp", "lossless.webp", "RGB.png"])
def test_what_passes_with_a_damage_somewhere_can_be_opened(tmp_path, name):
    write_good(tmp_path / "good")
    noise().save(tmp_path / "good" / "progressive.jpg", progressive=True)
    content, path, rng = (tmp_path / "good" / name).read_bytes(), tmp_path / name, np.random.default_rng(0)
    refused = 0
    for _ in range(60):
        damaged, place = bytearray(content), rng.integers(2, len(content) - 32)
        damaged[place : place + 32] = rng.bytes(32)
        path.write_bytes(damaged)
        if inspect_file(str(path)).fault is None:
            open_picture(path)  # as training would, which ends if this raises
        else:
            refused += 1
    assert refused  # else the damages were none


def test_a_png_whose_checksums_are_right_but_whose_pixels_are_cut_is_found(tmp_path):
    half = zlib.compress(noise().tobytes())[:1500]
    header = (b"IHDR", struct.pack(">IIBBBBB", 40, 30, 8, 2, 0, 0, 0))
    chunks = (header, (b"IDAT", half), (b"IEND", b""))
    (tmp_path / "a.png").write_bytes(b"\x89PNG\r\n\x1a\n" + b"".join(map(chunk, chunks)))
    assert "a.png is damaged" in inspect_file(str(tmp_path / "a.png")).fault
    with pytest.raises(OSError, match=r"a\.png is damaged"):
        open_picture(tmp_path / "a.png")


def chunk(kind_and_data):
    kind, data = kind_and_data
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


@pytest.mark.parametrize(("mode", "grey"), [("L", True), ("1", True), ("LA", True), ("RGB", False), ("P", False)])
def test_grey_pictures_are_told_from_coloured_ones(tmp_path, mode, grey):
    noise(mode=mode).save(tmp_path / "a.png")
    assert inspect_file(str(tmp_path / "a.png")).grey is grey
