"""The CUDA kernels, run on the CPU: columns and max-pooling, against the plain lines, torch and the definitions."""

import numpy as np
import pytest
import torch

from npalexnet import MaxPool2d, naive
from npalexnet.layers.im2col import col2im
from npalexnet.windows import Geometry, Windows
from tests.fakes.launcher import same_bits
from tests.support import assert_close, columns_of, normal, tensor

# --- convolution ---------------------------------------------------------------------------------------------------

CONVOLUTIONS = {  # (H, W), channels, kernel, stride, ((top, bottom), (left, right)), dilation
    "conv1": ((23, 23), 3, (11, 11), (4, 4), ((0, 0), (0, 0)), (1, 1)),
    "conv2": ((7, 6), 5, (5, 5), (1, 1), ((2, 2), (2, 2)), (1, 1)),
    "overlap that does not divide": ((9, 8), 4, (3, 2), (2, 1), ((1, 0), (0, 2)), (1, 1)),
    "gaps between windows": ((11, 10), 3, (2, 2), (3, 4), ((1, 1), (0, 0)), (1, 1)),
    "dilation": ((9, 12), 2, (3, 3), (2, 3), ((2, 1), (3, 0)), (2, 3)),
    "wide padding": ((2, 3), 2, (2, 3), (1, 2), ((3, 3), (4, 4)), (1, 1)),
    "whole units": ((7, 6), 8, (3, 2), (2, 1), ((1, 1), (2, 0)), (1, 1)),
    "whole units and dilation": ((7, 9), 16, (2, 3), (1, 2), ((1, 0), (0, 1)), (2, 2)),
    "one pixel": ((1, 1), 1, (1, 1), (1, 1), ((0, 0), (0, 0)), (1, 1)),
    "runs longer than a block": ((3, 5), 130, (2, 3), (1, 1), ((0, 1), (1, 0)), (1, 1)),
}
convolutions = pytest.mark.parametrize("case", CONVOLUTIONS.values(), ids=CONVOLUTIONS)


def windows_of(case):
    size, channels, kernel, stride, padding, dilation = case
    return Geometry(kernel, stride, dilation, padding).windows("", (1, channels, *size))


@convolutions
@pytest.mark.parametrize("spare", [0, 3])
def test_im2col_is_the_plain_one_and_the_rest_of_a_row_is_zero(kernels, memory, case, spare, dtype):
    (H, W), C, *_ = case
    images = normal((3, H, W, C), dtype)
    expected = columns_of(images, windows_of(case))
    columns = memory.empty((len(expected), expected.shape[1] + spare), dtype)
    assert kernels.im2col(memory.copy(images), windows_of(case), columns) is columns
    same_bits(columns[:, : expected.shape[1]], expected)
    assert (columns[:, expected.shape[1] :] == 0).all()


@pytest.mark.parametrize(
    ("channels", "group", "spare", "dtype", "name"),
    [
        (4, slice(None), 0, "float32", "im2col_by_units"),
        (4, slice(None), 4, "float32", "im2col_by_units"),
        (4, slice(None), 1, "float32", "im2col"),  # rows of columns that are no whole units
        (6, slice(None), 0, "float32", "im2col"),
        (8, slice(4, 8), 0, "float32", "im2col_by_units"),
        (8, slice(2, 6), 0, "float32", "im2col"),  # begins in the middle of a unit
        (6, slice(0, 4), 0, "float32", "im2col"),  # only the first pixel does not
        (2, slice(None), 0, "float64", "im2col_by_units"),
        (8, slice(None), 0, "float16", "im2col_by_units"),
        (4, slice(None), 0, "float16", "im2col"),
    ],
)
def test_a_thread_takes_16_bytes_where_all_runs_are_whole_units(
    kernels, memory, launcher, channels, group, spare, dtype, name
):
    images = memory.copy(normal((2, 5, 4, channels), dtype))[..., group]
    windows = Windows((3, 2), (1, 1), (1, 1), (1, 0), (5, 3))
    expected = columns_of(images, windows)
    columns = memory.empty((len(expected), expected.shape[1] + spare), dtype)
    kernels.im2col(images, windows, columns)
    assert launcher.launched == [name]
    same_bits(columns[:, : expected.shape[1]], expected)
    assert (columns[:, expected.shape[1] :] == 0).all()


@convolutions
@pytest.mark.parametrize("spare", [0, 1])
@pytest.mark.parametrize("add", [True, False])
def test_col2im_adds_in_the_order_of_the_plain_one(kernels, memory, case, spare, add, dtype):
    (H, W), C, kernel, *_ = case
    windows = windows_of(case)
    length = kernel[0] * kernel[1] * C
    columns, before = (
        normal((3 * windows.output_size[0] * windows.output_size[1], length), dtype),
        normal((3, H, W, C), dtype, 1),
    )
    expected = before.copy()
    col2im(columns, expected, windows, add=add)
    given = np.full((len(columns), length + spare), np.nan, dtype)
    given[:, :length] = columns
    images = memory.copy(before)
    assert kernels.col2im(memory.copy(given), images, windows, add=add) is images
    if add:  # the kernel begins with what is there, the plain one adds it where there is a border
        assert_close(images, expected)
    else:
        same_bits(images, expected)


@convolutions
def test_col2im_is_torchs_fold(kernels, memory, case):
    (H, W), C, kernel, stride, ((top, bottom), (left, right)), dilation = case
    windows = windows_of(case)
    columns = normal((3, windows.output_size[0] * windows.output_size[1], *kernel, C))
    unfolded = tensor(columns.transpose(0, 4, 2, 3, 1)).reshape(3, C * kernel[0] * kernel[1], -1)
    size = (H + top + bottom, W + left + right)
    folded = torch.nn.functional.fold(unfolded, size, kernel, dilation, 0, stride)
    expected = folded[:, :, top : top + H, left : left + W].permute(0, 2, 3, 1)
    images = memory.empty((3, H, W, C), "float64")
    kernels.col2im(memory.copy(columns.reshape(-1, kernel[0] * kernel[1] * C)), images, windows, add=False)
    assert_close(images, expected)


@convolutions
def test_tiles_of_rows_make_the_whole(kernels, memory, case, dtype):
    (H, W), C, kernel, *_ = case
    windows, images = windows_of(case), memory.copy(normal((2, H, W, C), dtype))
    (oH, oW), length = windows.output_size, kernel[0] * kernel[1] * C
    whole = kernels.im2col(images, windows, memory.empty((2 * oH * oW, length), dtype)).reshape(2, oH, oW, length)
    grad, total = memory.empty(images.shape, dtype), memory.empty(images.shape, dtype)
    total[...] = 0
    for part in (slice(0, oH // 2), slice(oH // 2, oH)):
        if part.start < part.stop:
            tile = windows.for_output_rows(part)
            columns = memory.empty((2 * tile.output_size[0] * oW, length), dtype)
            kernels.im2col(images, tile, columns)
            same_bits(columns.reshape(2, -1, oW, length), whole[:, part])
            kernels.col2im(columns, total, tile)
    kernels.col2im(whole.reshape(-1, length), grad, windows, add=False)
    assert_close(total, grad)  # the same sums, in another order


@convolutions
def test_a_group_sees_its_channels_alone(kernels, memory, case, dtype):
    (H, W), C, *_ = case
    windows, everything = windows_of(case), memory.copy(normal((2, H, W, 3 * C), dtype))
    before = everything.copy()
    expected = columns_of(np.ascontiguousarray(before[..., C : 2 * C]), windows)
    columns = kernels.im2col(everything[..., C : 2 * C], windows, memory.empty(expected.shape, dtype))
    same_bits(columns, expected)
    kernels.col2im(columns, everything[..., C : 2 * C], windows, add=False)
    total = np.empty((2, H, W, C), dtype)
    col2im(expected, total, windows, add=False)
    same_bits(everything[..., C : 2 * C], total)
    same_bits(everything[..., :C], before[..., :C])
    same_bits(everything[..., 2 * C :], before[..., 2 * C :])


# --- max-pooling ---------------------------------------------------------------------------------------------------

POOLS = {  # (H, W), kernel, stride, padding, dilation, ceil_mode
    "AlexNet's": ((13, 11), (3, 3), (2, 2), (0, 0), (1, 1), False),
    "overhanging": ((6, 8), (3, 3), (2, 2), (0, 0), (1, 1), True),
    "padded": ((7, 6), (3, 2), (2, 1), (1, 1), (1, 1), False),
    "padded and overhanging": ((5, 6), (3, 4), (3, 2), (1, 2), (1, 1), True),
    "dilated": ((9, 10), (3, 2), (1, 2), (1, 0), (2, 3), False),
    "gaps between windows": ((9, 9), (2, 2), (3, 4), (0, 0), (1, 1), False),
    "a window without pixels": ((1, 4), (2, 2), (1, 1), (1, 1), (2, 2), False),
    "the largest": ((15, 17), (15, 17), (1, 1), (0, 0), (1, 1), False),
}
pools = pytest.mark.parametrize("case", POOLS.values(), ids=POOLS)


def pool_inputs(size, dtype, channels=3):
    """(N, H, W, C): images full of ties, a few with NaN and infinities, one of minus infinity alone."""
    random = np.random.default_rng(5)
    x = random.integers(-2, 3, (4, *size, channels)).astype(dtype)
    x[1] = random.choice(np.array([np.nan, -np.inf, np.inf, 1, 0], dtype), x[1].shape)
    x[2] = random.choice(np.array([np.nan, -np.inf, -np.inf, -np.inf], dtype), x[2].shape)
    x[3] = -np.inf
    return x


def pool_windows(size, kernel, stride, padding, dilation, ceil_mode):
    sides = tuple((p, p) for p in padding)
    return Geometry(kernel, stride, dilation, sides, ceil_mode).windows("", (1, 1, *size))


def channels_first(x):
    return x.transpose(0, 3, 1, 2)


@pools
def test_max_pooling_is_its_definition_with_ties_nan_and_infinities(kernels, memory, case):
    size, *settings = case
    windows, x = pool_windows(*case), pool_inputs(size, "float64")
    y, argmax = kernels.max_pool_with_indices(memory.copy(x), windows)
    same_bits(channels_first(y), naive.max_pool2d(channels_first(x), *settings))
    grad_y = normal(y.shape, seed=2)
    grad_x = kernels.max_pool_gradient(memory.copy(grad_y), argmax, windows, size)
    assert_close(
        channels_first(grad_x), naive.max_pool2d_gradient(channels_first(grad_y), channels_first(x), *settings)
    )


@pools
@pytest.mark.parametrize("channels", [3, 8])
def test_max_pooling_gives_the_bits_of_the_plain_lines(kernels, memory, launcher, case, channels, dtype):
    size, kernel, stride, padding, dilation, ceil_mode = case
    layer = MaxPool2d(kernel, stride, padding, dilation, ceil_mode=ceil_mode)
    windows, x = pool_windows(*case), pool_inputs(size, dtype, channels)
    expected, saved = layer.compute(channels_first(x))
    y, argmax = kernels.max_pool_with_indices(memory.copy(x), windows)
    same_bits(channels_first(y), expected)
    grad_y = normal(y.shape, dtype, seed=2)
    expected_grad, _ = layer.gradients(channels_first(grad_y), saved)
    grad_x = kernels.max_pool_gradient(memory.copy(grad_y), argmax, windows, size)
    same_bits(channels_first(grad_x), expected_grad)
    inferred, nothing = kernels.max_pool_with_indices(memory.copy(x), windows, indices=False)
    same_bits(inferred, y)
    assert nothing is None
    assert all(name.endswith("by_units") == (channels == 8) for name in launcher.launched)


@pytest.mark.parametrize(
    ("values", "largest"),
    [
        ([3, 3, 3, 3], 0),
        ([1, 3, 3, 2], 1),
        ([np.nan, 3, np.nan, 4], 2),
        ([np.nan, np.inf, 1, 2], 0),
        ([-np.inf] * 4, 0),
        ([-np.inf, -np.inf, -1, -1], 2),
    ],
)
def test_the_first_of_equals_and_the_last_nan_are_the_largest(kernels, memory, values, largest):
    windows = Windows((2, 2), (2, 2), (1, 1), (0, 0), (1, 1))
    _, argmax = kernels.max_pool_with_indices(memory.copy(np.array(values, "float32").reshape(1, 2, 2, 1)), windows)
    assert argmax.tolist() == [[[[largest]]]]
