"""The algorithm behind Conv2d: tiles of windows, and that another one can take its place."""

import numpy as np
import pytest

import npalexnet as na
from npalexnet import naive
from npalexnet.backend import Device, cpu, get_device
from npalexnet.backend.device import Tiling
from npalexnet.layers.im2col_gemm import ConvolutionAlgorithm, tiles
from npalexnet.windows import Windows
from tests.support import assert_close, forward_backward, get, normal, put

SETTINGS = [
    {"kernel_size": 3, "padding": 1},
    {"kernel_size": (5, 2), "stride": (2, 3), "padding": (0, 2)},
    {"kernel_size": 2, "stride": 3, "dilation": (3, 2), "groups": 2},
]


@pytest.fixture(autouse=True)
def im2col():
    with na.convolution_algorithm("im2col"):
        yield


@pytest.fixture
def set_tile_rows(monkeypatch):
    """Return a function that sets how many windows become columns at a time, on every device."""

    def limit(given):
        monkeypatch.setattr(cpu, "TILE_ROWS", given)
        monkeypatch.setattr(Device, "tiling", lambda self, length, dtype: Tiling(given, 1, length))

    return limit


@pytest.mark.parametrize("settings", SETTINGS, ids=str)
def test_output_and_gradients_do_not_depend_on_the_tiles(settings, set_tile_rows, dtype, device):
    x = normal((5, 4, 11, 10), dtype)
    layer = na.Conv2d(4, 6, dtype=dtype, seed=0, **settings).to(device)
    grad_y = normal(layer.output_shape(x.shape), dtype, seed=1)
    set_tile_rows(10**6)
    y, grad_x, gradients = forward_backward(layer, x, grad_y, device)
    for windows in (1, 7, 40, 250):
        set_tile_rows(windows)
        tiled_y, tiled_grad_x, tiled_gradients = forward_backward(layer, x, grad_y, device)
        assert_close(tiled_y, y)
        assert_close(tiled_grad_x, grad_x)
        for name, gradient in tiled_gradients.items():
            assert_close(gradient, gradients[name])


@pytest.mark.parametrize("settings", SETTINGS, ids=str)
@pytest.mark.parametrize("tile_rows", [1, 9, 100, 10**6])
@pytest.mark.parametrize("min_tiles", [1, 4])
def test_tiles_cover_each_window_once_and_stay_below_the_limit(settings, tile_rows, min_tiles):
    geometry = na.Conv2d(4, 6, **settings).geometry
    windows = geometry.windows("", (5, 4, 11, 10))
    oH, oW = windows.output_size
    covered, found = np.zeros((5, oH, oW), int), list(tiles(5, windows, tile_rows, min_tiles))
    for tile in found:
        part = covered[tile.images, tile.output_rows]
        part += 1
        assert part.size <= max(tile_rows, oW)  # a row of windows at the least
        assert tile.windows.output_size == part.shape[1:]
        (top, _), (left, _) = geometry.padding
        assert tile.windows.padding == (top - tile.output_rows.start * geometry.stride[0], left)
    assert (covered == 1).all()
    assert len(found) >= min_tiles


@pytest.mark.parametrize(
    ("images", "oH", "tile_rows", "expected"),
    [
        (1, 55, 13, [(1, 11)] * 5),
        (2, 7, 3, [(1, 2), (1, 2), (1, 3)] * 2),
        (7, 4, 12, [(2, 4), (2, 4), (3, 4)]),
        (4, 3, 99, [(4, 3)]),
        (0, 3, 9, []),
    ],
)
def test_tiles_are_nearly_equal_and_as_few_as_possible(images, oH, tile_rows, expected):
    found = list(tiles(images, Windows((1, 1), (1, 1), (1, 1), (0, 0), (oH, 1)), tile_rows))
    assert [tuple(part.stop - part.start for part in (tile.images, tile.output_rows)) for tile in found] == expected


def test_columns_take_a_bounded_part_of_a_gpus_memory():
    device = get_device("fake")
    assert device.tiling(3456, np.dtype("float32")).tile_rows == 2**30 // (4 * 3456)
    assert device.tiling(2**29, np.dtype("float32")).tile_rows == 1  # one window at the least


class PlainLoops(ConvolutionAlgorithm):
    """The definition, as an algorithm."""

    def output(self, x, weight, bias, windows, groups, *, relu=False):
        y = naive.conv2d(x.transpose(0, 3, 1, 2), weight.transpose(3, 2, 0, 1), bias, *self.arguments(windows, groups))
        return np.ascontiguousarray((np.maximum(y, 0) if relu else y).transpose(0, 2, 3, 1))

    def weight_gradient(self, grad_y, x, weight, windows, groups):
        return self.all_gradients(grad_y, x, weight, windows, groups)[1]

    def input_gradient(self, grad_y, x, weight, windows, groups):
        return self.all_gradients(grad_y, x, weight, windows, groups)[0]

    def all_gradients(self, grad_y, x, weight, windows, groups):
        grad_x, grad_weight, _ = naive.conv2d_gradients(
            *(array.transpose(0, 3, 1, 2) for array in (grad_y, x)),
            weight.transpose(3, 2, 0, 1),
            *self.arguments(windows, groups),
        )
        return np.ascontiguousarray(grad_x.transpose(0, 2, 3, 1)), grad_weight.transpose(2, 3, 1, 0)

    def arguments(self, windows, groups):
        assert windows.padding == (1, 1)
        return windows.stride, ((1, 1), (1, 1)), windows.dilation, len(groups)


def test_another_algorithm_can_stand_beside_this_one_without_touching_the_layer(dtype):
    layer = na.Conv2d(4, 6, 3, padding=1, stride=2, groups=2, dtype=dtype, seed=0)
    x, grad_y = normal((3, 4, 7, 6), dtype), normal((3, 6, 4, 3), dtype, seed=1)
    assert layer.algorithm is None
    y, grad_x, gradients = forward_backward(layer, x, grad_y)
    layer.algorithm = PlainLoops()
    other_y, other_grad_x, other_gradients = forward_backward(layer, x, grad_y)
    assert_close(other_y, y)
    assert_close(other_grad_x, grad_x)
    for name, gradient in other_gradients.items():
        assert_close(gradient, gradients[name])


class Unshaped(na.Layer):
    """A layer that does not tell its output's shape: then nothing checks the input of the layers inside beforehand."""

    def __init__(self, inner):
        self.inner = inner

    def compute(self, x, noise=None):
        return self.inner.compute(x)


@pytest.mark.parametrize("shape", [(1, 5, 6, 6), (1, 3, 6, 6), (1, 4, 2, 6), (1, 4, 1, 6)], ids=str)
def test_what_does_not_fit_is_refused_inside_a_layer_without_an_output_shape_too(shape):
    layer = Unshaped(na.Conv2d(4, 2, 3, groups=2))
    with pytest.raises(ValueError, match=r"Conv2d (expects 4 input channels|can't fit a window)"):
        layer(np.zeros(shape, "float32"))


def test_an_algorithm_that_lacks_a_part_says_so():
    layer = na.Conv2d(1, 1, 1)
    layer.algorithm = ConvolutionAlgorithm()
    with pytest.raises(NotImplementedError):
        layer(normal((1, 1, 2, 2), "float32"))


def test_the_callers_arrays_are_not_written_to(device):
    layer = na.Conv2d(3, 2, 3, padding=1, dtype="float64").to(device)
    x, grad_y = put(normal((2, 3, 5, 5)), device), put(normal((2, 2, 5, 5), seed=1), device)
    layer(x)
    layer.backward(grad_y)
    np.testing.assert_array_equal(get(x), normal((2, 3, 5, 5)))
    np.testing.assert_array_equal(get(grad_y), normal((2, 2, 5, 5), seed=1))
