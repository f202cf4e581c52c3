"""The CUDA kernels, run on the CPU, with numbers of 16 bits: computed as float32, and rounded once."""

import numpy as np
import pytest

from npalexnet import Dropout
from npalexnet.backend import input_dtype
from npalexnet.layers.im2col import col2im
from npalexnet.layers.pooling import MaxPool2d
from npalexnet.layers.sharding import Noise
from npalexnet.losses import CrossEntropyLoss
from npalexnet.windows import Windows
from tests.fakes.launcher import same_bits
from tests.support import assert_close, columns_of, normal


@pytest.fixture(params=["float16", "bfloat16"])
def half(request):
    return input_dtype(request.param)


def test_all_numbers_of_16_bits_are_read_and_written_as_numpy_does(kernels, memory, half):
    everything = np.arange(2**16).astype("uint16").view(half).reshape(-1, 256)
    bias = normal((256,), "float32", 1).astype(half)
    with np.errstate(over="ignore", invalid="ignore"):
        expected = (everything.astype("float32") + bias.astype("float32")).astype(half)
        as_they_are = np.maximum(everything.astype("float32"), 0).astype(half)
    same_bits(kernels.add_bias_relu(memory.copy(everything), memory.copy(bias), relu=False), expected)
    same_bits(kernels.add_bias_relu(memory.copy(everything), None, relu=True), as_they_are)


def test_what_lies_between_two_numbers_is_rounded_to_the_nearest_and_from_the_middle_to_the_even(kernels, memory, half):
    ones = np.ones((4, 1), half)
    step = float(np.spacing(np.float32(1)) * 2 ** (13 if half == np.float16 else 16))  # from 1 to the next
    bias = np.array([[step / 2], [step * 1.5], [step * 0.498], [step * 0.502]], half)
    expected = [1, 1 + 2 * step, 1, 1 + step]  # half way: to the even neighbour
    for one, what, result in zip(ones, bias, expected, strict=True):
        y = kernels.add_bias_relu(memory.copy(one[None]), memory.copy(what), relu=True)
        assert float(y[0, 0]) == result


@pytest.mark.parametrize("channels", [6, 8])  # 8 numbers are a unit of 16 bytes
def test_windows_are_the_plain_ones(kernels, memory, channels, half):
    windows = Windows((3, 2), (2, 1), (1, 2), (1, 2), (4, 6))
    images = normal((2, 7, 5, channels), "float32").astype(half)
    expected = columns_of(images, windows)
    columns = kernels.im2col(memory.copy(images), windows, memory.empty(expected.shape, half))
    same_bits(columns, expected)
    total = np.empty_like(images)
    col2im(expected, total, windows, add=False)
    same_bits(kernels.col2im(columns, memory.copy(images), windows, add=False), total)


@pytest.mark.parametrize("channels", [6, 8])
def test_pooling_is_the_plain_one(kernels, memory, channels, half):
    pool, x = MaxPool2d(3, 2, 1), normal((2, channels, 9, 8), "float32").astype(half)
    y, saved = pool.compute(x)
    windows = Windows((3, 3), (2, 2), (1, 1), (1, 1), y.shape[2:])
    found, argmax = kernels.max_pool_with_indices(memory.copy(np.ascontiguousarray(x.transpose(0, 2, 3, 1))), windows)
    same_bits(found.transpose(0, 3, 1, 2), y)
    grad_y = normal(y.shape, "float32", 1).astype(half)
    grad_x = kernels.max_pool_gradient(
        memory.copy(np.ascontiguousarray(grad_y.transpose(0, 2, 3, 1))), argmax, windows, x.shape[2:]
    )
    same_bits(grad_x.transpose(0, 3, 1, 2), pool.gradients(grad_y, saved)[0])


@pytest.mark.parametrize("width", [33, 32])
def test_activations_are_the_plain_ones(kernels, memory, width, half):
    y, grad_y = (normal((5, width), "float32", seed).astype(half) for seed in (0, 1))
    same_bits(kernels.relu_gradient(memory.copy(grad_y), memory.copy(y)), np.where(y > 0, grad_y, half.type(0)))
    for p in (0.5, 0.3):
        expected, _ = Dropout(p).compute(y, Noise(7, 2))
        same_bits(kernels.dropout(memory.copy(y), p, 7, 2), expected)


@pytest.mark.parametrize("width", [7, 24])
def test_rows_are_added_up_in_float32(kernels, memory, width, half):
    rows = normal((3000, width), "float32").astype(half)
    sums = kernels.sum_rows(memory.copy(rows))
    assert_close(sums, rows.astype("float64").sum(axis=0).astype("float32"))


def test_the_loss_is_float32_and_the_gradient_is_rounded(kernels, memory, half):
    logits, labels = (normal((5, 300), "float32") * 5).astype(half), np.arange(5)
    plain = CrossEntropyLoss(label_smoothing=0.1)
    expected, saved = plain.compute(logits, labels)
    losses, log_probabilities = kernels.cross_entropy(memory.copy(logits), memory.copy(labels), 0.1)
    assert_close(losses, expected)
    ones = np.ones(5, "float32")
    grad = kernels.cross_entropy_gradient(memory.copy(ones), log_probabilities, memory.copy(labels), 0.1, half)
    assert grad.dtype == half
    expected = plain.gradients(ones, saved)
    assert_close(grad.astype("float32"), expected.astype("float32"), 2.0**-7)


def test_a_nan_stays_one_whatever_its_bits(kernels, memory, half):
    nan = np.array([[0x7FFFFFFF, 0x7F800001, 0xFFFFFFFF]], "uint32").view("float32")  # the first is a GPU's own
    ones, labels = np.ones(1, "float32"), np.zeros(1, "int64")
    grad = kernels.cross_entropy_gradient(memory.copy(ones), memory.copy(nan), memory.copy(labels), 0.0, half)
    assert np.isnan(grad.astype("float32")).all()
