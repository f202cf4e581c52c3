import numpy as np
import pytest
from PIL import Image

import npalexnet as na
from npalexnet import visualize


def spot_classifier():
    """Two classes of images of 9 x 9: the logit of "spot" is twice the red in the middle, that of the other is 0."""
    network = na.Sequential(na.Flatten(), na.Dropout(0.9, seed=0), na.Linear(3 * 81, 2, seed=0))
    state = {name: np.zeros_like(values) for name, values in network.state_dict().items()}
    state["2.weight"][1, 40] = 2
    network.load_state_dict(state)
    return network


def test_occlusion_shows_what_the_class_depends_on():
    image = np.zeros((3, 9, 9), np.float32)
    image[0, 4, 4], image[1, 0, 0] = 1.5, -1
    seen = []
    figure = visualize.occlusion(spot_classifier(), image, 1, name="spot", cells=3, size=3, watch=seen.append)
    left, right, bar = figure.axes
    probability = 1 / (1 + np.exp(-3))
    expected = np.zeros((3, 3))
    expected[1, 1] = 100 * (probability - 0.5)
    np.testing.assert_allclose(right.images[1].get_array(), expected, atol=1e-4)
    assert left.get_title() == "the image: spot, probability 95.3 %"
    assert "when 3 x 3 pixels are covered" in right.get_title()
    assert "percentage points" in bar.get_ylabel()
    assert sum(seen) == 9
    assert image[0, 4, 4] == 1.5


def test_pictures_are_shown_in_the_place_of_the_networks_inputs():
    picture = np.random.default_rng(0).integers(0, 256, (8, 8, 3), dtype=np.uint8)
    image = np.zeros((3, 9, 9), np.float32)
    left, right, _ = visualize.occlusion(spot_classifier(), image, 1, picture=picture).axes
    np.testing.assert_array_equal(left.images[0].get_array(), picture)
    assert right.images[0].get_array().shape == (8, 8)
    images = np.zeros((2, 3, 8, 8), np.float32)
    images[0, 0, 4, 4], images[1, 0, 4, 4] = 0.5, 1
    pictures = [picture, picture[::-1]]
    for given in (pictures, pictures.__getitem__):
        first, second = visualize.top_activating(edge_network(), images, ("1", 1), pictures=given).axes
        np.testing.assert_array_equal(first.images[0].get_array(), picture[::-1])
        np.testing.assert_array_equal(second.images[0].get_array(), picture)
    maps = visualize.feature_maps(edge_network(), images[1], "1", picture=picture)
    np.testing.assert_array_equal(maps.axes[0].images[0].get_array(), picture)


def test_occlusion_is_seen_by_every_square_that_reaches_the_place():
    image = np.zeros((3, 9, 9), np.float32)
    image[0, 4, 4] = 1.5
    figure = visualize.occlusion(spot_classifier(), image, 0, cells=9, size=3)
    decreases = figure.axes[1].images[1].get_array()
    assert {tuple(place) for place in np.argwhere(np.abs(decreases) > 1)} == {
        (i, j) for i in (3, 4, 5) for j in (3, 4, 5)
    }
    assert (decreases[3:6, 3:6] < 0).all()  # the spot speaks against the other class
    assert "class 0" in figure.axes[0].get_title()


@pytest.mark.parametrize(
    ("shape", "label", "options", "message"),
    [
        ((1, 3, 9, 9), 0, {}, r"image must have shape \(C, H, W\)"),
        ((3, 9, 9), 2, {}, "label must be from 0 to 1, got 2"),
        ((3, 9, 9), 0, {"cells": 0}, "cells must be at least 1, got 0"),
        ((3, 9, 9), 0, {"size": 0}, "size must be at least 1, got 0"),
    ],
)
def test_occlusion_refuses_what_it_cannot_do(shape, label, options, message):
    with pytest.raises(ValueError, match=message):
        visualize.occlusion(spot_classifier(), np.zeros(shape, np.float32), label, **options)


def edge_network():
    """Channel 1 of 2 is the red in the middle of each 3 x 3 window, two pixels apart."""
    network = na.Sequential(na.Conv2d(3, 2, 3, stride=2, padding=1, seed=0), na.ReLU())
    state = {name: np.zeros_like(values) for name, values in network.state_dict().items()}
    state["0.weight"][1, 0, 1, 1] = 1
    network.load_state_dict(state)
    return network


def test_top_activating_images_come_from_the_strongest_down_with_their_receptive_fields():
    images = np.zeros((20, 3, 8, 8), np.float32)
    for i in range(20):
        images[i, 0, 0, 2 * (i % 4)] = i
    images[7, 0, 4, 6] = 99
    names = [f"name {i}" for i in range(20)]
    figure = visualize.top_activating(edge_network(), images, ("1", 1), count=3, names=names)
    assert [axes.get_title().splitlines()[0] for axes in figure.axes] == ["name 7", "name 19", "name 18"]
    assert [float(axes.get_title().splitlines()[1]) for axes in figure.axes] == [99, 19, 18]
    frames = [axes.patches[0] for axes in figure.axes]
    assert [(frame.get_xy(), frame.get_width(), frame.get_height()) for frame in frames] == [
        ((4.5, 2.5), 3, 3),  # columns 5 to 7, rows 3 to 5
        ((4.5, -0.5), 3, 2),  # row -1 is padding
        ((2.5, -0.5), 3, 2),
    ]
    assert "convolution 1, channel 1 (1), among 20 images" in figure.get_suptitle()


def test_images_in_which_a_channel_is_0_are_not_shown_as_activating_it():
    images = np.zeros((3, 3, 8, 8), np.float32)
    figure = visualize.top_activating(edge_network(), images, ("1", 1))
    assert figure.texts[0].get_text() == "convolution 1, channel 1, is 0 in all 3 images"
    images[1, 0, 4, 4] = 1
    assert len(visualize.top_activating(edge_network(), images, ("1", 1)).axes) == 1


def test_top_activating_refuses_units_that_do_not_exist():
    images = np.zeros((1, 3, 8, 8), np.float32)
    with pytest.raises(ValueError, match="channel of 1 from 0 to 1, got 2"):
        visualize.top_activating(edge_network(), images, ("1", 2))
    with pytest.raises(ValueError, match="layer must be one of 0, 1, got 'conv'"):
        visualize.top_activating(edge_network(), images, ("conv", 0))
    with pytest.raises(ValueError, match="at least one image, got none"):
        visualize.top_activating(edge_network(), images[:0], ("1", 1))


def test_mistakes_are_shown_from_the_most_confident_down_with_both_classes():
    probabilities = np.array([[0.7, 0.3], [0.4, 0.6], [0.1, 0.9], [0.2, 0.8]])
    labels = np.array([0, 0, 0, 1])
    pictures = [np.full((4, 4), 60 * i, np.uint8) for i in range(4)]
    figure = visualize.mistakes(pictures, labels, probabilities, ["cat", "dog"])
    titles = [axes.get_title() for axes in figure.axes]
    assert titles == ["cat\npredicted: dog\nwith 90 %", "cat\npredicted: dog\nwith 60 %"]
    assert [axes.images[0].get_array().max() for axes in figure.axes] == [120, 60]
    assert figure.get_suptitle() == "All 2 mistakes among 4 images, the most confident first"
    figure = visualize.mistakes(pictures.__getitem__, labels, probabilities, ["cat", "dog"], count=1)
    assert len(figure.axes) == 1
    assert figure.get_suptitle() == "1 of the 2 mistakes among 4 images, the most confident first"


def test_mistakes_show_pictures_of_all_kinds_and_shapes():
    kinds = [
        Image.new("L", (5, 3), 200),
        np.zeros((3, 9, 3), np.uint8),
        np.linspace(-2, 2, 48, dtype=np.float32).reshape(3, 4, 4),
    ]
    figure = visualize.mistakes(kinds, np.zeros(3, int), np.array([[0, 1.0]] * 3), ["a", "b"])
    assert [axes.images[0].get_array().shape for axes in figure.axes] == [(3, 5, 3), (3, 9, 3), (4, 4, 3)]
    scaled = figure.axes[2].images[0].get_array()
    assert (scaled.min(), scaled.max()) == (0, 1)


def test_no_mistakes_and_mistaken_shapes_are_said_in_words():
    figure = visualize.mistakes([None], np.array([0]), np.array([[1.0, 0.0]]), ["a", "b"])
    assert figure.texts[0].get_text() == "No mistakes among 1 images"
    with pytest.raises(ValueError, match=r"probabilities must have shape \(1, 2\)"):
        visualize.mistakes([None], np.array([0]), np.array([[1.0]]), ["a", "b"])
    with pytest.raises(ValueError, match=r"must have shape \(3, H, W\) to be shown, got \(1, 4, 4\)"):
        visualize.mistakes([np.zeros((1, 4, 4))], np.array([1]), np.array([[1.0, 0.0]]), ["a", "b"])
