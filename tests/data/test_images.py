import numpy as np
import pytest
from PIL import Image

from npalexnet.data.images import Preprocessing, open_picture

IDENTITY = Preprocessing((0.0, 0.0, 0.0), (1.0, 1.0, 1.0))


def test_grey_pictures_become_three_equal_channels_of_the_networks_size():
    pictures = np.random.default_rng(0).integers(0, 256, (2, 28, 28), dtype=np.uint8)
    batch = IDENTITY(pictures)
    assert batch.shape == (2, 3, 227, 227)
    assert batch.dtype == np.float32
    assert batch.transpose(0, 2, 3, 1).flags.c_contiguous
    np.testing.assert_array_equal(batch[:, 0], batch[:, 1])
    np.testing.assert_array_equal(batch[:, 0], batch[:, 2])
    assert not np.array_equal(batch[0], batch[1])


def test_mean_and_deviation_are_taken_off_colour_by_colour():
    red = np.zeros((1, 5, 5, 3), np.uint8)
    red[..., 0] = 255
    batch = Preprocessing((0.5, 0.25, 0.0), (0.5, 0.5, 0.1))(red)
    np.testing.assert_allclose(batch[0, :, 100, 100], [1.0, -0.5, 0.0], atol=1e-6)


def test_fit_gives_training_images_mean_0_and_deviation_1():
    images = np.random.default_rng(0).integers(0, 200, (3, 227, 227), dtype=np.uint8)
    batch = Preprocessing.fit(images)(images)
    assert abs(batch.mean()) < 1e-3
    assert abs(batch.std() - 1) < 1e-3


def test_fit_survives_images_of_one_colour():
    assert np.isfinite(Preprocessing.fit(np.full((1, 4, 4), 7, np.uint8))(np.zeros((1, 4, 4), np.uint8))).all()


def test_the_middle_square_of_a_wide_picture_is_taken():
    wide = Image.new("RGB", (300, 100), "black")
    wide.paste("white", (100, 0, 200, 100))
    np.testing.assert_array_equal(IDENTITY([wide])[:, :, 2:-2, 2:-2], 1)


@pytest.mark.parametrize("mode", ["1", "L", "P", "RGB", "RGBA", "CMYK", "LA", "I;16"])
def test_every_mode_of_picture_opens_as_rgb(tmp_path, mode):
    path = tmp_path / f"picture.{'tiff' if mode == 'CMYK' else 'png'}"
    Image.new(mode, (6, 4), 0).save(path)
    picture = open_picture(path)
    assert picture.mode == "RGB"
    assert picture.size == (6, 4)


def test_a_photograph_taken_sideways_is_turned_upright(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6  # orientation: to be turned by 90 degrees clockwise
    Image.new("RGB", (8, 4)).save(tmp_path / "photo.jpg", exif=exif)
    assert open_picture(tmp_path / "photo.jpg").size == (4, 8)


def test_files_that_are_no_picture_are_refused_by_name(tmp_path):
    text, cut = tmp_path / "text.png", tmp_path / "cut.png"
    text.write_text("hello")
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)).save(cut)
    cut.write_bytes(cut.read_bytes()[:4000])
    with pytest.raises(OSError, match=r"text\.png is not an image file"):
        open_picture(text)
    with pytest.raises(OSError, match=r"cut\.png is a damaged image file"):
        open_picture(cut)
    with pytest.raises(FileNotFoundError, match=r"missing\.png"):
        open_picture(tmp_path / "missing.png")
