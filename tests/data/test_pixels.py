import struct

import numpy as np
import pytest
from PIL import Image

from npalexnet.data import pixels
from npalexnet.data.images import open_picture
from tests.data.files_by_hand import png, tiff
from tests.data.pictures import noise


def opened(tmp_path, content, name="picture"):
    (tmp_path / name).write_bytes(content)
    return np.asarray(open_picture(tmp_path / name))


def grey(tmp_path, content):
    array = opened(tmp_path, content)
    assert (array == array[..., :1]).all()
    return array[..., 0].tolist()


def test_grey_of_12_bits_fills_the_range(tmp_path):
    packed = bytes([0x00, 0x08, 0x00, 0xFF, 0xF0, 0x10])  # 0, 2048, 4095, 16
    assert grey(tmp_path, tiff(4, 1, 12, 1, packed)) == [[0, 127, 255, 0]]


@pytest.mark.parametrize(("photometric", "expected"), [(1, [0, 100, 255]), (0, [255, 155, 0])])
def test_grey_of_16_bits_hears_whether_white_is_zero(tmp_path, photometric, expected):
    numbers = struct.pack("<3H", 0, 25700, 65535)
    assert grey(tmp_path, tiff(3, 1, 16, photometric, numbers)) == [expected]


def test_grey_of_16_bits_in_the_other_order(tmp_path):
    assert grey(tmp_path, tiff(3, 1, 16, 1, struct.pack(">3H", 0, 25700, 65535), order=">")) == [[0, 100, 255]]


@pytest.mark.parametrize(
    ("bits", "numbers", "order"),
    [
        (12, bytes([0x00, 0x08, 0x00, 0xFF, 0xF0, 0x00]), "<"),
        (16, struct.pack(">4H", 0, 32768, 65535, 0), ">"),
        (32, struct.pack("<4I", 0, 2**31, 2**32 - 1, 0), "<"),
    ],
)
def test_white_is_zero_in_every_depth_and_order_that_pillow_has_otherwise(tmp_path, bits, numbers, order):
    assert grey(tmp_path, tiff(4, 1, bits, 0, numbers, order=order)) == [[255, 127, 0, 255]]


def test_grey_of_32_bits_without_a_sign(tmp_path):
    numbers = struct.pack("<3I", 0, 2**31, 2**32 - 1)
    assert grey(tmp_path, tiff(3, 1, 32, 1, numbers)) == [[0, 127, 255]]


@pytest.mark.parametrize(("bits", "kind", "letter"), [(8, 2, "b"), (16, 2, "h"), (32, 2, "i"), (32, 3, "f")])
def test_numbers_of_an_unknown_range_are_refused(tmp_path, bits, kind, letter):
    content = tiff(2, 1, bits, 1, struct.pack(f"<2{letter}", -1, 1), (339, 3, 1, kind))
    with pytest.raises(OSError, match=r"picture is damaged, or not usable: its numbers are .*without a known range"):
        opened(tmp_path, content)


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b"P5 3 1 65535\n" + struct.pack(">3H", 0, 25700, 65535), [0, 100, 255]),
        (b"P5 3 1 1023\n" + struct.pack(">3H", 0, 512, 1023), [0, 127, 255]),
        (b"P5 3 1 15\n" + bytes([0, 5, 15]), [0, 85, 255]),
        (b"P2 3 1 1000\n0 500 1000\n", [0, 127, 255]),
    ],
)
def test_a_pgm_hears_its_highest_number(tmp_path, content, expected):
    assert grey(tmp_path, content) == [expected]


@pytest.mark.parametrize(
    ("depth", "row", "transparent", "expected"),
    [
        (1, bytes([0b01000000]), 0, [255, 255]),
        (2, bytes([0b00010000]), 1, [0, 255]),
        (4, bytes([0x1E]), 1, [255, 238]),
        (8, bytes([5, 6]), 5, [255, 6]),
        (8, bytes([5, 6]), 256 + 5, [255, 6]),  # only as many bits as there are
        (16, struct.pack(">2H", 1000, 1001), 1000, [255, 3]),
    ],
)
def test_the_transparent_grey_of_a_png_is_white_at_every_depth(tmp_path, depth, row, transparent, expected):
    chunk = (b"tRNS", struct.pack(">H", transparent))
    assert grey(tmp_path, png(2, 1, depth, 0, [row], chunk)) == [expected]


def test_the_transparent_colour_of_a_png_of_16_bits_is_compared_in_16_bits(tmp_path):
    row = struct.pack(">9H", 1000, 2000, 3000, 1001, 2000, 3000, 9000, 9001, 9002)
    found = opened(tmp_path, png(3, 1, 16, 2, [row], (b"tRNS", struct.pack(">3H", 1000, 2000, 3000))))
    assert found.tolist() == [[[255, 255, 255], [3, 7, 11], [35, 35, 35]]]


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA", "CMYK", "I;16"])
def test_rows_are_converted_alike_however_many_at_a_time(tmp_path, monkeypatch, mode):
    stored = noise((40, 30), "L" if mode == "I;16" else mode)
    if mode == "I;16":
        stored = Image.fromarray(np.asarray(stored).astype(np.uint16) * 257)
    stored.save(tmp_path / "a.tiff")
    whole = np.asarray(open_picture(tmp_path / "a.tiff"))
    monkeypatch.setattr(pixels, "BAND", 40 * 7)
    np.testing.assert_array_equal(np.asarray(open_picture(tmp_path / "a.tiff")), whole)


@pytest.mark.parametrize("suffix", ["png", "bmp", "tiff", "ppm", "webp", "jp2"])
def test_pixels_are_those_of_opencv(tmp_path, suffix):
    cv2 = pytest.importorskip("cv2")
    options = {"webp": {"lossless": True}, "jp2": {"irreversible": False}}.get(suffix, {})
    noise().save(tmp_path / f"a.{suffix}", **options)
    theirs = cv2.imread(str(tmp_path / f"a.{suffix}"))
    if theirs is None:
        pytest.skip("this OpenCV doesn't read the format")
    np.testing.assert_array_equal(np.asarray(open_picture(tmp_path / f"a.{suffix}")), theirs[..., ::-1])


@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_turned_jpeg_is_opencvs(tmp_path, orientation):
    cv2 = pytest.importorskip("cv2")
    exif = Image.Exif()
    exif[0x112] = orientation
    Image.linear_gradient("L").resize((64, 32)).convert("RGB").save(tmp_path / "a.jpg", exif=exif, quality=95)
    theirs = cv2.imread(str(tmp_path / "a.jpg"))[..., ::-1]
    np.testing.assert_allclose(np.asarray(open_picture(tmp_path / "a.jpg")).astype(int), theirs, atol=3)


@pytest.mark.parametrize("mode", ["LA", "RGB", "RGBA"])
@pytest.mark.parametrize("suffix", ["jp2", "j2k"])
def test_jpeg_2000_in_colour_with_more_than_8_bits_is_refused_for_pillow_wraps_around(tmp_path, mode, suffix):
    noise(mode=mode).save(tmp_path / f"a.{suffix}")
    content = bytearray((tmp_path / f"a.{suffix}").read_bytes())
    assert opened(tmp_path, content).shape == (30, 40, 3)
    content[content.index(b"\xff\x4f\xff\x51") + 42] = 11  # bits of the first channel, minus 1
    with pytest.raises(OSError, match="its colours have 12 bits, and Pillow would make the brightest ones black; save"):
        opened(tmp_path, content)


def test_jpeg_2000_of_16_grey_bits_fills_the_range(tmp_path):
    numbers = np.array([[0, 25700, 65535]] * 8, np.uint16)
    Image.fromarray(numbers).save(tmp_path / "a.jp2", irreversible=False)
    assert grey(tmp_path, (tmp_path / "a.jp2").read_bytes()) == [[0, 100, 255]] * 8


def test_white_in_a_jpeg_2000_of_12_grey_bits_is_white(tmp_path):
    Image.fromarray(np.full((8, 9), 65535, np.uint16)).save(tmp_path / "a.jp2", irreversible=False)
    content = bytearray((tmp_path / "a.jp2").read_bytes())
    content[content.index(b"\xff\x4f\xff\x51") + 42] = 11  # of 16: what is above the highest number, becomes that
    assert grey(tmp_path, content) == [[255] * 9] * 8


def test_white_in_a_jpeg_2000_of_16_bits_is_never_black(tmp_path):
    cv2 = pytest.importorskip("cv2")
    if not cv2.imwrite(str(tmp_path / "a.jp2"), np.full((64, 64, 3), 65535, np.uint16)):
        pytest.skip("this OpenCV doesn't write the format")
    with pytest.raises(OSError, match="its colours have 16 bits"):
        open_picture(tmp_path / "a.jp2")


@pytest.mark.parametrize("suffix", ["png", "tiff"])
def test_16_bits_are_opencvs(tmp_path, suffix):
    cv2 = pytest.importorskip("cv2")
    numbers = np.random.default_rng(0).integers(0, 65536, (30, 40), dtype=np.uint16)
    Image.fromarray(numbers).save(tmp_path / f"a.{suffix}")
    theirs = cv2.imread(str(tmp_path / f"a.{suffix}"), cv2.IMREAD_UNCHANGED)
    np.testing.assert_allclose(np.asarray(open_picture(tmp_path / f"a.{suffix}"))[..., 0], theirs / 257, atol=1)
