"""What is a picture, and what is said of anything else: in pipelines, figures and the classifier."""

import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from npalexnet import visualize
from npalexnet.data import Statistics
from npalexnet.data.arguments import as_image, check_pictures
from npalexnet.data.pipeline import evaluation_pipeline

PIXELS = np.random.default_rng(0).integers(0, 256, (9, 8, 3), dtype=np.uint8)
STATISTICS = Statistics((0.5,) * 3, (0.2,) * 3)
PLACES = {
    "a pipeline": lambda picture: evaluation_pipeline(STATISTICS)(picture, np.random.default_rng(0)),
    "figures": lambda picture: visualize.augmentations([picture]),
    "the function": as_image,
}


@pytest.mark.parametrize("picture", [PIXELS, PIXELS[:, :, 1], PIXELS[::2, ::-1]], ids=["colour", "grey", "strides"])
def test_an_array_of_uint8_is_the_image_of_its_pixels(picture):
    np.testing.assert_array_equal(np.asarray(as_image(picture)), picture)
    image = Image.fromarray(picture)
    assert as_image(image) is image


@pytest.mark.parametrize("act", PLACES.values(), ids=PLACES)
@pytest.mark.parametrize(
    ("picture", "error", "message"),
    [
        (
            "cat.jpg",
            TypeError,
            "a picture must be a PIL.Image or an array of uint8, got 'cat.jpg': open it by "
            "npalexnet.data.open_picture(path)",
        ),
        ([[1, 2]], TypeError, "a picture must be a PIL.Image or an array of uint8, got list"),
        (
            PIXELS / 255,
            ValueError,
            "a picture must be of uint8 and shape (H, W) or (H, W, 3), not empty, got float64 of shape (9, 8, 3)",
        ),
        (
            PIXELS.transpose(2, 0, 1),
            ValueError,
            "a picture must be of uint8 and shape (H, W) or (H, W, 3), not empty, got uint8 of shape (3, 9, 8)",
        ),
        (
            np.ma.masked_array(PIXELS),
            TypeError,
            "a picture is a masked array, whose mask would be ignored: fill it by .filled(value)",
        ),
    ],
    ids=["path", "list", "floats", "channels first", "masked"],
)
def test_what_is_no_picture_is_refused_with_what_to_do(act, picture, error, message):
    with pytest.raises(error, match=f"^{re.escape(message)}$"):
        act(picture)


@pytest.mark.parametrize(
    ("pictures", "message"),
    [
        ("cat.jpg", "got 'cat.jpg': pass [npalexnet.data.open_picture(path)]"),
        (Path("cat.jpg"), f"got {Path('cat.jpg')!r}: pass [npalexnet.data.open_picture(path)]"),
        (PIXELS, "got one: pass it as [picture]"),
        (PIXELS[:, :, 0], "got one: pass it as [picture]"),
        (Image.fromarray(PIXELS), "got one: pass it as [picture]"),
    ],
    ids=["str", "path", "colour", "grey", "image"],
)
def test_one_picture_or_path_in_place_of_several_is_refused(pictures, message):
    with pytest.raises(TypeError, match=f"^{re.escape('pictures must be a list of pictures, ' + message)}$"):
        check_pictures(pictures)


@pytest.mark.parametrize("pictures", [[PIXELS], (PIXELS,), PIXELS[None], PIXELS[None, :, :, 0], [Path("cat.jpg")]])
def test_several_pictures_pass(pictures):
    check_pictures(pictures)
