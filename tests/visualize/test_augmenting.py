import numpy as np
import pytest

from npalexnet import visualize


def test_augmentations_show_each_picture_and_what_the_recipe_makes_of_it():
    pictures = [np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8) for shape in ((30, 40, 3), (28, 28))]
    figure = visualize.augmentations(pictures, seed=1)
    shown = [axes.images[0].get_array() for axes in figure.axes]
    assert [np.shape(array)[:2] for array in shown[:3]] == [(30, 40), (256, 256), (227, 227)]
    assert len(shown) == 2 * 8
    square, part, other, mirrored, noisy = (np.asarray(array) for array in shown[1:6])
    assert any(np.array_equal(part, square[i : i + 227, j : j + 227]) for i in range(30) for j in range(30))
    assert not np.array_equal(part, other)
    np.testing.assert_array_equal(mirrored, part[:, ::-1])
    assert not np.array_equal(noisy, part)
    assert [axes.get_title() for axes in figure.axes[:2]] == ["the picture", "its middle square,\n256 x 256"]
    assert {axes.get_title() for axes in figure.axes[8:]} == {""}


def test_augmentations_of_nothing_are_refused():
    with pytest.raises(ValueError, match="there is no picture to show"):
        visualize.augmentations([])
