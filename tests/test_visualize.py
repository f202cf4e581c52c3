import numpy as np
import pytest

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


def test_curves_show_every_record():
    records = [{"step": i, "images": 16 * i, "loss": 3 - 0.1 * i, "accuracy": i / 20} for i in range(1, 11)]
    records.append({"step": 10, "images": 160, "test_loss": 2.5, "test_accuracy": 0.4})
    loss, accuracy = visualize.curves(records).axes
    np.testing.assert_allclose(loss.lines[0].get_ydata(), [3 - 0.1 * i for i in range(1, 11)])
    np.testing.assert_allclose(loss.lines[1].get_ydata()[-1], 3 - 0.55)
    np.testing.assert_allclose(accuracy.lines[2].get_ydata(), [40])
    assert loss.get_ylim()[1] > 2.9
    assert accuracy.get_ylabel() == "images right (%)"


def test_curves_of_a_run_that_was_stopped_before_its_first_evaluation():
    figure = visualize.curves([{"step": 1, "images": 16, "loss": 2.3, "accuracy": 0.1}])
    assert len(figure.axes) == 2


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
