"""Inputs of 16 bits with float32 parameters: the input's dtype is computed in, sums are float32."""

import numpy as np
import pytest
import torch
from torch import nn

import npalexnet as na
from npalexnet.backend import input_dtype
from npalexnet.layers.parameter import Parameter
from tests.support import assert_close, copy_state, distinct, get, normal, put, tensor

ROUNDING = {"float16": 2**-11, "bfloat16": 2**-8}  # the largest relative error of one rounding
LAYERS = {
    "Conv2d": (lambda: na.Conv2d(4, 6, 3, padding=1, seed=0), lambda: nn.Conv2d(4, 6, 3, padding=1)),
    "Conv2d with stride, dilation and groups": (
        lambda: na.Conv2d(4, 6, (3, 2), 2, (2, 0), (1, 2), groups=2, seed=0),
        lambda: nn.Conv2d(4, 6, (3, 2), 2, (2, 0), (1, 2), groups=2),
    ),
    "Conv2d without bias": (lambda: na.Conv2d(4, 6, 2, bias=False, seed=0), lambda: nn.Conv2d(4, 6, 2, bias=False)),
    "Linear": (lambda: na.Linear(9, 5, seed=0), lambda: nn.Linear(9, 5)),
    "MaxPool2d": (lambda: na.MaxPool2d(3, 2), lambda: nn.MaxPool2d(3, 2)),
    "MaxPool2d with padding": (lambda: na.MaxPool2d(3, 1, 1), lambda: nn.MaxPool2d(3, 1, 1)),
    "ReLU": (na.ReLU, nn.ReLU),
    "Flatten": (na.Flatten, nn.Flatten),
    "AvgPool2d": (lambda: na.AvgPool2d(3, 2, 1), lambda: nn.AvgPool2d(3, 2, 1)),
    "AdaptiveAvgPool2d": (lambda: na.AdaptiveAvgPool2d(3), lambda: nn.AdaptiveAvgPool2d(3)),
    "LocalResponseNorm": (lambda: na.LocalResponseNorm(3, 0.5), lambda: nn.LocalResponseNorm(3, 0.5)),
    "Sequential": (
        lambda: na.Sequential(na.Conv2d(4, 6, 3, seed=0), na.ReLU(), na.MaxPool2d(2)),
        lambda: nn.Sequential(nn.Conv2d(4, 6, 3), nn.ReLU(), nn.MaxPool2d(2)),
    ),
}


@pytest.fixture(params=["float16", "bfloat16"])
def half(request):
    return input_dtype(request.param)


def rounded(twin, half):
    """Round the twin's parameters as the layer does, and compute in float64."""
    for parameter in twin.parameters():
        parameter.data = tensor(parameter.detach().numpy().astype(half).astype("float64"))
    return twin.double()


@pytest.mark.parametrize("name", LAYERS)
def test_outputs_and_gradients_are_torchs_of_the_rounded_numbers(name, half, device):
    ours, theirs = LAYERS[name]
    layer, twin = ours(), theirs()
    copy_state(layer, twin)
    layer.to(device)
    x = distinct((3, 4, 8, 9), "float32").astype(half)
    expected_x = tensor(x.astype("float64")).requires_grad_()
    expected_y = rounded(twin, half)(expected_x)
    grad_y = normal(expected_y.shape, "float32", 1).astype(half)
    expected_y.backward(tensor(grad_y.astype("float64")))
    y = layer(put(x, device))
    grad_x = layer.backward(put(grad_y, device))
    assert y.dtype == grad_x.dtype == half
    roundings = 4 if name in ("Sequential", "LocalResponseNorm") else 2  # a product, and its sum with the bias
    tolerance = roundings * ROUNDING[half.name]
    assert_close(get(y).astype("float64"), expected_y, tolerance)
    assert_close(get(grad_x).astype("float64"), expected_x.grad, tolerance)
    for (what, parameter), expected in zip(layer.named_parameters(), twin.parameters(), strict=True):
        assert parameter.dtype == parameter.grad.dtype == np.float32, what
        through_a_rounding = name == "Sequential"  # the pool's ties are other ones, too
        assert_close(get(parameter.grad).astype("float64"), expected.grad, tolerance if through_a_rounding else 2e-5)


@pytest.mark.parametrize("training", [True, False])
def test_dropout_drops_the_same_numbers_as_in_float32(training, half, device):
    x = normal((5, 33), "float32").astype(half)
    wide, narrow = (na.Dropout(0.5, seed=3).train(training) for _ in range(2))
    expected = wide(x.astype("float32"))
    y = narrow(put(x, device))
    assert y.dtype == half
    np.testing.assert_array_equal(get(y).astype("float32"), expected)  # times 2 is exact
    grad = normal((5, 33), "float32", 1).astype(half)
    expected = wide.backward(grad.astype("float32"))
    np.testing.assert_array_equal(get(narrow.backward(put(grad, device))).astype("float32"), expected)


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_the_loss_is_computed_in_float32(smoothing, half, device):
    logits, labels = (normal((6, 11), "float32") * 5).astype(half), np.arange(6)
    expected_logits = tensor(logits.astype("float32")).requires_grad_()
    expected = nn.functional.cross_entropy(expected_logits, tensor(labels), label_smoothing=smoothing)
    expected.backward()
    criterion = na.CrossEntropyLoss(label_smoothing=smoothing)
    loss = criterion(put(logits, device), put(labels, device))
    grad = criterion.backward()
    assert loss.dtype == np.float32
    assert grad.dtype == half
    assert_close(np.asarray(get(loss)), expected)
    assert_close(get(grad).astype("float32"), expected_logits.grad, ROUNDING[half.name])


def test_a_gradient_that_would_be_lost_in_float16_is_there_if_it_is_scaled_before_it_is_rounded(device):
    logits, labels = put(np.array([[30, 0]], "float16"), device), put(np.array([0]), device)
    criterion = na.CrossEntropyLoss()
    criterion(logits, labels)
    assert get(criterion.backward())[0, 1] == 0  # exp(-30) is 9e-14
    criterion(logits, labels)
    assert get(criterion.backward(2.0**24))[0, 1] > 0


@pytest.mark.parametrize("name", ["Conv2d", "Linear"])
def test_float64_parameters_take_no_other_inputs(name, half):
    ours, _ = LAYERS[name]
    layer = ours()
    for parameter in layer.parameters():
        parameter.data = parameter.data.astype("float64")
    with pytest.raises(TypeError, match=f"input is of dtype {half}, expected float64, as its weight is"):
        layer(np.ones((3, 4, 8, 9), half))


def test_parameters_themselves_have_no_16_bits():
    with pytest.raises(ValueError, match="dtype must be 'float32' or 'float64', got 'float16'"):
        na.Linear(3, 4, dtype="float16")


@pytest.mark.parametrize("classes", [10])
def test_alexnet_in_bfloat16_is_as_near_to_float32_as_torch_with_autocast(classes):
    model = na.AlexNet(classes, dropout=0.0, seed=0, init="torch")
    from benchmarks.rivals.torch_network import torch_alexnet

    twin = torch_alexnet(nn, classes, 0.0)
    copy_state(model, twin)
    images, labels = normal((2, 3, 227, 227), "float32"), np.array([3, 7])

    def torchs(dtype):
        twin.zero_grad()
        with torch.autocast("cpu", dtype, enabled=dtype is not torch.float32):
            loss = nn.functional.cross_entropy(logits := twin(tensor(images)), tensor(labels))
        loss.backward()
        return logits.detach().float().numpy(), [p.grad.numpy() for p in twin.parameters()]

    def ours(dtype):
        model.zero_grad()
        criterion = na.CrossEntropyLoss()
        logits = model(images.astype(dtype))
        criterion(logits, labels)
        model.backward(criterion.backward(), input_gradient=False)
        return logits.astype("float32"), [p.grad for p in model.parameters()]

    def away(found, exact):
        pairs = zip([found[0], *found[1]], [exact[0], *exact[1]], strict=True)
        return np.array([np.linalg.norm(f - e) / np.linalg.norm(e) for f, e in pairs])

    exact = torchs(torch.float32)
    theirs, mine = away(torchs(torch.bfloat16), exact), away(ours(input_dtype("bfloat16")), exact)
    assert (mine <= 2 * theirs).all(), (mine, theirs)  # logits: 1.6; gradients: 0.5 to 1.3


class Shift(na.Layer):
    """A layer of one's own that does not know of 16 bits: its output is float32."""

    def __init__(self, cast):
        self.shift, self.cast = Parameter(np.full(5, 0.5, "float32")), cast

    def compute(self, x, noise=None):
        return x + (self.shift.data.astype(x.dtype) if self.cast else self.shift.data), None

    def gradients(self, grad_y, saved):
        return grad_y, [(self.shift, grad_y.sum(axis=0))]


@pytest.mark.parametrize("cast", [True, False])
def test_a_layer_of_ones_own_can_be_trained_in_16_bits(cast, half):
    model, criterion = na.Sequential(na.Linear(9, 5, seed=0), Shift(cast)), na.CrossEntropyLoss()
    optimizer, scaler = na.SGD(model.parameters(), lr=0.1), na.GradScaler()
    logits = model(normal((4, 9), "float32").astype(half))
    assert logits.dtype == (half if cast else np.float32)
    criterion(logits, np.arange(4))
    model.backward(criterion.backward(scaler.get_scale()), input_gradient=False)
    assert all(parameter.grad.dtype == np.float32 for parameter in model.parameters())
    assert scaler.step(optimizer)
