"""The CUDA kernels, run on the CPU: activations, dropout, loss and optimizer, against NumPy and torch."""

import numpy as np
import pytest
import torch

from npalexnet import SGD, Dropout
from npalexnet.backend.cuda.kernels import Kernels
from npalexnet.layers.parameter import Parameter
from npalexnet.layers.sharding import Noise
from npalexnet.losses import CrossEntropyLoss
from tests.fakes.launcher import same_bits
from tests.support import TOLERANCE, assert_close, normal, tensor

# --- activations and dropout ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("shape", [(1, 1), (37, 10), (5, 300), (3, 9)])
@pytest.mark.parametrize(("with_bias", "relu"), [(True, True), (True, False), (False, True)])
def test_bias_and_relu_are_a_sum_and_a_maximum(kernels, memory, shape, relu, with_bias, dtype):
    values, bias = normal(shape, dtype), normal(shape[1:], dtype, 1) if with_bias else None
    values.flat[::2] = np.resize([np.nan, np.inf, -np.inf, 0, -0.0, 1e-40, -1e-40, -1], values.flat[::2].size)
    expected = values + bias if with_bias else values
    expected = np.maximum(expected, 0) if relu else expected
    y = memory.copy(values)
    assert kernels.add_bias_relu(y, memory.copy(bias) if with_bias else None, relu=relu) is y
    same_bits(y, expected)


def test_where_there_is_no_bias_and_no_relu_nothing_is_launched(memory, launcher):
    y = memory.copy(normal((3, 4), "float32"))
    assert Kernels(memory, launcher).add_bias_relu(y, None) is y
    assert launcher.launched == []


@pytest.mark.parametrize("order", [(0, 1, 2, 3), (0, 3, 1, 2)])
@pytest.mark.parametrize("in_place", [True, False])
def test_relu_gradient_passes_above_zero_and_at_nan(kernels, memory, order, in_place, dtype):
    special = np.array([np.nan, np.inf, -np.inf, 0, -0.0, 1e-30, -1e-30, 2], dtype)
    y = np.random.default_rng(0).choice(special, (3, 5, 4, 7)).transpose(order)
    grad_y = memory.copy(normal((3, 5, 4, 7), dtype).transpose(order))
    grad_y[0, 0, 0, 0], y[0, 0, 0, 0] = np.inf, 0
    expected = np.where((y > 0) | np.isnan(y), grad_y, 0)
    grad_x = kernels.relu_gradient(grad_y, memory.copy(y), grad_y if in_place else None)
    same_bits(grad_x, expected)
    assert grad_x.strides == y.strides
    assert (grad_x is grad_y) == in_place


@pytest.mark.parametrize("p", [0.0, 0.5, 0.3, 1e-9, 1 - 1e-9, 1.0])
@pytest.mark.parametrize(
    ("shape", "first_image"), [((3, 11), 0), ((3, 11), 5), ((1, 1), 7), ((2, 16), 1), ((5, 3, 3), 9)]
)
def test_dropout_reads_numpys_philox(kernels, memory, p, shape, first_image, dtype):
    seed, size, per_image = 2**63 - 25, int(np.prod(shape)), int(np.prod(shape[1:]))
    start = first_image * per_image
    words = np.random.Philox(key=seed).random_raw(start + size).astype("<u8").view("<u4")[start : start + size]
    x = normal(shape, dtype)
    scaled = x * np.dtype(dtype).type(0 if p == 1 else 1 / (1 - p))
    expected = np.where(words.reshape(shape) >= p * 2**32, scaled, 0)
    same_bits(kernels.dropout(memory.copy(x), p, seed, first_image), expected)


def test_a_word_at_the_threshold_stays_and_one_below_it_goes(kernels, memory):
    x, word = memory.copy(np.ones((1, 8), "float32")), int(np.random.Philox(key=5).random_raw() & 0xFFFFFFFF)
    assert kernels.dropout(x, word / 2**32, 5)[0, 0] > 0
    assert kernels.dropout(x, (word + 0.5) / 2**32, 5)[0, 0] == 0


def test_dropout_takes_any_order_in_memory(kernels, memory, dtype):
    x = normal((3, 4, 5, 6), dtype)
    found = kernels.dropout(memory.copy(x.transpose(0, 2, 3, 1)).transpose(0, 3, 1, 2), 0.4, 77)
    same_bits(found, kernels.dropout(memory.copy(x), 0.4, 77))


def test_dropout_is_the_layers_own_however_the_batch_is_cut(kernels, memory, dtype):
    layer, x = Dropout(0.4), normal((7, 13), dtype)
    x[0, 0] = np.inf
    whole, _ = layer.compute(x, Noise(77, 3))
    same_bits(kernels.dropout(memory.copy(x), 0.4, 77, 3), whole)
    same_bits(kernels.dropout(memory.copy(x[4:]), 0.4, 77, 7), whole[4:])


# --- loss and optimizer --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("N", "K"), [(1, 1), (5, 3), (4, 257), (3, 1000)])
@pytest.mark.parametrize("smoothing", [0.0, 0.1, 1.0])
@pytest.mark.parametrize("integer", ["int64", "uint8"])
def test_cross_entropy_and_its_gradient_are_torchs(kernels, memory, N, K, smoothing, integer, dtype):
    logits = normal((N, K), dtype) * 20
    labels = np.random.default_rng(1).integers(min(K, 256), size=N).astype(integer)
    grad_losses = normal((N,), dtype, 2)
    x = tensor(logits).requires_grad_()
    expected = torch.nn.functional.cross_entropy(x, tensor(labels).long(), reduction="none", label_smoothing=smoothing)
    expected.backward(tensor(grad_losses))
    losses, log_probabilities = kernels.cross_entropy(memory.copy(logits), memory.copy(labels), smoothing)
    assert_close(losses, expected)
    assert_close(log_probabilities, torch.log_softmax(tensor(logits), 1))
    grad_logits = kernels.cross_entropy_gradient(
        memory.copy(grad_losses), log_probabilities, memory.copy(labels), smoothing
    )
    assert_close(grad_logits, x.grad)
    plain = CrossEntropyLoss(label_smoothing=smoothing)
    assert_close(losses, plain.compute(logits, labels)[0])
    assert_close(grad_logits, plain.gradients(grad_losses, (log_probabilities, labels, logits.dtype)))


def test_cross_entropy_of_large_infinite_and_missing_numbers(kernels, memory, dtype):
    logits = np.array([[1e4, -1e4, 0], [0, -np.inf, 0], [0, np.nan, 0], [np.inf, 0, 0], [1, 2, 3]], dtype)
    losses, log_probabilities = kernels.cross_entropy(memory.copy(logits), memory.copy(np.array([1, 0, 0, 1, 3])))
    np.testing.assert_allclose(losses[:2], [2e4, np.log(2)], rtol=TOLERANCE[dtype])
    assert np.isnan(losses[2:]).all()  # the last: 3 is no class
    assert np.isnan(log_probabilities[2:4]).all()


SETTINGS = [(0, 0, False), (0.9, 0, False), (0.9, 5e-4, False), (0.9, 5e-4, True), (0, 0.01, False)]
ORDERS = [(0, 1, 2, 3), (3, 2, 0, 1)]


@pytest.mark.parametrize(("momentum", "weight_decay", "nesterov"), SETTINGS)
@pytest.mark.parametrize("count", [1, 3, 70])
def test_sgd_steps_as_torch_does_with_all_parameters_at_once(
    kernels, memory, momentum, weight_decay, nesterov, count, dtype
):
    shapes = [(5, 3, 4, 7), (1, 1, 1, 1), (2, 3, 300, 1), (0, 1, 1, 1), (1, 1, 1024, 1)]
    starts = [
        normal(shapes[i % len(shapes)], dtype, seed=i).transpose(ORDERS[i % 2]) for i in range(count)
    ]  # of many sizes
    twins = [torch.nn.Parameter(tensor(start)) for start in starts]
    plain = [Parameter(start.copy(order="K")) for start in starts]
    settings = {"lr": 0.1, "momentum": momentum, "weight_decay": weight_decay, "nesterov": nesterov}
    optimizers = torch.optim.SGD(twins, **settings), SGD(plain, **settings)
    data = [memory.copy(start) for start in starts]
    velocities = [memory.copy(np.zeros_like(start)) if momentum else None for start in starts]
    for step in range(2):
        grads = [np.empty_like(start) for start in starts]
        for i, (grad, twin, own) in enumerate(zip(grads, twins, plain, strict=True)):
            grad[...] = normal(grad.shape, dtype, 1000 * (step + 1) + i)
            twin.grad, own.grad = tensor(grad), grad
        for optimizer in optimizers:
            optimizer.step()
        tensors = list(zip(data, [memory.copy(grad) for grad in grads], velocities, strict=True))
        assert kernels.sgd(tensors, **settings) is True
    for found, twin, own in zip(data, twins, plain, strict=True):
        assert_close(found, twin)
        same_bits(found, own.data)


@pytest.mark.parametrize("shape", [(1, 1), (128, 5), (129, 300), (128**2 + 1, 3), (3000, 7)])
def test_rows_are_added_up(kernels, memory, shape, dtype):
    rows = normal(shape, dtype)
    found = kernels.sum_rows(memory.copy(rows))
    assert_close(found, rows.astype("float64").sum(axis=0).astype(dtype))
