"""Files that state one size and would take another, and names that are none."""

import os
import struct
import sys
import zlib

import pytest
from PIL import Image

from npalexnet.cli import main
from npalexnet.data import images, open_picture
from npalexnet.data.images import find_images
from tests.data.files_by_hand import directory
from tests.data.pictures import noise
from tests.networks import save_bright_network


def tiled(side):
    """A TIFF of 10 x 10 pixels whose only tile has `side` x `side`."""
    data = zlib.compress(bytes(3 * side * side))
    entries = [
        (256, 4, 1, 10), (257, 4, 1, 10), (258, 3, 1, 8), (259, 3, 1, 8), (262, 3, 1, 2), (277, 3, 1, 3),
        (322, 4, 1, side), (323, 4, 1, side), (324, 4, 1, 8), (325, 4, 1, len(data)),
    ]  # fmt: skip
    return struct.pack("<2sHI", b"II", 42, 8 + len(data)) + data + directory(entries)


def test_the_tile_of_a_tiff_counts_not_only_its_pixels(tmp_path, monkeypatch):
    (tmp_path / "a.tiff").write_bytes(tiled(800))  # 1.9 MB
    monkeypatch.setenv("NPALEXNET_PICTURE_MEMORY", "2")
    assert open_picture(tmp_path / "a.tiff").size == (10, 10)
    monkeypatch.setenv("NPALEXNET_PICTURE_MEMORY", "1")
    with pytest.raises(OSError, match=r"a\.tiff is too large: to decode 10 x 10 pixels may take 2 MB"):
        open_picture(tmp_path / "a.tiff")


@pytest.mark.parametrize("suffix", ["webp", "png", "tiff", "gif"])
@pytest.mark.skipif(sys.platform == "win32", reason="files have no holes there")
def test_a_file_longer_than_a_picture_may_take_is_not_read(tmp_path, monkeypatch, suffix):
    noise().save(tmp_path / f"a.{suffix}")
    monkeypatch.setenv("NPALEXNET_PICTURE_MEMORY", "1")
    assert open_picture(tmp_path / f"a.{suffix}").size == (40, 30)
    os.truncate(tmp_path / f"a.{suffix}", 3 << 30)  # a hole
    with pytest.raises(OSError, match=rf"a\.{suffix} is too large: a file of 3,221 MB, and a picture may take 1; make"):
        open_picture(tmp_path / f"a.{suffix}")


@pytest.mark.parametrize("mode", ["L", "RGB", "CMYK"])
def test_a_jpeg_takes_its_coefficients_only_where_its_scans_need_them(tmp_path, monkeypatch, mode):
    picture, layers = noise((800, 600), mode), {"L": 1, "RGB": 3, "CMYK": 4}[mode]
    needed = []
    check = images._check_size
    monkeypatch.setattr(images, "_check_size", lambda *given: (needed.append(given[2]), check(*given)))
    for name, options in (("baseline", {}), ("progressive", {"progressive": True})):
        picture.save(tmp_path / name, "JPEG", **options)
        open_picture(tmp_path / name, at_least=1000)
    assert needed == [800 * 600 * 8, 800 * 600 * (8 + 2 * layers)]


def test_a_jpeg_whose_first_scan_lacks_colours_counts_as_one_of_several_scans(tmp_path, monkeypatch):
    noise((800, 600)).save(tmp_path / "a.jpg")
    content = (tmp_path / "a.jpg").read_bytes()
    place = content.index(b"\xff\xda\0\x0c\3")
    scan = b"\xff\xda\0\x08\1\1\0\0\x3f\0"
    (tmp_path / "a.jpg").write_bytes(content[:place] + scan + content[place + 14 :])
    monkeypatch.setenv("NPALEXNET_PICTURE_MEMORY", "5")  # 3.8 MB without them, 6.7 MB with them
    with pytest.raises(OSError, match=r"a\.jpg is too large"):
        open_picture(tmp_path / "a.jpg", at_least=1000)


def test_a_damaged_file_without_a_name_for_pictures_is_named_in_a_folder(tmp_path):
    (tmp_path / "notes.txt").write_text("BM are the letters of a bitmap")
    assert find_images(tmp_path) == ([], [f"{tmp_path / 'notes.txt'} is damaged, or not usable: Truncated File Read"])


def test_a_format_that_is_not_read_is_told(tmp_path):
    Image.new("RGB", (16, 16)).save(tmp_path / "a.png", "ICO")
    with pytest.raises(
        OSError, match=r"a\.png is not an image file of a format that is read, but ICO; save it as JPEG or PNG$"
    ):
        open_picture(tmp_path / "a.png")


@pytest.mark.parametrize(("brand", "what"), [(b"heic", "HEIC"), (b"mif1", "HEIC"), (b"crx ", "Canon's raw format CR3")])
def test_pictures_of_telephones_and_cameras_that_are_not_read_are_told(tmp_path, monkeypatch, brand, what):
    monkeypatch.delitem(Image.OPEN, "HEIF", raising=False)  # of a plug-in
    (tmp_path / "a.jpg").write_bytes(b"\0\0\0\x18ftyp" + brand + bytes(100))
    with pytest.raises(
        OSError, match=rf"a\.jpg is not an image file of a format that is read, but {what}.*save it as J"
    ):
        open_picture(tmp_path / "a.jpg")


@pytest.mark.parametrize("source", [b"a.jpg", None, 5, [1]])
def test_what_is_no_path_and_no_file_is_refused_by_its_type(source):
    with pytest.raises(TypeError, match="source must be a path or an open binary file, got "):
        open_picture(source)
    with pytest.raises(ValueError, match="at_least must be a whole number above 0, got 0"):
        open_picture("a.jpg", at_least=0)


@pytest.mark.parametrize("content", [b"\1", b"\xff\xd8", b"hello", b"\x8a\x4d"])
def test_a_few_bytes_are_no_image_file(tmp_path, content):
    (tmp_path / "a.jpg").write_bytes(content)
    with pytest.raises(OSError, match=r"a\.jpg is not an image file$"):
        open_picture(tmp_path / "a.jpg")


def test_predict_goes_on_after_a_path_that_is_none_and_a_picture_that_memory_lacks_for(
    narrow, tmp_path, capsys, monkeypatch
):
    save_bright_network(tmp_path)
    for name in ("a.png", "b.png"):
        Image.new("RGB", (30, 30), "white").save(tmp_path / name)

    def fails(source, **options):
        if str(source).endswith("a.png"):
            raise MemoryError(f"{source} could not be decoded")
        return open_picture(source, **options)

    monkeypatch.setattr("npalexnet.cli.predict.open_picture", fails)
    paths = [str(tmp_path / "a.png"), "no\0path.png", str(tmp_path / "b.png")]
    assert main(["predict", str(tmp_path / "weights.safetensors"), *paths, "--top", "1"]) == 1
    output = capsys.readouterr()
    assert output.out.splitlines()[0] == paths[2]
    assert f"error: not enough memory: {paths[0]} could not be decoded" in output.err
    assert "can't be a path" in output.err


def test_a_path_with_a_zero_byte_is_an_error_of_the_file():
    with pytest.raises(OSError, match="is not a path: it has a zero byte"):
        open_picture("no\0path.png")
