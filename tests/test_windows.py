"""Windows over images, against torch's sizes and against counting pixel by pixel."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from npalexnet.windows import Geometry, Windows
from tests.support import PROPERTY


def elements(windows, axis):
    """For each window along an axis, where its elements lie."""
    steps = range(windows.kernel_size[axis])
    starts = (p * windows.stride[axis] - windows.padding[axis] for p in range(windows.output_size[axis]))
    return [[start + i * windows.dilation[axis] for i in steps] for start in starts]


@PROPERTY
@given(data=st.data())
def test_sizes_are_torchs(data):
    kernel, stride, dilation = (data.draw(st.integers(1, 4), name) for name in ("kernel", "stride", "dilation"))
    padding, size = data.draw(st.integers(0, kernel // 2), "padding"), data.draw(st.integers(1, 12), "size")
    ceil_mode = data.draw(st.booleans(), "ceil_mode")
    geometry = Geometry((kernel,) * 2, (stride,) * 2, (dilation,) * 2, ((padding,) * 2,) * 2, ceil_mode)
    try:
        expected = torch.nn.MaxPool2d(kernel, stride, padding, dilation, ceil_mode=ceil_mode)(
            torch.ones(1, 1, size, size)
        )
    except RuntimeError:
        with pytest.raises(ValueError, match="Pool can't fit a window"):
            geometry.windows("Pool", (1, 1, size, size))
    else:
        assert geometry.windows("Pool", (1, 1, size, size)).output_size == expected.shape[2:]


@PROPERTY
@given(data=st.data())
def test_what_windows_cover_is_all_their_pixels_and_a_border_around_them(data):
    pair = st.tuples(st.integers(1, 4), st.integers(1, 4))
    kernel, stride, dilation, output_size, size = (data.draw(pair, name) for name in ("k", "s", "d", "o", "HW"))
    windows = Windows(
        kernel, stride, dilation, data.draw(st.tuples(st.integers(-6, 6), st.integers(-6, 6))), output_size
    )
    borders, inside = windows.covered(*size)
    firsts = windows.first_inside(*size)
    for axis in (0, 1):
        places = elements(windows, axis)
        pixels = np.arange(size[axis])[inside[axis + 1]]
        assert {place for window in places for place in window if 0 <= place < size[axis]} <= set(pixels)
        before, after = borders[axis]
        assert before + len(pixels) + after == places[-1][-1] - places[0][0] + 1
        if len(pixels):
            assert pixels[0] - before == places[0][0]
        for window, first in zip(places, firsts[axis], strict=True):
            found = [i for i, place in enumerate(window) if 0 <= place < size[axis]]
            assert first == (found[0] if found else kernel[axis])


def test_some_rows_of_windows_begin_where_they_lay_among_all():
    windows = Windows((3, 2), (2, 1), (1, 3), (1, 0), (5, 4))
    assert windows.for_output_rows(slice(2, 4)) == Windows((3, 2), (2, 1), (1, 3), (-3, 0), (2, 4))
    assert elements(windows.for_output_rows(slice(2, 4)), 0) == elements(windows, 0)[2:4]


@pytest.mark.parametrize(
    ("shape", "message"),
    [
        ((2, 3, 9), r"Conv expects an input of shape \(N, C, H, W\), got \(2, 3, 9\)"),
        ((2, 4, 9, 9), r"Conv expects 3 input channels, got an input of shape \(2, 4, 9, 9\)"),
        (
            (2, 3, 9, 2),
            r"can't fit a window of \(3, 5\) into an input of shape \(2, 3, 9, 2\): the output would be 7 x -2",
        ),
    ],
)
def test_a_shape_without_room_for_a_window_is_refused(shape, message):
    with pytest.raises(ValueError, match=message):
        Geometry((3, 5), (1, 1), (1, 1), ((0, 0), (0, 0))).windows("Conv", shape, 3)
