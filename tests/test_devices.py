"""One code for all devices: nothing is computed with NumPy elsewhere, and what crosses to the host is counted."""

import copy

import numpy as np
import pytest

import npalexnet as na
from npalexnet import backend
from npalexnet.backend import arrays
from tests.fakes.device import FAKE, FakeDevice
from tests.support import assert_close, distinct, get, put

N, CLASSES = 5, 7
CONV, POOLED, DROPPED = (6, 2, 3, 3), [(5,), (5,)], (N, 6, 5, 5)
PARAMETERS = {"0.weight": CONV, "0.bias": (6,), "6.weight": (CLASSES, 150), "6.bias": (CLASSES,)}


def every_layer(device, dtype="float32"):
    """A network of every kind of layer: (N, 4, 8, 8) -> (N, 7)."""
    rng = np.random.default_rng(0)
    return na.Sequential(
        na.Conv2d(4, 6, 3, padding=1, groups=2, dtype=dtype, device=device, seed=rng),  # 6 x 8 x 8
        na.LocalResponseNorm(3, alpha=0.1, groups=2),
        na.SpatialResponseNorm(3, alpha=0.1),
        na.ReLU(),
        na.AvgPool2d(1),
        na.MaxPool2d(3, stride=2, padding=1, ceil_mode=True),  # 6 x 5 x 5: the last windows hang over
        na.Dropout(0.3, seed=1),
        na.Flatten(),
        na.Linear(6 * 5 * 5, CLASSES, dtype=dtype, device=device, seed=rng),
    )


class Training:
    """A network, its loss and its optimizer on one device."""

    def __init__(self, device, dtype="float32"):
        self.device, self.dtype = device, dtype
        self.model = every_layer(device, dtype)
        self.criterion = na.CrossEntropyLoss(label_smoothing=0.1)
        self.optimizer = na.SGD(self.model.parameters(), lr=0.1, momentum=0.9, weight_decay=1e-3, nesterov=True)
        self.x = put(distinct((N, 4, 8, 8), dtype), device)
        self.labels = put(np.arange(N) % CLASSES, device)

    def step(self):
        """Train once; return the loss, the gradient of the images, and the parameters' gradients."""
        self.optimizer.zero_grad()
        loss = self.criterion(self.model(self.x), self.labels)
        grad_x = self.model.backward(self.criterion.backward())
        self.optimizer.step()
        return loss, grad_x, [parameter.grad for parameter in self.model.parameters()]


def test_training_on_a_device_gives_what_the_cpu_gives(device, dtype):
    cpu, elsewhere = Training("cpu", dtype), Training(device, dtype)
    for _ in range(3):
        for expected, found in zip(cpu.step(), elsewhere.step(), strict=True):
            pairs = zip(expected, found, strict=True) if isinstance(found, list) else [(expected, found)]
            for one, other in pairs:
                assert_close(other, one)
    for (name, one), (same, other) in zip(
        cpu.model.named_parameters(), elsewhere.model.named_parameters(), strict=True
    ):
        assert name == same
        assert_close(other.data, one.data)


def test_everything_that_training_returns_is_on_the_device(device):
    training = Training(device)
    home = backend.get_device(device)
    loss, grad_x, grads = training.step()
    y = training.model(training.x)
    data = [parameter.data for parameter in training.model.parameters()]
    velocities = list(training.optimizer._velocity.values())
    assert all(home.owns(array) for array in [loss, grad_x, y, *grads, *data, *velocities])
    assert training.model.device == home.name


def test_eval_mode_and_its_backward_give_what_the_cpu_gives(device, dtype):
    outputs, gradients = [], []
    for where in ("cpu", device):
        model, x = every_layer(where, dtype).eval(), put(distinct((N, 4, 8, 8), dtype), where)
        outputs.append(get(model(x)))
        gradients.append(get(model.backward(put(distinct((N, CLASSES), dtype, seed=1), where))))
    assert_close(outputs[1], outputs[0])
    assert_close(gradients[1], gradients[0])


@pytest.mark.parametrize("layer", [na.Conv2d, na.ReLU, na.MaxPool2d], ids=lambda layer: layer.__name__)
def test_layers_hand_on_channels_last_so_that_the_next_one_need_not_copy(device, layer):
    layer = layer(4, 4, 3, device=device) if layer is na.Conv2d else layer(*[3] * (layer is na.MaxPool2d))
    x = put(distinct((N, 8, 8, 4), "float32").transpose(0, 3, 1, 2), device)
    for y in (layer.eval()(x), layer.train()(x)):
        assert y.transpose(0, 2, 3, 1).strides == np.empty((N, *y.shape[2:], 4), "float32").strides
    grad_y = put(get(y).transpose(0, 2, 3, 1).copy().transpose(0, 3, 1, 2), device)
    assert np.argsort(layer.backward(grad_y).strides).tolist() == [1, 3, 2, 0]


# --- what crosses between host and device --------------------------------------------------------------------------


def test_making_a_network_uploads_its_parameters_once_and_nothing_else():
    FAKE.counts.reset()
    every_layer("fake")
    assert sorted(FAKE.counts.uploads) == sorted((shape, "float32") for shape in PARAMETERS.values())
    assert FAKE.counts.downloads == []
    assert FAKE.counts.synchronizations == 0


LABELS_CHECK = [((2,), "int64")]  # the smallest and the largest one, together


def test_a_training_step_moves_masks_and_tables_alone_and_waits_for_the_labels_check_alone():
    training = Training("fake")
    for _ in range(2):  # the first step, which makes the momentum, and a later one
        FAKE.counts.reset()
        training.step()
        tables = [(size, "uint8") for size in POOLED]  # max-pooling: which row and column of a window is inside
        masks = [(DROPPED, "bool")] * 2  # dropout: its mask in bytes, drawn again for the gradient
        assert FAKE.counts.uploads == [*tables, *masks]
        assert FAKE.counts.downloads == LABELS_CHECK
        assert FAKE.counts.synchronizations == 0


def test_with_kernels_a_training_step_moves_nothing_and_each_kernel_has_its_part(fake_with_kernels):
    training, new = Training("fake-kernels"), {"device": "fake-kernels", "seed": 0}
    training.model = na.Sequential(
        na.Conv2d(4, 6, 3, padding=1, **new),
        na.ReLU(),
        na.MaxPool2d(3, 2),  # 6 x 3 x 3
        na.Conv2d(6, 4, 2, **new),  # 4 x 2 x 2
        na.ReLU(),
        na.Dropout(0.3, seed=1),
        na.Flatten(),
        na.Linear(4 * 2 * 2, CLASSES, **new),
    )
    training.optimizer = na.SGD(training.model.parameters(), lr=0.1)
    fake_with_kernels.counts.reset()
    launched = fake_with_kernels.launcher.launched
    launched.clear()
    with na.convolution_algorithm("auto"):  # Winograd's uploads its transforms, once
        training.step()
    assert fake_with_kernels.counts.uploads == []  # dropout draws its mask where it is needed
    assert fake_with_kernels.counts.downloads == LABELS_CHECK
    windows = {"im2col", "col2im", "max_pool", "max_pool_gradient"}
    rows = {"add_bias_relu", "relu_gradient", "sum_rows", "dropout", "cross_entropy", "cross_entropy_gradient", "sgd"}
    assert {name.removesuffix("_by_units") for name in launched} == windows | rows


def test_what_a_kernel_began_is_finished_without_kernels(fake_with_kernels, monkeypatch):
    training, expected = Training("fake-kernels"), Training("cpu").step()
    loss = training.criterion(training.model(training.x), training.labels)
    monkeypatch.setattr(fake_with_kernels, "kernels", None)
    grad_x = training.model.backward(training.criterion.backward())
    assert_close(loss, expected[0])
    assert_close(grad_x, expected[1])
    for parameter, gradient in zip(training.model.parameters(), expected[2], strict=True):
        assert_close(parameter.grad, gradient)


def test_inference_moves_nothing_and_never_waits():
    model, x = every_layer("fake").eval(), put(distinct((N, 4, 8, 8), "float32"), "fake")
    FAKE.counts.reset()
    model(x)
    assert FAKE.counts == type(FAKE.counts)(launches=FAKE.counts.launches)


def test_reading_the_loss_waits_once():
    loss = Training("fake").step()[0]
    FAKE.counts.reset()
    assert float(loss) > 0
    assert FAKE.counts.synchronizations == 1


def test_state_dict_downloads_each_parameter_once():
    model = every_layer("fake")
    FAKE.counts.reset()
    model.state_dict()
    assert FAKE.counts.downloads == [(shape, "float32") for shape in PARAMETERS.values()]
    assert FAKE.counts.uploads == []


# --- arrays that are elsewhere -------------------------------------------------------------------------------------


def other_device(device):
    """A device that is not `device`."""
    return "cpu" if device != "cpu" else "fake"


def test_an_input_from_elsewhere_is_refused(device):
    model, home, away = every_layer(device), backend.get_device(device).name, other_device(device)
    x = put(distinct((N, 4, 8, 8), "float32"), away)
    for layer in (model[0], model):
        with pytest.raises(ValueError, match=f"{type(layer).__name__}'s input is on '{away}', expected it on '{home}'"):
            layer(x)


def test_an_output_gradient_from_elsewhere_is_refused_and_the_call_is_not_lost(device):
    model, away = every_layer(device), other_device(device)
    home = backend.get_device(device).name
    grad_y = distinct((N, CLASSES), "float32", seed=1)
    model(put(distinct((N, 4, 8, 8), "float32"), device))
    with pytest.raises(ValueError, match=f"'s output gradient is on '{away}', expected it on '{home}'"):
        model.backward(put(grad_y, away))
    assert all(parameter.grad is None for parameter in model.parameters())
    assert model.backward(put(grad_y, device)).shape == (N, 4, 8, 8)


def test_labels_from_elsewhere_are_refused(device):
    home, away = backend.get_device(device).name, other_device(device)
    logits, labels = put(distinct((N, CLASSES), "float32"), device), put(np.arange(N), away)
    with pytest.raises(ValueError, match=f"labels are on '{away}', expected them on '{home}'"):
        na.CrossEntropyLoss()(logits, labels)


def test_a_loss_gradient_from_elsewhere_is_refused_and_the_call_is_not_lost(device):
    home, away = backend.get_device(device).name, other_device(device)
    criterion = na.CrossEntropyLoss(reduction="none")
    criterion(put(distinct((N, CLASSES), "float32"), device), put(np.arange(N), device))
    grad = distinct((N,), "float32", seed=2)
    with pytest.raises(ValueError, match=f"is on '{away}', expected it on '{home}'"):
        criterion.backward(put(grad, away))
    assert criterion.backward(put(grad, device)).shape == (N, CLASSES)


def test_a_parameters_gradient_from_elsewhere_is_refused_and_nothing_is_changed(device):
    model, home, away = every_layer(device), backend.get_device(device).name, other_device(device)
    before = model.state_dict()
    for parameter in model.parameters():
        parameter.grad = put(np.ones(parameter.shape, "float32"), device)
    parameter.grad = put(np.ones(parameter.shape, "float32"), away)  # the last one's
    with pytest.raises(ValueError, match=f"a parameter's gradient is on '{away}', expected it on '{home}'"):
        na.SGD(model.parameters(), lr=0.1).step()
    for name, values in model.state_dict().items():
        np.testing.assert_array_equal(values, before[name])


# --- moving --------------------------------------------------------------------------------------------------------


def test_a_state_loads_from_the_host_and_from_any_device(device):
    source = every_layer("cpu").state_dict()
    states = [source, {name: put(values, device) for name, values in source.items()}]
    states.append({name: put(values, "fake") for name, values in source.items()})
    for state in states:
        model = every_layer(device)
        for parameter in model.parameters():
            parameter.data[...] = 0
        model.load_state_dict(state)
        assert all(isinstance(values, np.ndarray) for values in model.state_dict().values())
        for name, values in model.state_dict().items():
            np.testing.assert_array_equal(values, source[name])


def test_moving_there_and_back_changes_no_bit_of_data_or_gradients(device):
    training = Training("cpu")
    training.step()
    model, x = training.model, training.x
    state = model.state_dict()
    grads = [parameter.grad.copy() for parameter in model.parameters()]
    expected = model.eval()(x)

    assert model.to(device) is model
    assert model.device == backend.get_device(device).name
    assert_close(model(put(x, device)), expected)
    model.to("cpu")
    assert model.device == "cpu"
    for name, values in model.state_dict().items():
        np.testing.assert_array_equal(values, state[name])
    for parameter, grad in zip(model.parameters(), grads, strict=True):
        np.testing.assert_array_equal(parameter.grad, grad)
    np.testing.assert_array_equal(model(x), expected)


def test_moving_there_and_back_keeps_convolutions_weights_in_their_order(device):
    layer = na.Conv2d(4, 6, 3, seed=0)
    strides = layer.weight.data.strides
    layer.to(device)
    assert layer.weight.data.strides == strides
    layer.to("cpu")
    assert layer.weight.data.strides == strides  # else each forward and backward copies the weights


def test_moving_forgets_the_last_call():
    model = every_layer("cpu")
    model(distinct((N, 4, 8, 8), "float32"))
    model.to("fake")
    with pytest.raises(RuntimeError, match="needs a forward call"):
        model.backward(put(distinct((N, CLASSES), "float32"), "fake"))


def test_an_optimizer_whose_momentum_is_elsewhere_says_so():
    training = Training("cpu")
    training.step()
    training.model.to("fake")
    with pytest.raises(ValueError, match=r"moved to 'fake' after its first step; make a new SGD"):
        training.optimizer.step()


def test_a_deep_copy_of_a_network_stays_on_its_device_and_is_independent(device):
    model = every_layer(device)
    twin, before = copy.deepcopy(model), model.state_dict()
    for parameter in twin.parameters():
        parameter.data[...] = 0
    assert twin.device == model.device
    for name, values in model.state_dict().items():
        np.testing.assert_array_equal(values, before[name])


def test_two_devices_of_one_kind_are_not_confused(monkeypatch):
    monkeypatch.setattr(arrays, "_registered", dict(arrays._registered))
    backend.register_device(FakeDevice("second"))
    model = every_layer("second")
    with pytest.raises(ValueError, match="input is on 'fake', expected it on 'second'"):
        model(put(distinct((N, 4, 8, 8), "float32"), "fake"))
    assert model.to("fake")(put(distinct((N, 4, 8, 8), "float32"), "fake")).shape == (N, CLASSES)


def test_all_parameters_are_changed_in_one_launch_though_their_gradients_were_added_up(fake_with_kernels):
    training = Training("fake-kernels")
    for _ in range(2):
        training.criterion(training.model(training.x), training.labels)
        training.model.backward(training.criterion.backward())
    launched = fake_with_kernels.launcher.launched
    launched.clear()
    training.optimizer.step()
    assert launched == ["sgd"]
