"""The algorithm behind Conv2d: tiles of windows, and that another one can take its place."""

import numpy as np
import pytest

import npalexnet as na
from npalexnet import naive
from npalexnet.backend import Device, cpu, get_device
from npalexnet.layers.im2col_gemm import ConvolutionAlgorithm, Im2colGemm, pieces, tiles
from tests.support import assert_close, forward_backward, get, normal, put

SETTINGS = [
    {"kernel_size": 3, "padding": 1},
    {"kernel_size": (5, 2), "stride": (2, 3), "padding": (0, 2)},
    {"kernel_size": 2, "stride": 3, "dilation": (3, 2), "groups": 2},
]


@pytest.fixture
def windows_at_a_time(monkeypatch):
    """Return a function that sets how many windows become columns at a time, on every device."""

    def limit(given):
        monkeypatch.setattr(cpu, "TILE_ROWS", given)
        monkeypatch.setattr(Device, "rows_at_a_time", lambda self, row_bytes: given)

    return limit


@pytest.mark.parametrize("settings", SETTINGS, ids=str)
def test_output_and_gradients_do_not_depend_on_the_tiles(settings, windows_at_a_time, dtype, device):
    x = normal((5, 4, 11, 10), dtype)
    layer = na.Conv2d(4, 6, dtype=dtype, seed=0, **settings).to(device)
    grad_y = normal(layer.output_shape(x.shape), dtype, seed=1)
    windows_at_a_time(10**6)
    y, grad_x, gradients = forward_backward(layer, x, grad_y, device)
    for windows in (1, 7, 40, 250):
        windows_at_a_time(windows)
        tiled_y, tiled_grad_x, tiled_gradients = forward_backward(layer, x, grad_y, device)
        assert_close(tiled_y, y)
        assert_close(tiled_grad_x, grad_x)
        for name, gradient in tiled_gradients.items():
            assert_close(gradient, gradients[name])


@pytest.mark.parametrize("settings", SETTINGS, ids=str)
@pytest.mark.parametrize("windows", [1, 9, 100, 10**6])
def test_tiles_cover_each_window_once_and_stay_below_the_limit(settings, windows, windows_at_a_time):
    windows_at_a_time(windows)
    layer = na.Conv2d(4, 6, **settings)
    x = np.zeros((5, 11, 10, 4), "float32")
    oH, oW = layer.geometry.output_size(11, 10)
    covered = np.zeros((5, oH, oW), int)
    for tile in tiles(x, layer.weight.data.transpose(2, 3, 1, 0), layer.geometry):
        part = covered[tile.images, tile.rows]
        part += 1
        assert part.size <= max(windows, oW)  # a row of windows at the least
        assert tile.windows.count == part.shape[1:]
        (top, left), (sH, _) = tile.windows.before, layer.stride
        assert (top, left) == (layer.geometry.sides[0][0] - tile.rows.start * sH, layer.geometry.sides[1][0])
    assert (covered == 1).all()


@pytest.mark.parametrize(
    ("count", "largest", "sizes"), [(55, 13, [11] * 5), (7, 3, [2, 2, 3]), (4, 9, [4]), (0, 3, [])]
)
def test_pieces_are_nearly_equal_and_as_few_as_possible(count, largest, sizes):
    found = list(pieces(count, largest))
    assert [piece.stop - piece.start for piece in found] == sizes
    assert [number for piece in found for number in range(piece.start, piece.stop)] == list(range(count))


def test_columns_take_a_bounded_part_of_a_gpus_memory():
    device = get_device("fake")
    assert device.rows_at_a_time(4 * 3456) == 2**30 // (4 * 3456)
    assert device.rows_at_a_time(2**31) == 1  # one window at the least


class PlainLoops(ConvolutionAlgorithm):
    """The definition, as an algorithm."""

    def output(self, x, weight, bias, geometry, *, relu=False):
        y = naive.conv2d(x.transpose(0, 3, 1, 2), weight.transpose(3, 2, 0, 1), bias, *self.arguments(geometry))
        return np.ascontiguousarray((np.maximum(y, 0) if relu else y).transpose(0, 2, 3, 1))

    def weight_gradient(self, grad_y, x, weight, geometry):
        return self.all_gradients(grad_y, x, weight, geometry)[1]

    def input_gradient(self, grad_y, x, weight, geometry):
        return self.all_gradients(grad_y, x, weight, geometry)[0]

    def all_gradients(self, grad_y, x, weight, geometry):
        grad_x, grad_weight, _ = naive.conv2d_gradients(
            *(array.transpose(0, 3, 1, 2) for array in (grad_y, x)),
            weight.transpose(3, 2, 0, 1),
            *self.arguments(geometry),
        )
        return np.ascontiguousarray(grad_x.transpose(0, 2, 3, 1)), grad_weight.transpose(2, 3, 1, 0)

    def arguments(self, geometry):
        return geometry.stride, geometry.sides, geometry.dilation, geometry.groups


def test_another_algorithm_can_stand_beside_this_one_without_touching_the_layer(dtype):
    layer = na.Conv2d(4, 6, 3, padding=1, stride=2, groups=2, dtype=dtype, seed=0)
    x, grad_y = normal((3, 4, 7, 6), dtype), normal((3, 6, 4, 3), dtype, seed=1)
    assert isinstance(layer.algorithm, Im2colGemm)
    y, grad_x, gradients = forward_backward(layer, x, grad_y)
    layer.algorithm = PlainLoops()
    other_y, other_grad_x, other_gradients = forward_backward(layer, x, grad_y)
    assert_close(other_y, y)
    assert_close(other_grad_x, grad_x)
    for name, gradient in other_gradients.items():
        assert_close(gradient, gradients[name])


class Unshaped(na.Layer):
    """A layer that does not tell its output's shape: then the face can't check the input for the layers inside."""

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
