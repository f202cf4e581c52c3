"""im2col and col2im against their definition, number by number."""

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from npalexnet.layers.im2col import channels_first, channels_last, col2im, each_window, im2col, pad, windows
from tests.support import PROPERTY, assert_close, get, normal, put

GEOMETRIES = [
    ((1, 1), (1, 1), (1, 1)),
    ((3, 2), (1, 1), (1, 1)),
    ((2, 3), (2, 1), (1, 2)),
    ((3, 3), (2, 2), (1, 1)),
    ((2, 5), (2, 2), (1, 1)),
    ((2, 2), (3, 4), (3, 1)),
]


def places(shape, kernel_size, stride, dilation):
    """The place in the image, (n, h, w, c), of each number of the columns, row by row."""
    N, H, W, C = shape
    (kH, kW), (sH, sW), (dH, dW) = kernel_size, stride, dilation
    tops = [p for p in range(0, H, sH) if p + (kH - 1) * dH < H]
    lefts = [q for q in range(0, W, sW) if q + (kW - 1) * dW < W]
    return [
        [(n, p + i * dH, q + j * dW, c) for i in range(kH) for j in range(kW) for c in range(C)]
        for n in range(N)
        for p in tops
        for q in lefts
    ]


@pytest.mark.parametrize("geometry", GEOMETRIES)
def test_each_row_of_columns_is_a_window(geometry, dtype, device):
    x = normal((2, 6, 7, 3), dtype)
    expected = np.array([[x[place] for place in row] for row in places(x.shape, *geometry)])
    columns = get(im2col(put(x, device), *geometry))
    assert columns.dtype == dtype
    np.testing.assert_array_equal(columns, expected)


@pytest.mark.parametrize("geometry", GEOMETRIES)
def test_each_number_of_columns_is_added_to_its_pixel(geometry, device):
    shape = (2, 6, 7, 3)
    table = places(shape, *geometry)
    columns = normal((len(table), len(table[0])))
    start = normal(shape, seed=1)  # col2im adds to what is there
    expected = start.copy()
    for row, numbers in zip(table, columns, strict=True):
        for place, number in zip(row, numbers, strict=True):
            expected[place] += number
    x = put(start.copy(), device)
    col2im(put(columns, device), x, *geometry)
    assert_close(x, expected)


@PROPERTY
@given(data=st.data())
def test_col2im_is_the_adjoint_of_im2col(device, data):
    pair = st.tuples(st.integers(1, 3), st.integers(1, 3))
    kernel_size, stride, dilation = data.draw(pair, "kernel"), data.draw(pair, "stride"), data.draw(pair, "dilation")
    shape = tuple(data.draw(st.integers(1, 7), name) for name in "NHWC")
    assume(all(d * (k - 1) < size for d, k, size in zip(dilation, kernel_size, shape[1:], strict=False)))
    x = normal(shape)
    columns = get(im2col(put(x, device), kernel_size, stride, dilation)).copy()
    other = normal(columns.shape, seed=1)
    back = put(np.zeros(shape), device)
    col2im(put(other, device), back, kernel_size, stride, dilation)
    np.testing.assert_allclose((columns * other).sum(), (x * get(back)).sum(), rtol=1e-10, atol=1e-10)


def test_windows_take_no_memory_of_their_own():
    x = normal((1, 5, 5, 2))
    view = windows(x, (3, 3), (1, 1), (1, 1))
    assert view.shape == (1, 3, 3, 3, 3, 2)
    assert np.shares_memory(view, x)


def test_a_group_of_channels_gives_its_own_columns_though_its_memory_has_gaps():
    x = normal((2, 4, 4, 6))
    geometry = ((2, 2), (1, 1), (1, 1))
    expected = np.array([[x[..., 2:4][place] for place in row] for row in places((2, 4, 4, 2), *geometry)])
    np.testing.assert_array_equal(im2col(x[..., 2:4], *geometry), expected)


def test_columns_reuse_their_memory():
    geometry = ((2, 2), (1, 1), (1, 1))
    first = im2col(normal((1, 4, 4, 2)), *geometry)
    assert np.shares_memory(first, im2col(normal((1, 4, 4, 2)), *geometry))


@pytest.mark.parametrize("value", [0.0, -np.inf])
def test_pad_puts_the_border_on_the_right_sides(value, dtype, device):
    x = normal((2, 3, 4, 5), dtype)
    expected = np.pad(x, ((0, 0), (1, 2), (3, 0), (0, 0)), constant_values=value)
    padded = get(pad(put(x, device), (1, 2), (3, 0), value))
    assert padded.dtype == dtype
    np.testing.assert_array_equal(padded, expected)


def test_pad_without_a_border_copies_nothing():
    x = normal((1, 2, 2, 1))
    assert pad(x, (0, 0), (0, 0), 0) is x


def test_channels_last_copies_only_where_memory_is_in_another_order():
    x = normal((2, 3, 4, 5))
    last = channels_last(x)
    np.testing.assert_array_equal(last, np.moveaxis(x, 1, 3))
    assert last.flags.c_contiguous
    assert not np.shares_memory(last, x)
    assert np.shares_memory(channels_last(channels_first(last)), last)
    np.testing.assert_array_equal(channels_first(last), x)


def test_each_window_takes_one_pixel_of_each_window():
    x = normal((2, 7, 9, 3))
    np.testing.assert_array_equal(x[each_window(1, 3, 2, 2, 2, 3)], x[:, [1, 3, 5]][:, :, [2, 5]])


def test_no_window_is_taken_twice():
    assert windows(normal((1, 5, 6, 1)), (3, 2), (2, 2), (1, 1)).shape == (1, 2, 3, 3, 2, 1)
