"""MaxPool2d against torch, the plain loops and slopes; ties, NaN and windows of minus infinity."""

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from torch import nn

from npalexnet import MaxPool2d, naive
from tests.support import (
    PROPERTY,
    assert_close,
    assert_gradients_are_slopes,
    assert_matches_torch,
    distinct,
    forward_backward,
    get,
    normal,
    put,
    tensor,
    torch_forward_backward,
)

CASES = {  # height, width, and the arguments
    "the network's": (13, 13, {"kernel_size": 3, "stride": 2}),
    "sizes that the stride doesn't divide": (8, 10, {"kernel_size": 3, "stride": 2}),
    "stride left out": (7, 8, {"kernel_size": 2}),
    "pairs": (7, 9, {"kernel_size": (3, 2), "stride": (1, 3), "padding": (1, 0), "dilation": (1, 2)}),
    "padding of half an even window": (5, 6, {"kernel_size": 4, "stride": 2, "padding": 2}),
    "padding of half an odd window": (5, 6, {"kernel_size": 5, "stride": 2, "padding": 2}),
    "stride beyond the window": (9, 10, {"kernel_size": 2, "stride": 3}),
    "dilation": (9, 8, {"kernel_size": 3, "stride": 2, "dilation": 2, "padding": 1}),
    "1x1": (4, 5, {"kernel_size": 1}),
    "1x1 with stride": (4, 5, {"kernel_size": 1, "stride": 2}),
    "the whole image": (4, 5, {"kernel_size": (4, 5)}),
    "ceil mode": (6, 8, {"kernel_size": 3, "stride": 2, "ceil_mode": True}),
    "ceil mode where the last window would start outside": (4, 5, {"kernel_size": 1, "stride": 3, "ceil_mode": True}),
    "ceil mode with padding": (6, 7, {"kernel_size": 3, "stride": 3, "padding": 1, "ceil_mode": True}),
    "ceil mode with a window larger than the image": (4, 3, {"kernel_size": 5, "stride": 3, "ceil_mode": True}),
    "255 numbers in a window": (16, 18, {"kernel_size": (15, 17), "stride": 1}),
    "more than 255 numbers in a window": (18, 17, {"kernel_size": 17, "stride": 1}),
}


def torch_twin(kernel_size, stride=None, padding=0, dilation=1, ceil_mode=False):
    return nn.MaxPool2d(kernel_size, stride, padding, dilation, ceil_mode=ceil_mode)


def settle_as_torch(layer, twin, x, device):
    """Hold output and gradient against torch's to the bit, NaN and infinities included."""
    grad_y = normal(twin(tensor(x)).shape, x.dtype, seed=4)
    expected_y, expected_grad_x, _ = torch_forward_backward(twin, x, grad_y)
    for training in (True, False):
        y, grad_x, _ = forward_backward(layer.train(training), x, grad_y, device)
        np.testing.assert_array_equal(y, expected_y.numpy())
        assert_close(grad_x, expected_grad_x)


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_output_and_gradient_are_torchs(case, dtype, device):
    H, W, arguments = case
    assert_matches_torch(MaxPool2d(**arguments), torch_twin(**arguments), distinct((3, 4, H, W), dtype), device)


@pytest.mark.parametrize(
    "arguments",
    [
        ((3, 3), (2, 2), (0, 0), (1, 1), False),
        ((2, 3), (2, 1), (1, 1), (1, 2), False),
        ((3, 2), (3, 3), (1, 0), (1, 1), True),
    ],
)
def test_output_and_gradient_are_those_of_the_definition(arguments, device):
    x = distinct((2, 3, 6, 7))
    expected = naive.max_pool2d(x, *arguments)
    grad_y = normal(expected.shape)
    y, grad_x, _ = forward_backward(MaxPool2d(*arguments[:4], ceil_mode=arguments[4]), x, grad_y, device)
    np.testing.assert_array_equal(y, expected)
    assert_close(grad_x, naive.max_pool2d_gradient(grad_y, x, *arguments))


def test_gradient_is_the_slope():
    assert_gradients_are_slopes(MaxPool2d(3, 2, padding=1), distinct((2, 3, 6, 7)))


@PROPERTY
@given(data=st.data())
def test_any_geometry_is_torchs(device, data):
    pair = st.tuples(st.integers(1, 4), st.integers(1, 4))
    kernel_size, stride = data.draw(pair, "kernel"), data.draw(st.none() | pair, "stride")
    padding = tuple(data.draw(st.integers(0, k // 2), "padding") for k in kernel_size)
    dilation = data.draw(pair, "dilation")
    ceil_mode = data.draw(st.booleans(), "ceil_mode")
    shape = tuple(
        data.draw(st.integers(low, high), name)
        for name, low, high in zip("NCHW", (0, 1, 1, 1), (3, 3, 9, 9), strict=True)
    )
    for size, k, p, d in zip(shape[2:], kernel_size, padding, dilation, strict=True):
        assume(size + 2 * p >= d * (k - 1) + 1)
        assume(size >= d or p == 0)  # else some windows lie between the lines, and torch's own index is out of bounds
    arguments = {"kernel_size": kernel_size, "stride": stride, "padding": padding, "dilation": dilation}
    arguments["ceil_mode"] = ceil_mode
    assert_matches_torch(MaxPool2d(**arguments), torch_twin(**arguments), distinct(shape), device)


@pytest.mark.parametrize("N", [0, 1, 2, 7, 8, 9, 33])
def test_no_image_is_lost_however_the_batch_is_cut(N, dtype, device):
    assert_matches_torch(MaxPool2d(3, 2), nn.MaxPool2d(3, 2), distinct((N, 2, 5, 6), dtype), device)


def test_the_first_of_equal_numbers_gets_the_whole_gradient(dtype, device):
    x = np.array([[[[1, 5, 5], [5, 0, 5]]]], dtype)
    _, grad_x, _ = forward_backward(MaxPool2d((2, 3)), x, np.full((1, 1, 1, 1), 7, dtype), device)
    np.testing.assert_array_equal(grad_x, [[[[0, 7, 0], [0, 0, 0]]]])


def test_a_pixel_gets_the_sum_of_what_overlapping_windows_send_to_it(dtype, device):
    x = np.array([[[[1, 9, 2, 0]]]], dtype)
    _, grad_x, _ = forward_backward(MaxPool2d((1, 2), 1), x, np.array([[[[10, 100, 1000]]]], dtype), device)
    np.testing.assert_array_equal(grad_x, [[[[0, 110, 1000, 0]]]])


@pytest.mark.parametrize("values", [[0, 1], [-1, 0, 1], [0, np.nan], [-np.inf, np.nan], [-np.inf, 0], [np.inf, 0]])
@pytest.mark.parametrize("name", ["the network's", "pairs", "padding of half an even window", "ceil mode with padding"])
def test_ties_nan_and_infinities_are_settled_as_in_torch(values, name, dtype, device):
    H, W, arguments = CASES[name]
    x = np.random.default_rng(3).choice(values, (2, 3, H, W)).astype(dtype)
    settle_as_torch(MaxPool2d(**arguments), torch_twin(**arguments), x, device)


@pytest.mark.parametrize("value", [-np.inf, np.nan, 0.0])
def test_windows_of_one_value_alone_are_settled_as_in_torch(value, dtype, device):
    arguments = {"kernel_size": 3, "stride": 2, "padding": 1, "ceil_mode": True}
    x = np.full((2, 2, 6, 7), value, dtype)
    settle_as_torch(MaxPool2d(**arguments), torch_twin(**arguments), x, device)


def test_padding_counts_as_minus_infinity_not_as_zero(dtype, device):
    y = get(MaxPool2d(3, 1, 1)(put(np.full((1, 1, 2, 2), -8, dtype), device)))
    np.testing.assert_array_equal(y, np.full((1, 1, 2, 2), -8))


def test_a_window_with_no_pixel_of_the_image_is_minus_infinity_and_sends_its_gradient_nowhere(dtype, device):
    layer = MaxPool2d(2, 1, padding=1, dilation=2)  # on one pixel: its elements are at -1 and 1
    y, grad_x, _ = forward_backward(layer, np.ones((1, 1, 1, 1), dtype), np.ones((1, 1, 1, 1), dtype), device)
    assert y.item() == -np.inf
    assert grad_x.item() == 0


def test_output_is_channels_last_in_memory():
    for layer in (MaxPool2d(3, 2), MaxPool2d(3, 2).eval()):
        assert layer(normal((2, 3, 7, 7))).transpose(0, 2, 3, 1).flags.c_contiguous


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"kernel_size": 0}, ValueError, "kernel_size must be at least 1, got 0"),
        ({"kernel_size": 2.0}, TypeError, r"kernel_size must be an int or a pair of ints, got 2\.0"),
        ({"kernel_size": 2, "stride": 0}, ValueError, "stride must be at least 1, got 0"),
        ({"kernel_size": 2, "padding": -1}, ValueError, "padding must be at least 0, got -1"),
        ({"kernel_size": 2, "padding": "same"}, TypeError, "padding must be an int or a pair of ints, got 'same'"),
        ({"kernel_size": 2, "dilation": 0}, ValueError, "dilation must be at least 1, got 0"),
        ({"kernel_size": 3, "padding": 2}, ValueError, r"padding must be at most half of .* \(3, 3\), got \(2, 2\)"),
        ({"kernel_size": (4, 1), "padding": (2, 1)}, ValueError, r"at most half of kernel_size \(4, 1\), got \(2, 1\)"),
    ],
    ids=str,
)
def test_bad_arguments_are_refused_by_name(arguments, error, message):
    with pytest.raises(error, match=message):
        MaxPool2d(**arguments)


@pytest.mark.parametrize(
    ("x", "error", "message"),
    [
        (normal((3, 9, 9)), ValueError, r"MaxPool2d expects an input of shape \(N, C, H, W\), got \(3, 9, 9\)"),
        (normal((1, 2, 2, 9)), ValueError, r"MaxPool2d can't fit .* \(3, 3\) .* \(1, 2, 2, 9\): .* would be 0 x 4"),
        (
            np.ones((1, 1, 5, 5), int),
            TypeError,
            "MaxPool2d's input is of dtype int64, expected float32, float64, float16 or bfloat16",
        ),
        ("x", TypeError, "MaxPool2d's input: expected a NumPy or CuPy array, got str"),
    ],
    ids=["unbatched", "small", "int", "str"],
)
def test_bad_inputs_are_refused_with_what_is_expected(x, error, message):
    with pytest.raises(error, match=message):
        MaxPool2d(3, 2)(x)


def test_repr_says_what_it_was_made_of():
    assert repr(MaxPool2d(3, 2)) == (
        "MaxPool2d(kernel_size=(3, 3), stride=(2, 2), padding=(0, 0), dilation=(1, 1), ceil_mode=False)"
    )
