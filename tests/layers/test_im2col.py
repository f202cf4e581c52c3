"""im2col and col2im against their definition, number by number."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from npalexnet.layers.im2col import channels_last, col2im, covered_pixels, window_elements
from npalexnet.windows import Windows
from tests.support import PROPERTY, assert_close, columns_of, get, normal, put

SHAPE = (2, 6, 7, 3)
CASES = [  # kernel size, stride, dilation, padding, output size
    Windows((1, 1), (1, 1), (1, 1), (0, 0), (6, 7)),
    Windows((3, 2), (1, 1), (1, 1), (0, 0), (4, 6)),
    Windows((2, 3), (2, 1), (1, 2), (0, 0), (3, 3)),
    Windows((3, 3), (2, 2), (1, 1), (0, 0), (2, 3)),
    Windows((2, 5), (2, 2), (1, 1), (0, 0), (3, 2)),
    Windows((2, 2), (3, 4), (3, 1), (0, 0), (1, 2)),
    Windows((3, 3), (1, 1), (1, 1), (1, 1), (6, 7)),  # with a border on all sides
    Windows((3, 2), (2, 3), (2, 1), (2, 1), (3, 3)),
    Windows((2, 2), (1, 1), (1, 1), (-3, -1), (3, 4)),  # beginning inside the image
    Windows((1, 1), (1, 2), (1, 1), (2, 3), (1, 2)),  # outside of it altogether
    Windows((2, 1), (1, 1), (1, 1), (-7, 0), (2, 3)),  # and behind its end
]


def places(shape, windows):
    """The place in the image, (n, h, w, c), of each number of the columns, row by row; None outside of it."""
    N, H, W, C = shape
    (kH, kW), (sH, sW), (dH, dW) = windows.kernel_size, windows.stride, windows.dilation
    (top, left), (oH, oW) = windows.padding, windows.output_size
    return [
        [
            (n, h, w, c) if 0 <= h < H and 0 <= w < W else None
            for h in (p * sH + i * dH - top for i in range(kH))
            for w in (q * sW + j * dW - left for j in range(kW))
            for c in range(C)
        ]
        for n in range(N)
        for p in range(oH)
        for q in range(oW)
    ]


def columns_by_definition(x, windows):
    return np.array([[0 if place is None else x[place] for place in row] for row in places(x.shape, windows)], x.dtype)


@pytest.mark.parametrize("windows", CASES, ids=str)
def test_each_row_of_columns_is_a_window(windows, dtype, device):
    x = normal(SHAPE, dtype)
    expected = columns_by_definition(x, windows)
    columns = columns_of(put(x, device), windows)
    assert columns.dtype == dtype
    np.testing.assert_array_equal(columns, expected)


@pytest.mark.parametrize("add", [True, False])
@pytest.mark.parametrize("windows", CASES, ids=str)
def test_each_number_of_columns_is_added_to_its_pixel(windows, add, device):
    table = places(SHAPE, windows)
    columns = normal((len(table), len(table[0])))
    start = normal(SHAPE, seed=1)
    expected = start.copy() if add else np.zeros(SHAPE)
    for row, numbers in zip(table, columns, strict=True):
        for place, number in zip(row, numbers, strict=True):
            if place is not None:
                expected[place] += number
    x = put(start.copy(), device)
    col2im(put(columns, device), x, windows, add=add)
    assert_close(x, expected)


@PROPERTY
@given(data=st.data())
def test_col2im_is_the_adjoint_of_im2col(device, data):
    kernel, stride, dilation, padding, output_size = (
        data.draw(st.tuples(st.integers(low, 4), st.integers(low, 4)), name)
        for name, low in [("kernel", 1), ("stride", 1), ("dilation", 1), ("padding", -3), ("output size", 1)]
    )
    windows = Windows(kernel, stride, dilation, padding, output_size)
    x = normal(tuple(data.draw(st.integers(1, 7), name) for name in "NHWC"))
    columns = columns_of(put(x, device), windows)
    other = normal(columns.shape, seed=1)
    back = put(np.zeros(x.shape), device)
    col2im(put(other, device), back, windows)
    np.testing.assert_allclose((columns * other).sum(), (x * get(back)).sum(), rtol=1e-10, atol=1e-10)


def test_windows_take_no_memory_of_their_own():
    x = normal((1, 5, 5, 2))
    view = window_elements(x, Windows((3, 3), (1, 1), (1, 1), (0, 0), (3, 3)))
    assert view.shape == (1, 3, 3, 3, 3, 2)
    assert np.shares_memory(view, x)


def test_a_group_of_channels_gives_its_own_columns_though_its_memory_has_gaps():
    x = normal((2, 4, 4, 6))
    windows = Windows((2, 2), (1, 1), (1, 1), (1, 0), (4, 3))
    expected = columns_by_definition(x[..., 2:4], windows)
    np.testing.assert_array_equal(columns_of(x[..., 2:4], windows), expected)


def test_columns_may_be_longer_than_a_window_and_are_0_there(device):
    x, windows = normal(SHAPE), CASES[6]
    columns = columns_of(put(x, device), windows, spare=3)
    np.testing.assert_array_equal(columns[:, :-3], columns_by_definition(x, windows))
    assert (columns[:, -3:] == 0).all()
    back, expected = put(np.zeros(SHAPE), device), put(np.zeros(SHAPE), device)
    other = normal(columns.shape, seed=1)
    col2im(put(other, device), back, windows)
    col2im(put(np.ascontiguousarray(other[:, :-3]), device), expected, windows)
    np.testing.assert_array_equal(get(back), get(expected))


@pytest.mark.parametrize("value", [0.0, -np.inf])
def test_pad_puts_the_border_on_the_right_sides(value, dtype, device):
    x = normal((2, 3, 4, 5), dtype)
    expected = np.pad(x, ((0, 0), (1, 2), (3, 0), (0, 0)), constant_values=value)
    windows = Windows((2, 3), (1, 1), (1, 1), (1, 3), (5, 5))  # from row -1 to 4, and from column -3 to 3
    padded = get(covered_pixels(put(x, device), windows, value))
    assert padded.dtype == dtype
    np.testing.assert_array_equal(padded, expected)


def test_pad_without_a_border_copies_nothing():
    x = normal((1, 3, 4, 1))
    inside = covered_pixels(x, Windows((2, 2), (1, 1), (1, 1), (-1, 0), (1, 2)), 0)
    assert np.shares_memory(inside, x)
    np.testing.assert_array_equal(inside, x[:, 1:, :3])


def test_channels_last_copies_only_where_memory_is_in_another_order():
    x = normal((2, 3, 4, 5))
    last = channels_last(x)
    np.testing.assert_array_equal(last, np.moveaxis(x, 1, 3))
    assert last.flags.c_contiguous
    assert not np.shares_memory(last, x)
    assert np.shares_memory(channels_last(last.transpose(0, 3, 1, 2)), last)
