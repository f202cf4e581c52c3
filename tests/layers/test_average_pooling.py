"""AvgPool2d and AdaptiveAvgPool2d against torch, the plain loops and slopes."""

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from torch import nn

from npalexnet import AdaptiveAvgPool2d, AvgPool2d, naive
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

WINDOWS = {  # height, width, and the arguments
    "overlapping": (8, 9, {"kernel_size": 3, "stride": 2}),
    "stride left out": (7, 8, {"kernel_size": 2}),
    "pairs": (7, 9, {"kernel_size": (3, 2), "stride": (1, 3), "padding": (1, 0)}),
    "padding that counts": (5, 6, {"kernel_size": 4, "stride": 2, "padding": 2}),
    "padding that does not count": (5, 6, {"kernel_size": 5, "stride": 2, "padding": 2, "count_include_pad": False}),
    "stride beyond the window": (9, 10, {"kernel_size": 2, "stride": 3}),
    "1x1": (4, 5, {"kernel_size": 1, "stride": 2}),
    "the whole image": (4, 5, {"kernel_size": (4, 5)}),
    "ceil mode": (6, 8, {"kernel_size": 3, "stride": 2, "ceil_mode": True}),
    "ceil mode where the last window would start outside": (4, 5, {"kernel_size": 1, "stride": 3, "ceil_mode": True}),
    "ceil mode with padding": (6, 7, {"kernel_size": 3, "stride": 3, "padding": 1, "ceil_mode": True}),
    "ceil mode with padding that does not count": (
        *(6, 7), {"kernel_size": 3, "stride": 3, "padding": 1, "ceil_mode": True, "count_include_pad": False},
    ),
    "ceil mode with a window larger than the image": (4, 3, {"kernel_size": 5, "stride": 3, "ceil_mode": True}),
}  # fmt: skip
PARTS = {  # height, width, output_size
    "the network's, of its own size": (6, 6, 6),
    "the network's, of a larger image": (13, 11, 6),
    "the network's, of the smallest image": (1, 1, 6),
    "fewer pixels than parts": (4, 5, 6),
    "pairs": (7, 9, (2, 5)),
    "all of it": (5, 7, 1),
}


@pytest.mark.parametrize("case", WINDOWS.values(), ids=WINDOWS)
def test_averages_of_windows_and_their_gradient_are_torchs(case, dtype, device):
    H, W, arguments = case
    assert_matches_torch(AvgPool2d(**arguments), nn.AvgPool2d(**arguments), normal((3, 4, H, W), dtype), device)


@pytest.mark.parametrize("case", PARTS.values(), ids=PARTS)
def test_averages_of_parts_and_their_gradient_are_torchs(case, dtype, device):
    H, W, size = case
    assert_matches_torch(AdaptiveAvgPool2d(size), nn.AdaptiveAvgPool2d(size), normal((3, 4, H, W), dtype), device)


@pytest.mark.parametrize(
    "arguments",
    [
        ((3, 3), (2, 2), (0, 0), False, True),
        ((2, 3), (2, 1), (1, 1), False, False),
        ((3, 2), (3, 3), (1, 0), True, True),
        ((3, 3), (3, 2), (1, 1), True, False),
    ],
)
def test_averages_of_windows_are_those_of_the_definition(arguments, device):
    x = normal((2, 3, 6, 7))
    expected = naive.avg_pool2d(x, *arguments)
    grad_y, (kernel_size, stride, padding, ceil_mode, count_include_pad) = normal(expected.shape, seed=1), arguments
    layer = AvgPool2d(kernel_size, stride, padding, ceil_mode=ceil_mode, count_include_pad=count_include_pad)
    y, grad_x, _ = forward_backward(layer, x, grad_y, device)
    assert_close(y, expected)
    assert_close(grad_x, naive.avg_pool2d_gradient(grad_y, x, *arguments))


@pytest.mark.parametrize("size", [(6, 6), (2, 5), (9, 1)])
def test_averages_of_parts_are_those_of_the_definition(size, device):
    x, grad_y = normal((2, 3, 5, 8)), normal((2, 3, *size), seed=1)
    y, grad_x, _ = forward_backward(AdaptiveAvgPool2d(size), x, grad_y, device)
    assert_close(y, naive.adaptive_avg_pool2d(x, size))
    assert_close(grad_x, naive.adaptive_avg_pool2d_gradient(grad_y, x))


@pytest.mark.parametrize("layer", [AvgPool2d(3, 2, padding=1), AdaptiveAvgPool2d((3, 4))], ids=repr)
def test_gradient_is_the_slope(layer):
    assert_gradients_are_slopes(layer, normal((2, 3, 6, 7)))


@PROPERTY
@given(data=st.data())
def test_any_geometry_of_windows_is_torchs(device, data):
    pair = st.tuples(st.integers(1, 4), st.integers(1, 4))
    kernel_size, stride = data.draw(pair, "kernel"), data.draw(st.none() | pair, "stride")
    padding = tuple(data.draw(st.integers(0, k // 2), "padding") for k in kernel_size)
    shape = tuple(
        data.draw(st.integers(low, high), name)
        for name, low, high in zip("NCHW", (0, 1, 1, 1), (3, 3, 9, 9), strict=True)
    )
    assume(all(size + 2 * p >= k for size, k, p in zip(shape[2:], kernel_size, padding, strict=True)))
    arguments = {"kernel_size": kernel_size, "stride": stride, "padding": padding}
    for name in ("ceil_mode", "count_include_pad"):
        arguments[name] = data.draw(st.booleans(), name)
    assert_matches_torch(AvgPool2d(**arguments), nn.AvgPool2d(**arguments), normal(shape), device)


@PROPERTY
@given(size=st.tuples(st.integers(1, 7), st.integers(1, 7)), H=st.integers(1, 12), W=st.integers(1, 12))
def test_any_number_of_parts_is_torchs(device, size, H, W):
    assert_matches_torch(AdaptiveAvgPool2d(size), nn.AdaptiveAvgPool2d(size), normal((2, 3, H, W)), device)


def test_as_many_parts_as_pixels_change_no_bit(dtype, device):
    x = normal((2, 3, 6, 6), dtype)
    y, grad_x, _ = forward_backward(AdaptiveAvgPool2d(6), x, x, device)
    np.testing.assert_array_equal(y, x)
    np.testing.assert_array_equal(grad_x, x)


@pytest.mark.parametrize("N", [0, 1, 7, 33])
@pytest.mark.parametrize(
    ("layer", "twin"), [(AvgPool2d(3, 2), nn.AvgPool2d(3, 2)), (AdaptiveAvgPool2d(3), nn.AdaptiveAvgPool2d(3))]
)
def test_no_image_is_lost_however_the_batch_is_cut(layer, twin, N, device):
    assert_matches_torch(layer, twin, normal((N, 2, 5, 6)), device)


@pytest.mark.parametrize("layer", [AvgPool2d(7), AdaptiveAvgPool2d(1)], ids=repr)
def test_numbers_of_16_bits_are_added_in_32(layer, device):
    x = np.full((1, 2, 7, 7), 1000, np.float16)  # whose sum is beyond what 16 bits can hold
    y = get(layer(put(x, device)))
    assert y.dtype == np.float16
    np.testing.assert_array_equal(y, np.full((1, 2, 1, 1), 1000, np.float16))
    grad_x = get(layer.backward(put(y, device)))
    np.testing.assert_allclose(grad_x, np.full(x.shape, 1000 / 49, np.float16), rtol=1e-3)


@pytest.mark.parametrize("value", [np.inf, -np.inf, np.nan])
def test_what_is_not_finite_stays_in_its_own_windows(value, device):
    x = normal((1, 1, 6, 6))
    x[0, 0, 0, 5] = value
    for layer, twin in ((AvgPool2d(2), nn.AvgPool2d(2)), (AdaptiveAvgPool2d(4), nn.AdaptiveAvgPool2d(4))):
        with np.errstate(invalid="ignore"):
            y = get(layer(put(x, device)))
        np.testing.assert_allclose(y, twin(tensor(x)).numpy(), rtol=1e-12)


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: AvgPool2d(0), ValueError, "kernel_size must be at least 1, got 0"),
        (lambda: AvgPool2d(2, stride=0), ValueError, "stride must be at least 1, got 0"),
        (lambda: AvgPool2d(3, padding=2), ValueError, r"padding must be at most half of kernel_size \(3, 3\), got \(2"),
        (lambda: AvgPool2d(2.0), TypeError, "kernel_size must be an int or a pair of ints, got 2.0"),
        (lambda: AdaptiveAvgPool2d(0), ValueError, "output_size must be at least 1, got 0"),
        (lambda: AdaptiveAvgPool2d((2, None)), TypeError, "output_size must be an int, got None"),
    ],
)
def test_bad_arguments_are_refused_by_name(make, error, message):
    with pytest.raises(error, match=message):
        make()


@pytest.mark.parametrize(
    ("layer", "shape", "message"),
    [
        (AvgPool2d(3), (2, 3, 5), r"AvgPool2d expects an input of shape \(N, C, H, W\), got \(2, 3, 5\)"),
        (AvgPool2d(3), (2, 3, 2, 5), r"AvgPool2d can't fit a window of \(3, 3\)"),
        (AdaptiveAvgPool2d(2), (3, 5, 5), r"AdaptiveAvgPool2d expects .* got \(3, 5, 5\): a batch comes first"),
        (AdaptiveAvgPool2d(2), (1, 3, 0, 5), r"AdaptiveAvgPool2d expects .* got \(1, 3, 0, 5\)$"),
    ],
)
def test_bad_inputs_are_refused_with_what_is_expected(layer, shape, message):
    with pytest.raises(ValueError, match=message):
        layer(np.zeros(shape))


def test_repr_says_what_they_were_made_of():
    assert repr(AdaptiveAvgPool2d(6)) == "AdaptiveAvgPool2d(output_size=(6, 6))"
    assert repr(AvgPool2d(3, 2, ceil_mode=True)) == (
        "AvgPool2d(kernel_size=(3, 3), stride=(2, 2), padding=(0, 0), ceil_mode=True, count_include_pad=True)"
    )
