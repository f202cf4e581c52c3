import numpy as np
import pytest

import npalexnet as na
from npalexnet import visualize


def test_filters_are_shown_in_their_place_with_grey_for_zero():
    weight = np.zeros((5, 3, 2, 2))
    weight[3, 0, 1, 0] = 7.0  # the fourth filter: red, lower left
    sheet = visualize.filters(weight, columns=3).axes[0].images[0].get_array()
    assert sheet.shape == (2 * 3 - 1, 3 * 3 - 1, 3)
    np.testing.assert_allclose(sheet[0, 0], [0.5, 0.5, 0.5])
    np.testing.assert_allclose(sheet[4, 0], [1.0, 0.5, 0.5])
    np.testing.assert_allclose(sheet[2], 1.0)


def test_filters_of_grey_images_are_shown_as_the_sum_of_their_colours():
    weight = np.zeros((1, 3, 1, 2))
    weight[0, :, 0, 0], weight[0, :, 0, 1] = [5, -4, 1], [-1, 0, 0]
    sheet = visualize.filters(weight, grey=True).axes[0].images[0].get_array()
    np.testing.assert_allclose(sheet[0, 0], 1.0)
    np.testing.assert_allclose(sheet[0, 1], 0.25)


def test_filters_of_other_than_colour_images_are_refused():
    with pytest.raises(ValueError, match=r"weight must have shape \(O, 3, kH, kW\), got \(4, 1, 3, 3\)"):
        visualize.filters(np.zeros((4, 1, 3, 3)))


def scaling_network():
    """Channel 0 is the red, channel 1 three times the red, channel 2 its negative."""
    network = na.Sequential(na.Conv2d(3, 3, 1, seed=0), na.ReLU(), na.Flatten(), na.Linear(12, 3, seed=0)).eval()
    state = {name: np.zeros_like(values) for name, values in network.state_dict().items()}
    state["0.weight"][:, 0, 0, 0] = 1, 3, -1
    state["3.weight"][0, 0], state["3.bias"][1], state["3.bias"][2] = 10, 7, -5
    network.load_state_dict(state)
    return network


def red(values):
    image = np.zeros((3, 2, 2), np.float32)
    image[0] = values
    return image


def shown(figure):
    """Return the titles of the panels that show something, and their numbers."""
    panels = [axes for axes in figure.axes if axes.images]
    return [axes.get_title() for axes in panels], [axes.images[0].get_array() for axes in panels]


def test_feature_maps_show_the_strongest_channels_first_on_one_scale():
    figure = visualize.feature_maps(scaling_network(), red([[1, 2], [3, 4]]), "1", count=2)
    titles, (image, *maps) = shown(figure)
    assert titles == ["the image", "channel 1", "channel 0"]
    np.testing.assert_allclose(image[..., 0], [[0.25, 0.5], [0.75, 1]])
    np.testing.assert_allclose(maps[0], [[3, 6], [9, 12]])
    np.testing.assert_allclose(maps[1], [[1, 2], [3, 4]])
    assert [axes.images[0].get_clim() for axes in figure.axes[1:3]] == [(0, 12), (0, 12)]
    assert "1 (ReLU after convolution 1): the 2 strongest of 3 channels, 2 x 2 each" in figure.get_suptitle()
    assert "2 of the 3 channels are above 0" in figure.get_suptitle()


def test_feature_maps_with_numbers_below_zero_have_zero_in_the_middle_of_their_scale():
    figure = visualize.feature_maps(scaling_network(), red([[1, 2], [3, 4]]), "0")
    titles, maps = shown(figure)
    assert titles[1:] == ["channel 1", "channel 0", "channel 2"]
    np.testing.assert_allclose(maps[3], [[-1, -2], [-3, -4]])
    assert {axes.images[0].get_clim() for axes in figure.axes[1:4]} == {(-12, 12)}
    assert "0 (convolution 1)" in figure.get_suptitle()


def test_a_linear_layer_is_shown_as_pixels_or_with_names_as_bars_from_the_highest_down():
    network, image = scaling_network(), red(1)
    _, (pixels,) = shown(visualize.feature_maps(network, image, "3"))
    np.testing.assert_allclose(pixels.filled(np.nan), [[10, 7], [-5, np.nan]])
    (axes,) = visualize.feature_maps(network, image, "3", names=["a", "b", "c"]).axes
    assert [label.get_text() for label in axes.get_yticklabels()] == ["a", "b", "c"]
    assert [bar.get_width() for bar in axes.patches] == [10, 7, -5]
    assert axes.get_title() == "3 (linear layer 1): all 3 outputs"


def test_feature_maps_drop_nothing_and_remember_nothing():
    network = na.Sequential(na.Flatten(), na.Dropout(0.9, seed=0)).train()
    with pytest.raises(RuntimeError, match="needs a forward call"):
        network.backward(np.zeros((1, 12), np.float32))
    _, (pixels,) = shown(visualize.feature_maps(network, np.full((3, 2, 2), 5, np.float32), "1"))
    np.testing.assert_array_equal(pixels.compressed(), [5] * 12)
    with pytest.raises(RuntimeError, match="needs a forward call"):
        network[1].backward(np.zeros((1, 12), np.float32))


@pytest.mark.parametrize(
    ("layer", "names", "shape", "message"),
    [
        ("9", None, (3, 2, 2), "layer must be one of 0, 1, 2, 3, got '9'"),
        ("1", None, (1, 3, 2, 2), r"image must have shape \(C, H, W\), got \(1, 3, 2, 2\)"),
        ("3", ["one"], (3, 2, 2), "names must have one for each of 3 units, got 1"),
    ],
)
def test_feature_maps_refuse_what_they_cannot_show(layer, names, shape, message):
    with pytest.raises(ValueError, match=message):
        visualize.feature_maps(scaling_network(), np.zeros(shape, np.float32), layer, names=names)
