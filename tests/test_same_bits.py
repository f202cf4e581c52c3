"""One seed gives one result, bit for bit: with any number of threads, every time, however a batch is cut."""

import numpy as np
import pytest

import npalexnet as na
from npalexnet import get_num_threads, set_num_threads
from npalexnet.backend import CPU, cpu
from npalexnet.layers.sharding import Noise
from tests.support import normal

THREADS = (1, 2, 3, 8)


@pytest.fixture(autouse=True)
def threads():
    """Let tests choose the number of threads; afterwards it is what it was."""
    before = get_num_threads()
    yield
    set_num_threads(before)


def small_network(seed, dtype):
    """Convolutions with an odd number of everything, dropout in both parts: (N, 3, 23, 21) -> (N, 10)."""
    rng = np.random.default_rng(seed)
    new = {"dtype": dtype, "seed": rng}
    return na.Sequential(
        na.Conv2d(3, 10, 5, stride=2, padding=1, **new),  # 10 x 11 x 10
        na.LocalResponseNorm(5),
        na.ReLU(),
        na.MaxPool2d(3, 2),  # 10 x 5 x 4
        na.Conv2d(10, 14, 3, padding="same", groups=2, **new),
        na.Dropout(0.2, seed=rng),
        na.ReLU(),
        na.MaxPool2d(3, 2, ceil_mode=True),  # 14 x 2 x 2
        na.Flatten(),
        na.Linear(14 * 2 * 2, 1100, **new),  # wider than a tile of a large product
        na.ReLU(),
        na.Dropout(0.5, seed=rng),
        na.Linear(1100, 10, **new),
    )


def trained(seed, batch_size, dtype="float32", steps=3):
    """Train; return all outputs, losses, gradients and parameters on the way."""
    model, criterion = small_network(seed, dtype), na.CrossEntropyLoss(label_smoothing=0.1)
    optimizer = na.SGD(model.parameters(), lr=0.05, momentum=0.9, weight_decay=1e-3)
    record = []
    for step in range(steps):
        x, labels = normal((batch_size, 3, 23, 21), dtype, seed=step), np.arange(batch_size) % 10
        logits = model(x)
        record += [logits, criterion(logits, labels), model.backward(criterion.backward())]
        record += [parameter.grad for parameter in model.parameters()]
        optimizer.step()
        optimizer.zero_grad()
        record += list(model.state_dict().values())
    return [*record, model.eval()(x)]


def assert_same_bits(found, expected):
    assert len(found) == len(expected)
    for number, (one, other) in enumerate(zip(found, expected, strict=True)):
        assert one.dtype == other.dtype
        assert np.asarray(one).tobytes() == np.asarray(other).tobytes(), f"array {number} of {len(found)}"


@pytest.mark.parametrize("algorithm", ["im2col", "winograd"])
@pytest.mark.parametrize(("batch_size", "steps"), [(1, 3), (5, 3), (33, 10)])
def test_the_number_of_threads_changes_no_bit(batch_size, steps, dtype, algorithm):
    results = []
    for threads in THREADS:
        set_num_threads(threads)
        with na.convolution_algorithm(algorithm):
            results.append(trained(0, batch_size, dtype, steps))
    for result in results[1:]:
        assert_same_bits(result, results[0])


class WholeBatch(na.Layer):
    """A container of one's own that computes the whole batch at once: what is inside may use all threads."""

    def __init__(self, inner):
        self.inner = inner

    def compute(self, x, noise=None):
        return self.inner.compute(x)

    def gradients(self, grad_y, saved):
        return self.inner.gradients(grad_y, saved)

    def parameter_gradients(self, grad_y, saved):
        return self.inner.parameter_gradients(grad_y, saved)


@pytest.mark.parametrize("algorithm", ["auto", "im2col", "winograd"])
@pytest.mark.parametrize("container", [lambda layer: layer, na.Sequential, WholeBatch])
@pytest.mark.parametrize(("batch_size", "size"), [(1, 20), (5, 14), (33, 14)])
def test_the_number_of_threads_changes_no_bit_of_a_convolution(algorithm, container, batch_size, size):
    x = normal((batch_size, 64, size, size - 1), "float32")
    grad_y, results = normal((batch_size, 64, size, size - 1), "float32", seed=1), []
    model = container(na.Conv2d(64, 64, 3, padding=1, seed=0))
    with na.convolution_algorithm(algorithm):
        for threads in THREADS:
            set_num_threads(threads)
            model.zero_grad()
            y = model(x)
            grad_x = model.backward(grad_y)
            model_gradients = [parameter.grad for parameter in model.parameters()]
            model.zero_grad()
            model(x)
            model.backward(grad_y, input_gradient=False)
            results.append([y, grad_x, *model_gradients, *(parameter.grad for parameter in model.parameters())])
    for result in results[1:]:
        assert_same_bits(result, results[0])


@pytest.mark.parametrize("algorithm", ["auto", "im2col", "winograd"])
@pytest.mark.parametrize("batch_size", [1, 9])
def test_the_number_of_threads_changes_no_bit_of_alexnets_convolutions(narrow, batch_size, algorithm):
    x, grad_y = normal((batch_size, 3, 227, 227), "float32"), normal((batch_size, 9216), "float32", seed=1)
    model, results = na.AlexNet(num_classes=2, seed=0).layers, []
    for threads in (1, 3):
        set_num_threads(threads)
        model.zero_grad()
        with na.convolution_algorithm(algorithm):
            y = model(x)
        grad_x = model.backward(grad_y)
        results.append([y, grad_x, *(parameter.grad for parameter in model.parameters())])
    assert_same_bits(results[1], results[0])


def test_one_seed_gives_one_result_and_another_seed_another():
    first, again, other = trained(0, 9), trained(0, 9), trained(1, 9)
    assert_same_bits(again, first)
    assert not any(np.array_equal(one, two) for one, two in zip(first, other, strict=True))


def test_a_step_on_parameters_larger_than_a_block_is_the_same_for_all_threads(monkeypatch):
    monkeypatch.setattr(cpu, "BLOCK_ELEMENTS", 1000)
    monkeypatch.setattr(cpu, "BLOCKS_AT_A_TIME", 2)
    results = []
    for threads in THREADS:
        set_num_threads(threads)
        parameter = na.Parameter(normal((200, 70), "float32"))
        optimizer = na.SGD([parameter], lr=0.1, momentum=0.9, weight_decay=0.01, nesterov=True)
        for step in range(3):
            parameter.grad = normal((200, 70), "float32", seed=step + 1)
            optimizer.step()
        results.append([parameter.data])
    for result in results[1:]:
        assert_same_bits(result, results[0])


@pytest.mark.parametrize("shape", [(13, 3, 5, 7), (16, 9), (11, 1), (12, 8, 2)])
def test_dropouts_mask_does_not_depend_on_how_the_batch_was_cut(shape):
    layer = na.Dropout(0.4, seed=0)
    x, noise = np.ones(shape, "float32"), Noise(seed=1234)
    whole = layer.compute(x, noise)[0]
    for size in (1, 2, 3, 5, shape[0]):
        parts = [layer.compute(x[n : n + size], Noise(1234, first_image=n))[0] for n in range(0, shape[0], size)]
        np.testing.assert_array_equal(np.concatenate(parts), whole)


def test_dropout_drops_the_same_whatever_the_size_of_the_shards(monkeypatch):
    x, found = normal((21, 3, 4, 4), "float32"), []
    for images, least in ((4, 8), (1, 1), (7, 1), (100, 1)):
        monkeypatch.setattr(cpu, "SHARD_IMAGES", images)
        monkeypatch.setattr(cpu, "MIN_SHARDS", least)
        layer = na.Sequential(na.ReLU(), na.Dropout(0.5, seed=3))
        found.append([layer(x), layer.backward(x), layer(x)])
    assert len(CPU.shards(21)) == 1
    for result in found[1:]:
        assert_same_bits(result, found[0])
    assert not np.array_equal(found[0][0], found[0][2])  # each pass draws a mask of its own
