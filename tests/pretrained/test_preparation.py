import json

import numpy as np
import pytest
from PIL import Image

import npalexnet as na
from npalexnet.pretrained.preparation import classes_of, imagenet_classes, preparation, read_classes

RNG = np.random.default_rng(0)


def picture(height=300, width=400):
    return np.random.default_rng(1).integers(0, 256, (height, width, 3), dtype=np.uint8)


def test_imagenets_classes_are_in_the_order_of_the_outputs():
    names = imagenet_classes()
    assert (len(names), len(set(names))) == (1000, 1000)
    known = {0: "tench", 1: "goldfish", 134: "crane bird", 207: "golden retriever", 281: "tabby", 517: "crane",
             639: "maillot tank suit", 817: "sports car", 963: "pizza", 999: "toilet tissue"}  # fmt: skip
    assert {number: names[number] for number in known} == known
    assert (classes_of(1000), classes_of(2)) == (names, ["class 0", "class 1"])


def test_torchvisions_pictures_are_resized_cropped_and_standardised():
    """As in torchvision's presets: the shorter side 256, the middle 224, and of ImageNet's colours."""
    x = preparation("torchvision")(picture(256, 256), RNG)
    middle = picture(256, 256)[16:240, 16:240] / 255
    mean, std = np.array([0.485, 0.456, 0.406]), np.array([0.229, 0.224, 0.225])
    np.testing.assert_allclose(x, ((middle - mean) / std).transpose(2, 0, 1), atol=1e-5)


def test_a_wide_picture_is_seen_as_by_torchvision_to_half_a_pixel():
    rows, columns = np.mgrid[:300, :400, :3][:2] / 40
    smooth = (127 * (1 + np.sin(rows) * np.cos(columns))).astype(np.uint8)
    x = preparation("torchvision", [0, 0, 0], [1, 1, 1])(smooth, RNG)
    scaled = Image.fromarray(smooth).resize((341, 256), Image.Resampling.BILINEAR)
    expected = np.asarray(scaled)[16:240, 58:282].transpose(2, 0, 1) / 255
    assert x.shape == (3, 224, 224)
    assert np.abs(x - expected).max() < 0.03  # per pixel it changes by up to 0.5 / 34


@pytest.mark.parametrize("variant", ["caffe", "caffenet"])
def test_caffes_pictures_are_counted_to_255_less_their_mean(variant):
    x = preparation(variant)(picture(256, 256), RNG)
    middle = picture(256, 256)[14:241, 14:241].astype(float)
    np.testing.assert_allclose(x, (middle - [123, 117, 104]).transpose(2, 0, 1), atol=1e-3)


@pytest.mark.parametrize("variant", na.VARIANTS)
def test_a_mean_and_a_standard_deviation_that_are_given_take_the_place_of_the_usual_ones(variant):
    size = na.VARIANTS[variant].image_size
    x = preparation(variant, [100, 110, 120], [50, 60, 70])(picture(256, 256), RNG)
    assert x.shape == (3, size, size)
    y = preparation(variant, [100 / 255, 110 / 255, 120 / 255], [50 / 255, 60 / 255, 70 / 255])(picture(256, 256), RNG)
    np.testing.assert_allclose(x, y, atol=1e-5)
    if variant != "seed":
        start = (256 - size) // 2
        middle = picture(256, 256)[start : start + size, start : start + size].astype(float)
        np.testing.assert_allclose(x, ((middle - [100, 110, 120]) / [50, 60, 70]).transpose(2, 0, 1), atol=1e-4)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({}, "no preparation of pictures goes with the variant seed: give both the mean and the standard dev"),
        ({"mean": [1, 2, 3]}, "no preparation of pictures goes with the variant seed"),
        ({"mean": [1, 2], "std": [1, 2, 3]}, r"mean must be three numbers, for red, green and blue, got \[1, 2\]"),
        ({"mean": [0, 0, 0], "std": [1, 2, 0]}, "std must be above 0"),
        ({"mean": [0, 0, float("nan")], "std": [1, 2, 1]}, "mean must be three finite numbers"),
    ],
)
def test_colours_that_are_none_are_refused(settings, message):
    with pytest.raises(ValueError, match=message):
        preparation("seed", **settings)


@pytest.mark.parametrize(
    "content",
    [
        "cat\ndog\n", "\ufeffcat\r\n\r\n dog", json.dumps(["cat", "dog"]), json.dumps({"1": "dog", "0": "cat"}),
        json.dumps({"0": ["n02123045", "cat"], "1": ["n02085620", "dog"]}),
    ],
)  # fmt: skip
def test_lists_of_classes_are_read(tmp_path, content):
    (tmp_path / "classes").write_text(content, "utf-8", newline="")
    assert read_classes(tmp_path / "classes") == ["cat", "dog"]


@pytest.mark.parametrize(
    "content", [b"", b"\n", b"\xff\xfe\x00", b"[1, 2]", b'{"0": "a", "2": "b"}', b"[" * 100_000, b'{"0": ["a", 1]}']
)
def test_what_lists_no_classes_is_refused_by_name(tmp_path, content):
    (tmp_path / "classes").write_bytes(content)
    with pytest.raises(ValueError, match=r"classes does not list classes, one a line: "):
        read_classes(tmp_path / "classes")
