import json

import numpy as np
import pytest
from PIL import Image

from npalexnet.data import (
    CenterCrop,
    Normalize,
    PCAColorJitter,
    RandomCrop,
    RandomHorizontalFlip,
    RandomResizedCrop,
    ResizeCenterCrop,
    SubtractMeanImage,
    TenCrop,
)
from npalexnet.data.pipeline import BY_NAME, ON_PICTURES

RNG = np.random.default_rng
X = RNG(0).random((6, 5, 3), dtype=np.float32)
VECTORS = ((0.6, 0.8, 0.0), (0.8, -0.6, 0.0), (0.0, 0.0, 1.0))
NOISE = PCAColorJitter((4.0, 1.0, 0.25), VECTORS)
ALL = (
    ResizeCenterCrop(4), CenterCrop(3), RandomCrop(3), RandomHorizontalFlip(), NOISE,
    Normalize((0.1, 0.2, 0.3), (1.0, 2.0, 4.0)),
    SubtractMeanImage(X), TenCrop(3), RandomResizedCrop(4),
)  # fmt: skip


def test_the_shorter_side_is_scaled_and_the_middle_taken():
    wide = Image.new("RGB", (300, 100), "black")
    wide.paste("white", (100, 0, 200, 100))
    square = ResizeCenterCrop(50)(wide, RNG(0))
    assert square.size == (50, 50)
    np.testing.assert_array_equal(np.asarray(square)[:, 1:-1], 255)
    high = ResizeCenterCrop(50)(wide.transpose(Image.Transpose.ROTATE_90), RNG(0))
    np.testing.assert_array_equal(np.asarray(high)[1:-1], 255)


def test_small_pictures_are_scaled_up_and_slivers_do_not_explode():
    assert ResizeCenterCrop(256)(Image.new("RGB", (32, 32)), RNG(0)).size == (256, 256)
    assert ResizeCenterCrop(256)(Image.new("RGB", (1, 60_000)), RNG(0)).size == (256, 256)


def test_the_centre_crop_is_in_the_middle():
    np.testing.assert_array_equal(CenterCrop(2)(X, RNG(0)), X[2:4, 1:3])


def test_random_crops_come_from_every_place_equally_often():
    places = np.arange(6 * 5).reshape(6, 5, 1).repeat(3, axis=2)
    rng = RNG(1)
    corners = [int(RandomCrop(4)(places, rng)[0, 0, 0]) for _ in range(6000)]
    found, counts = np.unique(corners, return_counts=True)
    np.testing.assert_array_equal(found, [0, 1, 5, 6, 10, 11])
    assert np.all(np.abs(counts - 1000) < 5 * np.sqrt(1000 * 5 / 6))  # five deviations


def test_a_random_crop_is_a_part_of_the_picture():
    crop = RandomCrop(4)(X, RNG(2))
    assert any(np.array_equal(crop, X[i : i + 4, j : j + 4]) for i in range(3) for j in range(2))


def test_half_of_the_pictures_are_mirrored_left_to_right():
    rng = RNG(3)
    mirrored = [np.array_equal(RandomHorizontalFlip()(X, rng), X[:, ::-1]) for _ in range(1000)]
    unchanged = [
        np.array_equal(RandomHorizontalFlip(0.0)(X, rng), X),
        np.array_equal(RandomHorizontalFlip(1.0)(X, rng), X[:, ::-1]),
    ]
    assert abs(sum(mirrored) - 500) < 80  # five deviations
    assert unchanged == [True, True]


def test_colour_noise_is_one_colour_for_all_pixels():
    shift = NOISE(X, RNG(4)) - X
    np.testing.assert_allclose(shift, np.broadcast_to(shift[:1, :1], shift.shape), atol=1e-6)
    assert np.abs(shift).max() > 1e-3


def test_colour_noise_has_the_covariance_of_the_data_scaled_by_sigma_squared():
    rng, black = RNG(5), np.zeros((1, 1, 3), np.float32)
    shifts = np.array([NOISE(black, rng)[0, 0] for _ in range(20_000)], np.float64)
    vectors = np.array(VECTORS)
    expected = 0.01 * vectors @ np.diag([4.0, 1.0, 0.25]) @ vectors.T
    np.testing.assert_allclose(shifts.mean(axis=0), 0, atol=5 * 0.2 / np.sqrt(20_000))
    np.testing.assert_allclose(np.cov(shifts.T), expected, atol=5 * 0.04 * np.sqrt(2 / 20_000))


def test_normalize_is_by_colour():
    y = Normalize((0.1, 0.2, 0.3), (1.0, 2.0, 4.0))(X, RNG(0))
    np.testing.assert_allclose(y, (X.astype(np.float64) - [0.1, 0.2, 0.3]) / [1, 2, 4], atol=1e-7)
    assert y.dtype == np.float32


def test_the_mean_image_is_taken_off_pixel_by_pixel():
    np.testing.assert_array_equal(SubtractMeanImage(X)(X, RNG(0)), np.zeros_like(X))
    with pytest.raises(ValueError, match=r"the mean image has shape \(6, 5, 3\), the picture \(5, 5, 3\)"):
        SubtractMeanImage(X)(X[:5], RNG(0))


def test_ten_crops_are_the_corners_the_middle_and_their_mirror_images():
    ten = TenCrop(3)(X, RNG(0))
    five = [X[:3, :3], X[:3, 2:], X[3:, :3], X[3:, 2:], X[1:4, 1:4]]
    np.testing.assert_array_equal(ten, np.stack(five + [crop[:, ::-1] for crop in five]))


@pytest.mark.parametrize("transform", ALL, ids=lambda transform: type(transform).__name__)
def test_every_transform_goes_to_json_and_back_and_leaves_its_input_alone(transform):
    copy = type(transform).from_json(json.loads(json.dumps(transform.to_json())))
    x = Image.fromarray((X * 255).astype(np.uint8)) if isinstance(transform, ON_PICTURES) else X.copy()
    before = np.asarray(x).copy()
    np.testing.assert_array_equal(np.asarray(transform(x, RNG(7))), np.asarray(copy(x, RNG(7))))
    np.testing.assert_array_equal(np.asarray(x), before)


def test_every_transform_is_tested_for_json():
    assert {type(transform) for transform in ALL} == set(BY_NAME.values())


@pytest.mark.parametrize("crop", [CenterCrop(6), RandomCrop(6), TenCrop(6)])
def test_a_crop_larger_than_the_picture_is_refused(crop):
    with pytest.raises(ValueError, match="no square of 6 pixels fits into a picture of 6 x 5"):
        crop(X, RNG(0))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: ResizeCenterCrop(0), "size must be at least 1, got 0"),
        (lambda: RandomCrop(2.5), "size must be an int, got 2.5"),
        (lambda: CenterCrop(True), "size must be an int, got True"),
        (lambda: TenCrop("3"), "size must be an int, got '3'"),
        (lambda: RandomHorizontalFlip(1.5), "p must be from 0 to 1, got 1.5"),
        (lambda: Normalize((0, 0)), "mean must be three finite numbers"),
        (lambda: Normalize((0, 0, float("nan"))), "mean must be three finite numbers"),
        (lambda: Normalize((0, 0, 0), (1, 0, 1)), "std must be above 0"),
        (lambda: PCAColorJitter((1, 1, -1), VECTORS), "must not be negative"),
        (lambda: PCAColorJitter((1, 1, 1), VECTORS[:2]), "eigenvectors must be three rows"),
        (lambda: PCAColorJitter((1, 1, 1), VECTORS, -0.1), "must not be negative"),
        (lambda: SubtractMeanImage(X[..., :2]), r"image must be finite numbers of shape \(H, W, 3\)"),
        (lambda: SubtractMeanImage(np.full((2, 2, 3), np.inf)), "image must be finite"),
    ],
)
def test_numbers_out_of_range_are_refused(make, message):
    with pytest.raises((TypeError, ValueError), match=message):
        make()
