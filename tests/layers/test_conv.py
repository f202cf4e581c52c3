"""Conv2d against torch, the plain loops and slopes."""

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from torch import nn

from npalexnet import Conv2d, convolution_algorithm, naive
from tests.support import (
    PROPERTY,
    assert_close,
    assert_gradients_are_slopes,
    assert_matches_torch,
    forward_backward,
    get,
    normal,
    put,
    tensor,
)

# in_channels, out_channels, height, width, and the other arguments
CASES = {
    "1x1": (3, 4, 5, 6, {"kernel_size": 1}),
    "1x1 with stride and padding": (3, 4, 5, 6, {"kernel_size": 1, "stride": 2, "padding": 1}),
    "the network's first, smaller": (3, 6, 35, 31, {"kernel_size": 11, "stride": 4}),
    "sizes that the stride doesn't divide": (2, 3, 8, 9, {"kernel_size": 3, "stride": 2}),
    "stride beyond the kernel": (2, 3, 9, 11, {"kernel_size": 2, "stride": 3}),
    "pairs": (2, 3, 9, 8, {"kernel_size": (2, 3), "stride": (1, 2), "padding": (2, 1), "dilation": (2, 1)}),
    "lists for pairs": (2, 3, 9, 8, {"kernel_size": [2, 3], "stride": [1, 2], "padding": [2, 1]}),
    "dilation": (2, 3, 9, 10, {"kernel_size": 3, "dilation": (2, 3)}),
    "padding beyond the kernel": (2, 3, 4, 5, {"kernel_size": 2, "padding": 3, "stride": 2}),
    "groups": (4, 6, 5, 5, {"kernel_size": 3, "groups": 2, "padding": 1}),
    "depthwise": (4, 4, 5, 6, {"kernel_size": 3, "groups": 4, "stride": 2, "padding": 1}),
    "depthwise with multiplier": (3, 6, 5, 5, {"kernel_size": 2, "groups": 3}),
    "no bias": (2, 3, 5, 5, {"kernel_size": 3, "bias": False}),
    "a kernel as large as the image": (2, 3, 4, 5, {"kernel_size": (4, 5)}),
    "a kernel larger than the image, not than the padded image": (2, 3, 2, 1, {"kernel_size": 4, "padding": 2}),
    "one pixel": (1, 1, 1, 1, {"kernel_size": 1}),
    "valid": (2, 3, 5, 6, {"kernel_size": 3, "padding": "valid", "stride": 2}),
    "same": (2, 3, 5, 6, {"kernel_size": 3, "padding": "same"}),
    "same with an even kernel": (2, 3, 5, 6, {"kernel_size": (2, 4), "padding": "same"}),
    "same with dilation and an even kernel": (2, 3, 7, 6, {"kernel_size": (4, 3), "padding": "same", "dilation": 3}),
}


@pytest.mark.filterwarnings("ignore:Using padding='same' with even kernel")
@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_output_and_gradients_are_torchs(case, dtype, device):
    C, O, H, W, arguments = case
    layer = Conv2d(C, O, **arguments, dtype=dtype, device=device, seed=1)
    twin_arguments = {name: tuple(value) if isinstance(value, list) else value for name, value in arguments.items()}
    twin = nn.Conv2d(C, O, **twin_arguments)
    assert_matches_torch(layer, twin, normal((3, C, H, W), dtype), device)


# height, width, and the arguments: windows that hang over
CEIL = {
    "the network's first, smaller": (40, 37, {"kernel_size": 11, "stride": 4}),
    "nothing hangs over": (9, 11, {"kernel_size": 3, "stride": 2}),
    "padding": (8, 9, {"kernel_size": 3, "stride": 3, "padding": 1}),
    "groups, no bias": (8, 7, {"kernel_size": 3, "stride": 2, "groups": 2, "bias": False}),
    "dilation": (9, 10, {"kernel_size": 3, "stride": 2, "dilation": (2, 3)}),
    "a last window that would start outside": (7, 8, {"kernel_size": 1, "stride": 3}),
    "a kernel larger than the image": (4, 4, {"kernel_size": 5, "stride": 2}),
}


class CeilTwin(nn.Conv2d):
    """Torch's convolution of an image with so many zeros behind that one more window fits, where it may."""

    def forward(self, x):
        further = []
        for axis in (1, 0):
            size, padding, stride = x.shape[2 + axis], self.padding[axis], self.stride[axis]
            room = size + 2 * padding - self.dilation[axis] * (self.kernel_size[axis] - 1) - 1
            count = -(-room // stride)  # besides the first
            count -= count * stride >= size + padding
            further += [0, max(0, count * stride - room)]
        return super().forward(nn.functional.pad(x, further))


@pytest.mark.parametrize("case", CEIL.values(), ids=CEIL)
def test_windows_that_hang_over_are_torchs_with_zeros_behind_the_image(case, dtype, device):
    H, W, arguments = case
    layer = Conv2d(4, 6, **arguments, ceil_mode=True, dtype=dtype, device=device, seed=1)
    assert_matches_torch(layer, CeilTwin(4, 6, **arguments), normal((3, 4, H, W), dtype), device)
    assert layer.output_shape((3, 4, H, W))[2:] == layer(put(normal((1, 4, H, W), dtype), device)).shape[2:]


def test_windows_that_hang_over_are_those_of_the_definition(device):
    arguments = (2, 3), (1, 0), (1, 1), 2
    layer = Conv2d(4, 6, 3, (2, 3), (1, 0), groups=2, ceil_mode=True, dtype="float64", device=device, seed=1)
    x = normal((2, 4, 6, 7))
    weight, bias = layer.state_dict().values()
    expected = naive.conv2d(x, weight, bias, *arguments, ceil_mode=True)
    assert expected.shape == (2, 6, 4, 3)
    grad_y = normal(expected.shape, seed=2)
    y, grad_x, gradients = forward_backward(layer, x, grad_y, device)
    assert_close(y, expected)
    naives = naive.conv2d_gradients(grad_y, x, weight, *arguments)
    for gradient, definition in zip((grad_x, gradients["weight"], gradients["bias"]), naives, strict=True):
        assert_close(gradient, definition)


def test_gradients_of_windows_that_hang_over_are_slopes():
    layer = Conv2d(2, 3, 3, stride=2, ceil_mode=True, dtype="float64", seed=1)
    assert_gradients_are_slopes(layer, normal((2, 2, 6, 8)))
    assert repr(layer).endswith("bias=True, ceil_mode=True)")


# --- each number with a bound of its own: im2col adds products up, in whatever order ----------------------------------


def sums_of_products(layer, x, grad_y):
    """Output and gradients of input, weight and bias by torch in float64, each with how many numbers it adds up."""
    arrays = [x, get(layer.weight.data), *([] if layer.bias is None else [get(layer.bias.data)])]
    inputs = [tensor(array).double().requires_grad_() for array in arrays]
    (top, bottom), (left, right) = layer.geometry.padding
    padded = nn.functional.pad(inputs[0], (left, right, top, bottom))
    y = nn.functional.conv2d(padded, *inputs[1:], stride=layer.stride, dilation=layer.dilation, groups=layer.groups)
    y.backward(tensor(grad_y).double())
    O, *window = inputs[1].shape
    windows = y[:, 0].numel()
    counts = np.prod(window) + 1, np.prod(layer.kernel_size) * O // layer.groups, windows, windows
    return list(zip((y.detach(), *(array.grad for array in inputs)), counts, strict=False))


@pytest.fixture
def im2col():
    with convolution_algorithm("im2col"):
        yield


@pytest.mark.usefixtures("im2col")
@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_each_number_is_rounded_no_more_than_a_sum_of_products(case, dtype, device):
    """``|error| <= gamma(K) * (sum of the magnitudes)`` for K products, N. Higham, "Accuracy and Stability", (3.5)."""
    C, O, H, W, arguments = case
    layer = Conv2d(C, O, **arguments, dtype=dtype, device=device, seed=1)
    x = normal((3, C, H, W), dtype)
    grad_y = normal(layer.output_shape(x.shape), dtype, seed=2)
    y, grad_x, gradients = forward_backward(layer, x, grad_y, device)
    expected = sums_of_products(layer, x, grad_y)
    for parameter in layer.parameters():
        parameter.data[...] = put(np.abs(get(parameter.data)), device)
    magnitudes = sums_of_products(layer, np.abs(x), np.abs(grad_y))
    for found, (sums, K), (magnitude, _) in zip((y, grad_x, *gradients.values()), expected, magnitudes, strict=True):
        assert found.shape == sums.shape
        roundoff = np.array([np.finfo(kind).eps / 2 for kind in (dtype, "float64")])  # here, and in torch
        gamma = (K * roundoff / (1 - K * roundoff)).sum()
        assert (np.abs(found - sums.numpy()) <= gamma * magnitude.numpy()).all()


@pytest.mark.usefixtures("im2col")
@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_whole_numbers_give_exactly_torchs(case, dtype, device):
    """All sums are whole numbers below 2**24: nothing is rounded."""
    C, O, H, W, arguments = case
    layer = Conv2d(C, O, **arguments, dtype=dtype, device=device)
    rng = np.random.default_rng(0)
    for parameter in layer.parameters():
        parameter.data[...] = put(rng.integers(-9, 10, parameter.shape).astype(dtype), device)
    x = rng.integers(-9, 10, (3, C, H, W)).astype(dtype)
    grad_y = rng.integers(-9, 10, layer.output_shape(x.shape)).astype(dtype)
    y, grad_x, gradients = forward_backward(layer, x, grad_y, device)
    for found, (sums, K) in zip((y, grad_x, *gradients.values()), sums_of_products(layer, x, grad_y), strict=True):
        assert K * 9 * 9 < 2**24
        np.testing.assert_array_equal(found, sums.numpy().astype(dtype), strict=True)


@pytest.mark.parametrize(
    ("padding", "sides"), [((2, 1), ((2, 2), (1, 1))), ("same", ((1, 1), (1, 2))), (0, ((0, 0), (0, 0)))]
)
@pytest.mark.parametrize("groups", [1, 2])
def test_output_and_gradients_are_those_of_the_formula(padding, sides, groups, device):
    layer = Conv2d(4, 6, (2, 4), padding=padding, dilation=(2, 1), groups=groups, dtype="float64", device=device)
    x = normal((2, 4, 5, 6))
    weight, bias = get(layer.weight.data), get(layer.bias.data)
    expected_y = naive.conv2d(x, weight, bias, (1, 1), sides, (2, 1), groups)
    grad_y = normal(expected_y.shape, seed=3)
    expected = naive.conv2d_gradients(grad_y, x, weight, (1, 1), sides, (2, 1), groups)
    y, grad_x, gradients = forward_backward(layer, x, grad_y, device)
    assert_close(y, expected_y)
    for gradient, its_expected in zip((grad_x, gradients["weight"], gradients["bias"]), expected, strict=True):
        assert_close(gradient, its_expected)


@pytest.mark.parametrize(("algorithm", "tolerance"), [("im2col", 0), ("winograd", 1e-14)])
def test_the_kernel_is_not_rotated(algorithm, tolerance):
    layer = Conv2d(1, 1, (2, 2), bias=False, dtype="float64")
    layer.weight.data[...] = [[[[1, 10], [100, 1000]]]]
    with convolution_algorithm(algorithm):
        y = layer(np.arange(1.0, 10).reshape(1, 1, 3, 3))
    # 1*1 + 2*10 + 4*100 + 5*1000, ...
    np.testing.assert_allclose(y, [[[[5421, 6532], [8754, 9865]]]], rtol=tolerance, atol=0)


def test_the_bias_is_added_once_to_each_channel_and_its_gradient_is_the_sum():
    layer = Conv2d(1, 2, 1, dtype="float64")
    layer.weight.data[...] = 0
    layer.bias.data[...] = [3, -4]
    y, _, gradients = forward_backward(layer, normal((2, 1, 2, 2)), np.arange(16.0).reshape(2, 2, 2, 2))
    np.testing.assert_array_equal(y[:, 0], np.full((2, 2, 2), 3))
    np.testing.assert_array_equal(y[:, 1], np.full((2, 2, 2), -4))
    np.testing.assert_array_equal(
        gradients["bias"], [0 + 1 + 2 + 3 + 8 + 9 + 10 + 11, 4 + 5 + 6 + 7 + 12 + 13 + 14 + 15]
    )


@pytest.mark.parametrize("groups", [1, 2])
def test_gradients_are_slopes(groups):
    layer = Conv2d(4, 2, (3, 2), stride=(2, 1), padding=(1, 0), dilation=(1, 2), groups=groups, dtype="float64", seed=0)
    assert_gradients_are_slopes(layer, normal((2, 4, 6, 5)))


@PROPERTY
@given(data=st.data())
def test_any_geometry_is_torchs(device, data):
    pair = st.tuples(st.integers(1, 4), st.integers(1, 4))
    kernel_size, stride, dilation = data.draw(pair, "kernel"), data.draw(pair, "stride"), data.draw(pair, "dilation")
    padding = data.draw(st.tuples(st.integers(0, 3), st.integers(0, 3)), "padding")
    groups = data.draw(st.sampled_from([1, 1, 2, 3]), "groups")
    C, O = groups * data.draw(st.integers(1, 2), "C/G"), groups * data.draw(st.integers(1, 2), "O/G")
    N, H, W = data.draw(st.integers(0, 3), "N"), data.draw(st.integers(1, 9), "H"), data.draw(st.integers(1, 9), "W")
    for size, k, p, d in zip((H, W), kernel_size, padding, dilation, strict=True):
        assume(size + 2 * p >= d * (k - 1) + 1)
    arguments = (C, O, kernel_size, stride, padding, dilation, groups, data.draw(st.booleans(), "bias"))
    layer = Conv2d(*arguments, dtype="float64", device=device, seed=2)
    assert_matches_torch(layer, nn.Conv2d(*arguments), normal((N, C, H, W)), device)


@pytest.mark.parametrize("N", [0, 1, 2, 7, 8, 9, 33])
def test_no_image_is_lost_however_the_batch_is_cut(N, dtype, device):
    layer = Conv2d(2, 3, 3, stride=2, padding=1, dtype=dtype, device=device, seed=0)
    assert_matches_torch(layer, nn.Conv2d(2, 3, 3, stride=2, padding=1), normal((N, 2, 5, 6), dtype), device)


def test_many_channels_and_images_stay_accurate_in_float32(device):
    layer = Conv2d(64, 96, 5, padding=2, device=device, seed=0)
    assert_matches_torch(layer, nn.Conv2d(64, 96, 5, padding=2), normal((9, 64, 13, 13), "float32"), device)


def test_arrays_inside_are_channels_last_and_weights_are_ready_to_be_multiplied():
    layer = Conv2d(3, 4, 2, seed=0)
    layer.load_state_dict(Conv2d(3, 4, 2, seed=1).state_dict())
    y = layer(normal((2, 3, 5, 5), "float32"))
    assert layer.weight.data.transpose(2, 3, 1, 0).flags.c_contiguous
    assert y.transpose(0, 2, 3, 1).flags.c_contiguous


def test_multiply_adds_are_those_of_the_matrix_product():
    layer = Conv2d(4, 6, (3, 2), stride=2, padding=1, groups=2)
    assert layer.output_shape((5, 4, 7, 8)) == (5, 6, 4, 5)
    assert layer.multiply_adds((5, 4, 7, 8)) == 5 * 6 * 4 * 5 * (3 * 2 * 4 // 2)


def test_numpy_integers_are_taken_as_arguments():
    layer = Conv2d(np.int64(2), np.int32(4), np.int64(3), stride=(np.int8(2), 1), groups=np.int64(2))
    assert layer.weight.shape == (4, 1, 3, 3)
    assert layer.output_shape((1, 2, 5, 5)) == (1, 4, 2, 3)


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"in_channels": 0}, ValueError, "in_channels must be at least 1, got 0"),
        ({"in_channels": 2.0}, TypeError, r"in_channels must be an int, got 2\.0"),
        ({"out_channels": -1}, ValueError, "out_channels must be at least 1, got -1"),
        ({"out_channels": True}, TypeError, "out_channels must be an int, got True"),
        ({"kernel_size": 0}, ValueError, "kernel_size must be at least 1, got 0"),
        ({"kernel_size": (3, 0)}, ValueError, "kernel_size must be at least 1, got 0"),
        ({"kernel_size": (3, 3, 3)}, ValueError, r"kernel_size must be an int or a pair of ints, got \(3, 3, 3\)"),
        ({"kernel_size": "3"}, TypeError, "kernel_size must be an int or a pair of ints, got '3'"),
        ({"stride": 0}, ValueError, "stride must be at least 1, got 0"),
        ({"stride": None}, TypeError, "stride must be an int or a pair of ints, got None"),
        ({"dilation": (1, 0)}, ValueError, "dilation must be at least 1, got 0"),
        ({"padding": -1}, ValueError, "padding must be at least 0, got -1"),
        ({"padding": "full"}, ValueError, "padding must be an int, a pair of ints, 'same' or 'valid', got 'full'"),
        ({"padding": "same", "stride": 2}, ValueError, r"padding='same' needs stride 1, got stride \(2, 2\)"),
        ({"groups": 0}, ValueError, "groups must be at least 1, got 0"),
        ({"groups": 4}, ValueError, "groups must divide in_channels and out_channels, got 4 for 4 and 6"),
        ({"groups": 3}, ValueError, "groups must divide in_channels and out_channels, got 3 for 4 and 6"),
        ({"dtype": "float16"}, ValueError, "dtype must be 'float32' or 'float64', got 'float16'"),
        ({"dtype": "no dtype"}, ValueError, "dtype must be 'float32' or 'float64', got 'no dtype'"),
        ({"device": "tpu"}, ValueError, "device must be 'cpu', 'cuda', 'cuda:N' or 'auto', got 'tpu'"),
        ({"device": 0}, TypeError, "device must be a str such as 'cpu' or 'cuda', got 0"),
        ({"seed": -1}, ValueError, "seed must not be negative, got -1"),
        ({"seed": "1"}, TypeError, "seed must be an int, a numpy.random.Generator or None, got '1'"),
    ],
    ids=str,
)
def test_bad_arguments_are_refused_by_name(change, error, message):
    with pytest.raises(error, match=f"^{message}$"):
        Conv2d(**{"in_channels": 4, "out_channels": 6, "kernel_size": 3, **change})


@pytest.mark.parametrize(
    ("x", "error", "message"),
    [
        (normal((2, 4, 9, 9), "float32"), ValueError, r"Conv2d expects 3 input channels, got .* shape \(2, 4, 9, 9\)"),
        (normal((3, 9, 9), "float32"), ValueError, r"expects an input of shape \(N, C, H, W\), got \(3, 9, 9\)"),
        (normal((1, 3, 9, 2), "float32"), ValueError, r"can't fit .* \(3, 3\) .* \(1, 3, 9, 2\): .* would be 7 x 0"),
        (normal((1, 3, 0, 9), "float32"), ValueError, "can't fit a window"),
        (normal((2, 3, 9, 9)), TypeError, "Conv2d's input is of dtype float64, expected float32"),
        (np.ones((2, 3, 9, 9), int), TypeError, "Conv2d's input is of dtype int64, expected float32"),
        ([[1.0]], TypeError, "Conv2d's input: expected a NumPy or CuPy array, got list"),
        (None, TypeError, "Conv2d's input: expected a NumPy or CuPy array, got NoneType"),
    ],
    ids=["channels", "unbatched", "narrow", "empty", "float64", "int", "list", "None"],
)
def test_bad_inputs_are_refused_with_what_is_expected(x, error, message):
    with pytest.raises(error, match=message):
        Conv2d(3, 4, 3)(x)


@pytest.mark.parametrize("size", [1, 2, 3, 4])
def test_a_kernel_that_does_not_fit_is_refused_at_every_stride_as_in_torch(size):
    for stride in range(1, 6):
        with pytest.raises(ValueError, match="can't fit a window"):
            Conv2d(1, 1, 5, stride=stride)(normal((1, 1, size, 9), "float32"))
        with pytest.raises(RuntimeError):
            nn.Conv2d(1, 1, 5, stride=stride)(tensor(normal((1, 1, size, 9), "float32")))


def test_an_input_of_another_device_is_refused():
    layer = Conv2d(1, 1, 1, device="fake")
    with pytest.raises(ValueError, match="Conv2d's input is on 'cpu', expected it on 'fake'"):
        layer(normal((1, 1, 2, 2), "float32"))
    with pytest.raises(ValueError, match="Conv2d's input is on 'fake', expected it on 'cpu'"):
        Conv2d(1, 1, 1)(put(normal((1, 1, 2, 2), "float32"), "fake"))


def test_repr_says_what_it_was_made_of():
    assert repr(Conv2d(2, 4, 3, padding=1, groups=2, bias=False)) == (
        "Conv2d(2, 4, kernel_size=(3, 3), stride=(1, 1), padding=(1, 1), dilation=(1, 1), groups=2, bias=False)"
    )
