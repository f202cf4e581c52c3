"""A forward pass that is recorded once and replayed, on every device; on the CPU and fake devices it is computed."""

import numpy as np
import pytest

import npalexnet as na
from npalexnet import backend
from tests.fakes.device import FAKE
from tests.support import distinct, get, normal, put


@pytest.fixture(autouse=True)
def strict():
    yield
    na.set_float32_matmul_precision("highest")


def network(device, dtype="float32"):
    """A small network with every kind of layer that AlexNet has: (N, 3, 9, 9) -> (N, 4)."""
    new = {"dtype": dtype, "device": device, "seed": 0}
    return na.Sequential(
        na.Conv2d(3, 5, 3, padding=1, **new),
        na.ReLU(),
        na.MaxPool2d(3, stride=2),  # 5 x 4 x 4
        na.Flatten(),
        na.Dropout(0.5, seed=1),
        na.Linear(5 * 4 * 4, 4, **new),
    )


@pytest.mark.parametrize("count", [1, 6])
def test_the_same_bits_as_in_eval_mode(device, dtype, count):
    model, sample = network(device, dtype), put(distinct((count, 3, 9, 9), dtype), device)
    graphed = na.make_graphed_callable(model, sample)
    assert graphed.captured == (device == "cuda")
    for seed in (1, 2, 3):
        x = put(normal((count, 3, 9, 9), dtype, seed), device)
        before = get(x).copy()
        expected, found = get(model.eval()(x)), get(graphed(x))
        np.testing.assert_array_equal(found, expected, strict=True)
        np.testing.assert_array_equal(get(x), before)


def test_inputs_may_lie_in_memory_in_another_order_than_the_sample(device):
    model, images = network(device), normal((2, 3, 9, 9), "float32")
    graphed = na.make_graphed_callable(model, put(images, device))
    channels_last = put(np.ascontiguousarray(images.transpose(0, 2, 3, 1)).transpose(0, 3, 1, 2), device)
    np.testing.assert_array_equal(get(graphed(channels_last)), get(model.eval()(channels_last)))


def test_earlier_results_stay_as_they_were(device):
    graphed = na.make_graphed_callable(network(device), put(normal((2, 3, 9, 9), "float32"), device))
    first = graphed(put(normal((2, 3, 9, 9), "float32", 1), device))
    kept = get(first).copy()
    graphed(put(normal((2, 3, 9, 9), "float32", 2), device))
    np.testing.assert_array_equal(get(first), kept)


def test_mode_noise_and_the_last_call_are_left_alone(device):
    model, twin = network(device), network(device)
    x, grad = put(normal((2, 3, 9, 9), "float32"), device), put(normal((2, 4), "float32", 1), device)
    expected = [twin(x), twin.backward(grad), twin(x)]
    y = model(x)
    graphed = na.make_graphed_callable(model, x)
    graphed(x)
    assert model.training
    assert all(layer.training for layer in model)
    for found, wanted in zip((y, model.backward(grad), model(x)), expected, strict=True):
        np.testing.assert_array_equal(get(found), get(wanted))


def test_parameters_are_those_of_the_moment(device):
    model, x = network(device), put(normal((2, 3, 9, 9), "float32"), device)
    optimizer = na.SGD(model.parameters(), lr=0.5, momentum=0.9)
    graphed, seen = na.make_graphed_callable(model, x), []
    for step in range(3):
        seen.append(get(graphed(x)))
        np.testing.assert_array_equal(seen[-1], get(model.eval()(x)))
        model.train()(x)
        model.backward(put(normal((2, 4), "float32", step), device))
        optimizer.step()
    model.load_state_dict({name: value * 0 for name, value in model.state_dict().items()})
    assert not get(graphed(x)).any()
    assert not np.array_equal(seen[0], seen[2])


def test_a_layer_that_moved_is_refused(device):
    model, x = network(device), put(normal((2, 3, 9, 9), "float32"), device)
    graphed = na.make_graphed_callable(model, x)
    model.to(device)  # stays
    graphed(x)
    elsewhere = "fake" if device != "fake" else "cpu"
    model.to(elsewhere)
    for _ in range(2):  # away, and back again
        with pytest.raises(
            RuntimeError, match=r"Sequential's 0\.weight is not where it was: call make_graphed_callable"
        ):
            graphed(x)
        model.to(device)


def test_another_precision_is_refused(device):
    model, x = network(device), put(normal((2, 3, 9, 9), "float32"), device)
    graphed = na.make_graphed_callable(model, x)
    na.set_float32_matmul_precision("high")
    with pytest.raises(RuntimeError, match="the float32 precision was 'highest' and is 'high': call make_graphed_call"):
        graphed(x)


@pytest.mark.parametrize(
    ("wrong", "error", "message"),
    [
        (
            np.zeros((3, 3, 9, 9), "float32"),
            ValueError,
            r"of shape \(3, 3, 9, 9\), expected the sample's shape \(2, 3, 9",
        ),
        (
            np.zeros((1, 3, 9, 9), "float32"),
            ValueError,
            r"the input of the graphed Sequential is of shape \(1, 3, 9, 9\)",
        ),
        (
            np.zeros((2, 3, 9, 9)),
            TypeError,
            "the input of the graphed Sequential is of dtype float64, expected float32",
        ),
        ([[0.0]], TypeError, "the input of the graphed Sequential: expected a NumPy or CuPy array, got list"),
    ],
)
def test_other_inputs_than_the_sample_are_refused(device, wrong, error, message):
    graphed = na.make_graphed_callable(network(device), put(np.zeros((2, 3, 9, 9), "float32"), device))
    with pytest.raises(error, match=message):
        graphed(put(wrong, device) if isinstance(wrong, np.ndarray) else wrong)


def test_an_input_on_another_device_is_refused(device):
    graphed = na.make_graphed_callable(network(device), put(np.zeros((2, 3, 9, 9), "float32"), device))
    elsewhere = "fake" if device != "fake" else "cpu"
    with pytest.raises(ValueError, match=f"is on {elsewhere!r}, expected it on"):
        graphed(put(np.zeros((2, 3, 9, 9), "float32"), elsewhere))


def test_what_can_not_work_is_refused_before_anything_is_recorded():
    with pytest.raises(TypeError, match="layer must be a Layer, got <function"):
        na.make_graphed_callable(lambda x: x, np.zeros((1, 3, 9, 9), "float32"))
    with pytest.raises(TypeError, match="Sequential's input: expected a NumPy or CuPy array, got list"):
        na.make_graphed_callable(network("cpu"), [0.0])
    with pytest.raises(ValueError, match="expects 3 input channels"):
        na.make_graphed_callable(network("cpu"), np.zeros((1, 4, 9, 9), "float32"))


def test_the_device_is_asked_to_record_the_pass_once(monkeypatch):
    """A device that records: the second and later passes are its own, not the layer's."""
    asked = []

    def graphed(function, sample):
        asked.append(sample.shape)
        return lambda x: function(x) + 1000

    monkeypatch.setattr(FAKE, "graphed", graphed)
    model, x = network("fake"), put(normal((2, 3, 9, 9), "float32"), "fake")
    replay = na.make_graphed_callable(model, x)
    for _ in range(2):
        np.testing.assert_array_equal(get(replay(x)), get(model.eval()(x) + 1000))
    assert asked == [(2, 3, 9, 9)]


@pytest.mark.parametrize("name", ["fake", "fake-kernels"])
def test_alexnets_forward_pass_moves_nothing_and_waits_for_nothing(narrow, fake_with_kernels, name):
    """Uploads, downloads and waiting are not possible while a graph is captured."""
    device, model = backend.get_device(name), na.AlexNet(num_classes=10, device=name, init="torch")
    x = put(normal((1, 3, 227, 227), "float32"), name)
    graphed = na.make_graphed_callable(model, x)
    graphed(x)  # as a device does before it records: what is kept for later passes is moved here
    device.counts.reset()
    y = graphed(x)
    assert device.counts == type(device.counts)(launches=device.counts.launches)
    assert y.shape == (1, 10)


def test_it_says_what_it_is():
    graphed = na.make_graphed_callable(network("cpu"), np.zeros((2, 3, 9, 9), "float32"))
    assert repr(graphed) == "GraphedCallable(Sequential, shape=(2, 3, 9, 9), dtype=float32, device='cpu')"
