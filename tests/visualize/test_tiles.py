import base64
import io

import numpy as np
from PIL import Image

from npalexnet.visualize.tiles import activation_map, filter_image, heat_map, photograph, share_map


def opened(address):
    kind, _, data = address.partition(";base64,")
    image = Image.open(io.BytesIO(base64.b64decode(data)))
    assert kind == f"data:image/{image.format.lower()}"
    return np.asarray(image).astype(int)


def test_a_photograph_keeps_its_size_and_colours():
    pixels = np.zeros((12, 20, 3), np.uint8)
    pixels[..., 0] = 200
    np.testing.assert_allclose(opened(photograph(pixels)), pixels, atol=6)
    np.testing.assert_allclose(opened(photograph(Image.fromarray(pixels))), pixels, atol=6)


def test_activations_are_a_pixel_each_from_black_to_the_brightest():
    image = opened(activation_map(np.array([[0, 1, 2], [4, 0.5, np.nan]], np.float32), 4))
    assert image.shape == (2, 3, 4)
    assert image[0, 0, :3].max() < 5
    brightness = image[..., :3].sum(axis=2)
    assert brightness[0, 0] < brightness[1, 1] < brightness[0, 1] < brightness[0, 2] < brightness[1, 0]
    assert image[..., 3].tolist() == [[255, 255, 255], [255, 255, 0]]  # there is no number in the last place


def test_numbers_below_zero_are_blue_those_above_red_and_zero_lets_the_page_through():
    image = opened(activation_map(np.array([[-2, 0, 1]], np.float32), 2))
    assert image[0, :, 3].tolist() == [255, 0, 128]
    assert image[0, 0, 2] > image[0, 0, 0]
    assert image[0, 2, 0] > image[0, 2, 2]


def test_a_channel_of_zeros_is_black():
    assert opened(activation_map(np.zeros((2, 2)), 0.0))[..., :3].max() < 5


def test_a_filters_zero_is_middle_grey_and_its_largest_weight_full():
    kernel = np.zeros((3, 1, 2))
    kernel[0, 0, 0], kernel[1, 0, 1] = -0.5, 0.25
    np.testing.assert_allclose(opened(filter_image(kernel)), [[[0, 128, 128], [128, 191, 128]]], atol=1)


def test_a_heat_map_is_red_where_the_evidence_is_and_blue_against_it():
    picture = np.full((60, 60, 3), 128, np.uint8)
    decreases = np.zeros((3, 3))
    decreases[0, 0], decreases[2, 2] = 0.5, -0.5
    image = opened(heat_map(picture, decreases))
    assert image.shape == (60, 60, 3)
    assert image[5, 5, 0] > image[5, 5, 2] + 100
    assert image[55, 55, 2] > image[55, 55, 0] + 100
    assert np.ptp(image[30, 30]) < 12  # grey
    assert np.ptp(opened(heat_map(picture, np.zeros((3, 3)))), axis=2).max() < 12


def test_a_share_of_nothing_is_transparent():
    image = opened(share_map(np.array([[0.0, 1.0]])))
    assert image[0, :, 3].tolist() == [0, 255]
