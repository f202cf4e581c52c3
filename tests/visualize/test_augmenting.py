import numpy as np
import pytest

from npalexnet import visualize
from npalexnet.data import Statistics


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


def _statistics(side=256):
    mean_image = np.random.default_rng(5).random((side, side, 3), dtype=np.float32)
    return Statistics(mean=(0.25, 0.5, 0.75), std=(0.1, 0.2, 0.3), mean_image=mean_image)


def test_evaluation_crops_show_the_mean_taken_off_and_the_ten_crops_in_the_order_of_their_names():
    pixels = np.random.default_rng(0).integers(0, 256, (256, 300, 3), dtype=np.uint8)
    statistics = _statistics()
    shown = {
        axes.get_title(): np.asarray(axes.images[0].get_array())
        for axes in visualize.evaluation_crops(pixels, statistics).axes
    }
    square = pixels[:, 22:278].astype(np.float32) / 255
    corners = {
        "top left": square[:227, :227],
        "top right": square[:227, 29:],
        "bottom left": square[29:, :227],
        "bottom right": square[29:, 29:],
        "middle": square[14:241, 14:241],
    }
    expected = {
        "the picture": pixels,
        "its middle square,\n256 x 256": square,
        "the mean picture": statistics.mean_image,
        "the square less it,\npixel by pixel": (square - statistics.mean_image + 1) / 2,
        "the mean colour": np.broadcast_to(np.float32([0.25, 0.5, 0.75]), (256, 256, 3)),
        "the square less it,\nchannel by channel": (square - np.float32([0.25, 0.5, 0.75]) + 1) / 2,
        "the centre crop,\n227 x 227": square[14:241, 14:241],
        **corners,
        **{f"{name},\nmirrored": part[:, ::-1] for name, part in corners.items()},
    }
    assert list(shown) == list(expected)
    for name, array in expected.items():
        np.testing.assert_allclose(shown[name], array, atol=1e-6, err_msg=name)


def test_evaluation_crops_do_not_overlap_and_nothing_is_cut_off():
    figure = visualize.evaluation_crops(np.zeros((300, 400), np.uint8), _statistics())
    figure.canvas.draw()
    boxes = [axes.get_tightbbox() for axes in figure.axes]  # with the titles
    assert len(boxes) == 17
    assert all(figure.bbox.x0 <= box.x0 and box.x1 <= figure.bbox.x1 for box in boxes)
    assert all(figure.bbox.y0 <= box.y0 and box.y1 <= figure.bbox.y1 for box in boxes)
    assert not [(i, j) for j, box in enumerate(boxes) for i in range(j) if box.overlaps(boxes[i])]


@pytest.mark.parametrize(("side", "got"), [(None, "got none"), (227, r"got one of shape \(227, 227, 3\)")])
def test_evaluation_crops_need_a_mean_picture_of_the_squares_size(side, got):
    statistics = Statistics((0.5,) * 3, (0.2,) * 3) if side is None else _statistics(side)
    with pytest.raises(ValueError, match=rf"Statistics.fit\(dataset, mean_image=256\) makes it, {got}"):
        visualize.evaluation_crops(np.zeros((8, 8), np.uint8), statistics)


@pytest.mark.parametrize(
    ("picture", "error", "message"),
    [
        (
            np.zeros((8, 8, 3), np.float32),
            ValueError,
            r"uint8 and shape \(H, W\) or \(H, W, 3\), not empty, got float32",
        ),
        (np.zeros((8, 8, 4), np.uint8), ValueError, r"got uint8 of shape \(8, 8, 4\)"),
        (np.zeros((0, 8), np.uint8), ValueError, r"got uint8 of shape \(0, 8\)"),
        ("cat.jpg", TypeError, "PIL.Image or an array of uint8, got 'cat.jpg'"),
    ],
)
def test_what_is_no_picture_is_refused(picture, error, message):
    with pytest.raises(error, match=message):
        visualize.evaluation_crops(picture, _statistics())
    with pytest.raises(error, match=message):
        visualize.augmentations([picture])
