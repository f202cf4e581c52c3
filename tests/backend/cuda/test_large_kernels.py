"""The CUDA kernels, run on the CPU: past 2^31 numbers.

Only the last blocks of such a launch are run, and only the memory that they touch is used.
"""

import numpy as np
import pytest
import torch

from npalexnet.backend.cuda.kernels import Kernels
from npalexnet.backend.cuda.layouts import LARGEST_INT
from npalexnet.windows import Windows
from tests.fakes.launcher import SparseMemory, same_bits
from tests.support import assert_close, normal, tensor


@pytest.fixture
def large(launcher):
    launcher.only_last = 4
    return Kernels(SparseMemory, launcher)


def test_element_by_element_past_32_bits(large):
    count = 2**32 + 5
    y, grad = SparseMemory.empty((count,), "float32"), SparseMemory.empty((count,), "float32")
    y[-5:], grad[-5:] = [1, -1, 2, 0, 3], [1, 2, 3, 4, 5]
    passed = large.relu_gradient(grad, y)
    assert passed[-5:].tolist() == [1, 0, 3, 0, 5]
    large.sgd([(y[:5], y[:5], None), (y, passed, None)], lr=1.0)
    assert y[-5:].tolist() == [0, -1, -1, 0, -2]


def test_rows_past_32_bits(large):
    y = SparseMemory.empty((2**25 + 1, 64), "float32")
    y[-1] = normal((64,), "float32")
    bias, before = normal((64,), "float32", 1), y[-1].copy()
    large.add_bias_relu(y, bias, relu=True)
    same_bits(y[-1], np.maximum(before + bias, 0))


def test_sums_of_rows_past_32_bits(large):
    rows = SparseMemory.empty((2**25 + 1, 64), "float32")  # all 0 but the last
    rows[-1] = normal((64,), "float32")
    same_bits(np.array(large.sum_rows(rows)), rows[-1])


def test_columns_past_32_bits(large):
    size, kernel = 2100, 16
    count = size - kernel + 1
    images = normal((1, size, size, 1), "float32").repeat(2, axis=3)
    windows = Windows((kernel, kernel), (1, 1), (1, 1), (0, 0), (count, count))
    columns = SparseMemory.empty((count**2, 2 * kernel**2), "float32")
    assert columns.size > 2**31
    large.im2col(images, windows, columns)
    same_bits(columns[-1], images[0, -kernel:, -kernel:].reshape(-1))
    large.col2im(columns, images, windows, add=False)
    assert images[0, -1, -1].tolist() == columns[-1, -2:].tolist()


SIZE, CHANNELS = 5801, 64  # of an image with more than 2^31 numbers


def test_images_past_32_bits(large):
    images = SparseMemory.empty((1, SIZE, SIZE, CHANNELS), "float32")
    columns = SparseMemory.empty((SIZE**2, CHANNELS), "float32")
    images[0, -1, -1] = before = normal((CHANNELS,), "float32")
    one = Windows((1, 1), (1, 1), (1, 1), (0, 0), (SIZE, SIZE))
    large.im2col(images, one, columns)
    same_bits(columns[-1], before)
    large.col2im(columns, images, one)
    same_bits(images[0, -1, -1], 2 * before)


def test_max_pooling_past_32_bits(large):
    x = SparseMemory.empty((1, SIZE, SIZE, CHANNELS), "float32")
    windows = Windows((3, 3), (1, 1), (1, 1), (0, 0), (SIZE - 2, SIZE - 2))
    x[0, -1, -2] = normal((CHANNELS,), "float32") ** 2
    y, argmax = large.max_pool_with_indices(x, windows)
    assert min(x.size, y.size) > 2**31
    same_bits(y[0, -1, -1], x[0, -1, -2])
    assert (argmax[0, -1, -1] == 7).all()
    y[0, -1, -1, 5] = 9
    y[0, -1, -3:-1] = 0
    grad_x = large.max_pool_gradient(y, argmax, windows, (SIZE, SIZE))
    same_bits(grad_x[0, -1, -2], y[0, -1, -1])


def test_dropout_past_32_bits(large):
    count, per_image = 2**31 + 8, 2**28 + 1
    x = SparseMemory.empty((8, per_image), "float32")
    x[-1, -16:] = 1
    assert x.size == count
    generator = np.random.Philox(counter=(3 * per_image + count - 16) // 8, key=11)
    skip = (3 * per_image + count - 16) % 8
    words = generator.random_raw(16).astype("<u8").view("<u4")[skip : skip + 16]
    same_bits(large.dropout(x, 0.5, 11, 3)[-1, -16:], np.where(words >= 2**31, np.float32(2), np.float32(0)))


def test_cross_entropy_past_32_bits(large):
    logits = SparseMemory.empty((2**21, 1025), "float32")
    labels = SparseMemory.empty((2**21,), "int64")
    logits[-1], labels[-1] = normal((1025,), "float32"), 7
    losses, log_probabilities = large.cross_entropy(logits, labels)
    expected = torch.log_softmax(tensor(logits[-1]), 0)
    assert_close(losses[-1:], -expected[7:8])
    assert_close(log_probabilities[-1], expected)
    grad_losses = SparseMemory.empty((2**21,), "float32")
    grad_losses[-1] = 1
    target = np.eye(1, 1025, 7, "float32")[0]
    assert_close(
        large.cross_entropy_gradient(grad_losses, log_probabilities, labels)[-1], expected.exp() - tensor(target)
    )


class Shape:
    """An array on paper."""

    dtype, itemsize = np.dtype("float32"), 4

    def __init__(self, *shape):
        self.shape, self.ndim, self.size = shape, len(shape), int(np.prod([int(n) for n in shape], dtype=object))
        self.strides = tuple(4 * int(np.prod(shape[axis + 1 :], dtype=object)) for axis in range(len(shape)))

    def __len__(self):
        return self.shape[0]


@pytest.mark.parametrize(
    ("shape", "fits"),
    [((2**31 - 1025, 1, 1, 64), True), ((2**31 - 1024, 1, 1, 1), False), ((2**11, 2**10, 2**10, 1), False)],
)
def test_pixels_are_counted_in_32_bits_and_more_are_refused(shape, fits):
    grids = []

    class Paper:
        empty = staticmethod(lambda shape, dtype: Shape(*shape))

    class OnPaper:
        address = staticmethod(lambda array: 0)

        def __call__(self, name, dtype, grid, block, arguments):
            grids.append((grid, block))

    kernels = Kernels(Paper, OnPaper())
    one = Windows((1, 1), (1, 1), (1, 1), (0, 0), shape[1:3])
    assert (kernels.max_pool_with_indices(Shape(*shape), one, indices=False) is not None) == fits
    for (blocks,), (_, rows) in grids:
        assert int(np.prod(shape[:3], dtype=object)) <= blocks * rows <= LARGEST_INT


def test_more_runs_than_32_bits_count_are_refused():
    images, windows = Shape(1, 2**15, 2**15, 1), Windows((4, 1), (1, 1), (1, 1), (0, 0), (2**15 - 3, 2**15))
    assert Kernels(None, None).im2col(images, windows, Shape((2**15 - 3) * 2**15, 4)) is None


def test_a_row_of_pixels_too_long_for_32_bits_is_refused():
    kernels = Kernels(None, None)
    images, columns = Shape(1, 1, 2**20, 2**11), Shape(2**20, 2**11)
    assert kernels.im2col(images, Windows((1, 1), (1, 1), (1, 1), (0, 0), (1, 2**20)), columns) is None
