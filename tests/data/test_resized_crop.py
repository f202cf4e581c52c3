"""Random crops of random size and shape: which rectangles are drawn, and what becomes of them."""

import json
from math import log

import numpy as np
import pytest
from PIL import Image

from npalexnet.data import RandomResizedCrop

RNG = np.random.default_rng
PICTURE = Image.fromarray(RNG(0).integers(0, 256, (40, 50, 3), dtype=np.uint8))


def rectangles(crop, width, height, count=2000):
    rng = RNG(1)
    return np.array([crop.rectangle(width, height, rng) for _ in range(count)]).T


def test_areas_and_the_logarithms_of_shapes_are_drawn_evenly():
    """Of a large picture, from which the largest rectangle does not stick out: none is drawn twice."""
    left, top, w, h = rectangles(RandomResizedCrop(8, scale=(0.1, 0.5)), 10_000, 10_000)
    areas, shapes = w * h / 1e8, np.log(w / h)
    for values, low, high in ((areas, 0.1, 0.5), (shapes, log(3 / 4), log(4 / 3))):
        assert low - 1e-3 < values.min() < low + 0.02
        assert high - 0.02 < values.max() < high + 1e-3
        quarters = np.histogram(values, 4, (low, high))[0] / values.size
        np.testing.assert_allclose(quarters, 0.25, atol=0.04)  # four deviations
    assert abs(np.corrcoef(areas, shapes)[0, 1]) < 0.09
    for place, room in ((left, 10_000 - w), (top, 10_000 - h)):
        np.testing.assert_allclose(np.histogram(place / room, 4, (0, 1))[0] / place.size, 0.25, atol=0.04)


def test_a_rectangle_is_always_within_the_picture_and_touches_each_border():
    left, top, w, h = rectangles(RandomResizedCrop(8), 7, 5)
    assert left.min() == top.min() == 0
    assert (left + w).max() == 7
    assert (top + h).max() == 5
    assert (w >= 1).all()
    assert (h >= 1).all()


@pytest.mark.parametrize(
    ("size", "expected"), [((30, 400), (0, 180, 30, 40)), ((400, 30), (180, 0, 40, 30)), ((1, 1), (0, 0, 1, 1))]
)
def test_where_no_shape_fits_it_is_the_middle_with_the_nearest_one(size, expected):
    """Nothing of at least 90 % of such an area has a shape from 3/4 to 4/3, by hand: 40 = 30 / (3/4) = 30 * 4/3."""
    crop = RandomResizedCrop(8, scale=(0.9, 1.0))
    assert {crop.rectangle(*size, RNG(seed)) for seed in range(20)} == {expected}


def test_the_rectangle_is_scaled_to_a_square():
    crop = RandomResizedCrop(9)
    for seed in range(5):
        left, top, w, h = crop.rectangle(50, 40, RNG(seed))
        pixels = np.asarray(PICTURE)[top : top + h, left : left + w]
        expected = Image.fromarray(pixels).resize((9, 9), Image.Resampling.BILINEAR)
        np.testing.assert_array_equal(np.asarray(crop(PICTURE, RNG(seed))), np.asarray(expected))


def test_it_goes_through_json():
    crop = RandomResizedCrop(9, (0.2, 0.5), (0.5, 1.5))
    assert RandomResizedCrop.from_json(json.loads(json.dumps(crop.to_json()))) == crop


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"size": 0}, "size must be at least 1, got 0"),
        ({"scale": (0.0, 1.0)}, r"scale must be two numbers above 0 and at most 1, .*, got \(0.0, 1.0\)"),
        ({"scale": (0.5, 1.5)}, "scale must be two numbers above 0 and at most 1"),
        ({"scale": (0.5,)}, "scale must be two numbers"),
        ({"ratio": (2, 1)}, "ratio must be two numbers above 0 and at most 1e.06, the smaller one first"),
        ({"ratio": (1, float("nan"))}, "ratio must be two numbers"),
        ({"ratio": 1.0}, "ratio must be two numbers"),
    ],
)
def test_what_can_not_be_is_refused(settings, message):
    with pytest.raises(ValueError, match=message):
        RandomResizedCrop(**settings)
