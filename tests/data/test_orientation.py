import struct

import numpy as np
import pytest
from PIL import Image

from npalexnet.cli import main
from npalexnet.data.images import open_picture
from tests.data.files_by_hand import exif, png, tiff
from tests.networks import save_bright_network

SIDEWAYS = (0x112, 3, 1, 6)  # to be turned by 90 degrees clockwise
ODD = {
    "a negative width": exif((0x100, 9, 1, -5), SIDEWAYS),
    "a rational 0/0": exif(SIDEWAYS, (0x11A, 5, 1, 38), behind=bytes(8)),
    "text that lies outside of the block": exif((0x10F, 4, 1, 0), SIDEWAYS).replace(
        struct.pack("<HHI", 0x10F, 4, 1), struct.pack("<HHI", 0x10F, 2, 9999)
    ),
    "a type that there is not": exif((0x100, 4, 1, 0), SIDEWAYS).replace(
        struct.pack("<HHI", 0x100, 4, 1), struct.pack("<HHI", 0x100, 99, 1)
    ),
    "the other order of bytes": exif((0x100, 9, 1, -5), SIDEWAYS, order=">"),
    "an orientation of four bytes": exif((0x112, 4, 1, 6)),
}


@pytest.mark.parametrize("suffix", ["jpg", "png", "webp"])
@pytest.mark.parametrize("block", ODD.values(), ids=ODD)
@pytest.mark.filterwarnings("ignore::UserWarning:PIL")
def test_a_picture_is_turned_whatever_else_its_exif_block_holds(tmp_path, block, suffix):
    path = tmp_path / f"a.{suffix}"
    Image.linear_gradient("L").resize((64, 32)).convert("RGB").save(path, exif=block)
    picture = open_picture(path)
    assert picture.size == (32, 64)
    assert picture.getpixel((0, 20))[0] > 200 > 50 > picture.getpixel((31, 20))[0]  # what was below is left


@pytest.mark.parametrize("block", [b"no TIFF", b"", b"II*\0", b"II*\0\xff\xff\xff\xff", exif((0x112, 3, 1, 77))])
def test_a_block_that_says_nothing_leaves_a_picture_as_it_is(tmp_path, block):
    rows = [bytes([10, 20, 30]), bytes([40, 50, 60])]
    (tmp_path / "a.png").write_bytes(png(3, 2, 8, 0, rows, (b"eXIf", block.removeprefix(b"Exif\0\0"))))
    np.testing.assert_array_equal(np.asarray(open_picture(tmp_path / "a.png"))[..., 0], [[10, 20, 30], [40, 50, 60]])


@pytest.mark.parametrize("compression", [None, "tiff_lzw"])
@pytest.mark.parametrize("mode", ["L", "P", "RGB", "RGBA", "CMYK", "I;16"])
@pytest.mark.parametrize(
    ("orientation", "turn"),
    [
        (1, lambda a: a),
        (2, lambda a: a[:, ::-1]),
        (3, lambda a: a[::-1, ::-1]),
        (4, lambda a: a[::-1]),
        (5, lambda a: a.swapaxes(0, 1)),
        (6, lambda a: np.rot90(a, -1)),
        (7, lambda a: a[::-1, ::-1].swapaxes(0, 1)),
        (8, lambda a: np.rot90(a)),
    ],
)
def test_a_tiff_of_every_mode_is_turned_as_it_says(tmp_path, mode, orientation, turn, compression):
    grey = (np.arange(7 * 5, dtype=np.uint8) * 7).reshape(5, 7)
    stored = Image.fromarray(grey.astype(np.uint16) * 257) if mode == "I;16" else Image.fromarray(grey).convert(mode)
    stored.save(tmp_path / "a.tiff", compression=compression, tiffinfo={0x112: orientation})
    np.testing.assert_array_equal(np.asarray(open_picture(tmp_path / "a.tiff"))[..., 1], turn(grey))


def test_a_tiff_is_turned_whatever_its_other_directories_hold(tmp_path):
    tags = (SIDEWAYS, (0x8769, 4, 1, 9999), (0x8825, 4, 1, 3))
    (tmp_path / "a.tiff").write_bytes(tiff(3, 2, 8, 1, bytes([1, 2, 3, 4, 5, 6]), *tags))
    np.testing.assert_array_equal(np.asarray(open_picture(tmp_path / "a.tiff"))[..., 0], [[4, 1], [5, 2], [6, 3]])


def test_commands_print_nothing_of_what_is_odd_in_metadata(narrow, tmp_path, capsys):
    save_bright_network(tmp_path)
    paths = [str(tmp_path / f"{i}.jpg") for i in range(len(ODD))]
    for path, block in zip(paths, ODD.values(), strict=True):
        Image.new("RGB", (64, 32)).save(path, exif=block)
    assert main(["predict", str(tmp_path), *paths]) == 0
    assert capsys.readouterr().err == ""


def test_an_orientation_in_xmp_is_heard(tmp_path):
    text = b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:Description tiff:Orientation="6"/></x:xmpmeta>'
    chunk = (b"iTXt", b"XML:com.adobe.xmp\0\0\0\0\0" + text)
    (tmp_path / "a.png").write_bytes(png(3, 1, 8, 0, [bytes([1, 2, 3])], chunk))
    assert open_picture(tmp_path / "a.png").size == (1, 3)
