import numpy as np
import pytest
from PIL import Image

from npalexnet.data.images import open_picture


@pytest.mark.parametrize(
    ("mode", "colour", "expected"),
    [
        ("1", 1, (255, 255, 255)),
        ("L", 100, (100, 100, 100)),
        ("P", 100, (100, 100, 100)),
        ("RGB", (10, 20, 30), (10, 20, 30)),
        ("CMYK", (0, 255, 255, 0), (255, 0, 0)),
        ("I;16", 100 * 257, (100, 100, 100)),
        ("RGBA", (10, 20, 30, 255), (10, 20, 30)),
        ("RGBA", (10, 20, 30, 0), (255, 255, 255)),
        ("LA", (50, 0), (255, 255, 255)),
    ],
)
def test_every_mode_of_picture_opens_as_the_rgb_that_it_shows(tmp_path, mode, colour, expected):
    picture = Image.new(mode, (6, 4), colour)
    if mode == "P":
        picture.putpalette([value for grey in range(256) for value in (grey, grey, grey)])
    path = tmp_path / f"picture.{'tiff' if mode == 'CMYK' else 'png'}"
    picture.save(path)
    opened = open_picture(path)
    assert (opened.mode, opened.size) == ("RGB", (6, 4))
    assert opened.getpixel((3, 2)) == expected


def test_pictures_without_a_known_range_are_refused(tmp_path):
    Image.new("F", (6, 4), 0.5).save(tmp_path / "float.tiff")
    with pytest.raises(OSError, match=r"float\.tiff is damaged, or not usable: its numbers are of mode 'F'"):
        open_picture(tmp_path / "float.tiff")


def test_a_picture_of_absurd_size_is_refused(tmp_path, monkeypatch):
    Image.new("L", (60, 60)).save(tmp_path / "huge.png")
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 1000)
    with pytest.raises(OSError, match=r"huge\.png is too large"):
        open_picture(tmp_path / "huge.png")


def test_a_photograph_taken_sideways_is_turned_upright(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6  # orientation: to be turned by 90 degrees clockwise
    Image.new("RGB", (8, 4)).save(tmp_path / "photo.jpg", exif=exif)
    assert open_picture(tmp_path / "photo.jpg").size == (4, 8)


@pytest.mark.parametrize(("at_least", "size"), [(512, (580, 600)), (130, (145, 150)), (1161, (1160, 1200))])
def test_large_jpegs_are_decoded_smaller_but_never_below_the_size_asked_for(tmp_path, at_least, size):
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.linear_gradient("L").resize((1200, 1160)).save(tmp_path / "photo.jpg", exif=exif)
    opened = open_picture(tmp_path / "photo.jpg", at_least=at_least)
    assert opened.size == size
    assert opened.getpixel((0, 0))[0] > 240 > 20 > opened.getpixel((size[0] - 1, 0))[0]  # turned, and all of it


def test_files_that_are_no_picture_are_refused_by_name(tmp_path):
    text, cut = tmp_path / "text.png", tmp_path / "cut.png"
    text.write_text("hello")
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)).save(cut)
    cut.write_bytes(cut.read_bytes()[:4000])
    with pytest.raises(OSError, match=r"text\.png is not an image file"):
        open_picture(text)
    with pytest.raises(OSError, match=r"cut\.png is damaged"):
        open_picture(cut)
    with pytest.raises(FileNotFoundError, match=r"missing\.png"):
        open_picture(tmp_path / "missing.png")
