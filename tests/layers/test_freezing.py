"""Frozen parameters, held against torch's `requires_grad`: no gradients, no work, no change by weight decay."""

import numpy as np
import pytest
import torch
from torch import nn

import npalexnet as na
from npalexnet import Conv2d, Dropout, Flatten, Linear, MaxPool2d, ReLU, Sequential
from npalexnet.layers.im2col_gemm import Im2colGemm
from npalexnet.layers.winograd import Winograd
from tests.support import assert_close, copy_state, normal, put, tensor


def network(device="cpu"):
    new = {"dtype": "float64", "device": device, "seed": np.random.default_rng(0)}
    return Sequential(
        Sequential(Conv2d(3, 4, 3, **new), ReLU(), MaxPool2d(2), Conv2d(4, 5, 2, **new), ReLU(), Flatten()),
        Sequential(Linear(45, 6, **new), ReLU(), Linear(6, 3, **new)),
    )


def torch_network():
    return nn.Sequential(
        nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(4, 5, 2), nn.ReLU(), nn.Flatten()),
        nn.Sequential(nn.Linear(45, 6), nn.ReLU(), nn.Linear(6, 3)),
    )


X, GRAD_Y = normal((9, 3, 10, 10)), normal((9, 3), seed=1)
FROZEN = [["0"], ["1"], ["0.0"], ["0.3"], ["1.0"], ["0.0.bias", "1.2.weight"], ["0", "1.0"]]


@pytest.mark.parametrize("names", FROZEN, ids=str)
@pytest.mark.parametrize("input_gradient", [True, False])
def test_gradients_beside_frozen_parts_are_torchs(names, input_gradient, device):
    model, twin = network(device), torch_network()
    copy_state(model, twin)
    assert model.freeze(*names) is model
    for name, parameter in twin.named_parameters():
        parameter.requires_grad = not any(name == part or name.startswith(f"{part}.") for part in names)
    x = tensor(X).requires_grad_(input_gradient)
    twin(x).backward(tensor(GRAD_Y))
    model(put(X, device))
    grad_x = model.backward(put(GRAD_Y, device), input_gradient=input_gradient)
    if input_gradient:
        assert_close(grad_x, x.grad)
    for (name, parameter), other in zip(model.named_parameters(), twin.parameters(), strict=True):
        assert parameter.requires_grad == other.requires_grad
        assert (parameter.grad is None) == (other.grad is None), name
        if other.grad is not None:
            assert_close(parameter.grad, other.grad)


def counted(monkeypatch):
    calls = []
    for kind in (Conv2d, Linear):
        for method in ("gradients", "parameter_gradients"):
            original = getattr(kind, method)

            def call(self, *arguments, kind=kind, method=method, original=original):
                calls.append((kind.__name__, method))
                return original(self, *arguments)

            monkeypatch.setattr(kind, method, call)
    return calls


def test_what_lies_below_the_lowest_trainable_layer_is_not_gone_through_backward(monkeypatch):
    calls = counted(monkeypatch)
    model = network().freeze("0", "1.0")
    model(X)
    model.backward(GRAD_Y, input_gradient=False)
    assert calls == [("Linear", "parameter_gradients")]


@pytest.mark.parametrize("algorithm", [Im2colGemm, Winograd])
def test_a_frozen_convolution_between_trainable_ones_computes_no_gradient_of_its_weight(monkeypatch, algorithm):
    computed = []

    class Recording(algorithm):
        def weight_gradient(self, grad_y, x, weight, windows, groups):
            computed.append(weight.shape)
            return super().weight_gradient(grad_y, x, weight, windows, groups)

        def gradients(self, grad_y, x, weight, windows, groups):
            computed.append(weight.shape)
            return super().gradients(grad_y, x, weight, windows, groups)

    model = network().freeze("0.3.weight")
    monkeypatch.setattr(Conv2d, "algorithm", Recording())
    model(X)
    model.backward(GRAD_Y, input_gradient=False)
    assert set(computed) == {(3, 3, 3, 4)}


def test_nothing_trainable_is_nothing_done(monkeypatch):
    calls = counted(monkeypatch)
    model = network().freeze()
    assert not model.trainable
    model(X)
    assert model.backward(GRAD_Y, input_gradient=False) is None
    assert calls == []


def test_a_frozen_alexnet_below_its_last_layer_computes_one_matrix_product_backward(narrow, monkeypatch):
    model = na.AlexNet(3, seed=0).freeze("layers", "classifier.1", "classifier.4")
    calls = counted(monkeypatch)
    y = model(normal((1, 3, 227, 227), "float32"))
    model.backward(np.ones_like(y), input_gradient=False)
    assert calls == [("Linear", "parameter_gradients")]
    assert [name for name, p in model.named_parameters() if p.grad is not None] == [
        "classifier.6.weight", "classifier.6.bias",
    ]  # fmt: skip


def test_weight_decay_and_momentum_leave_frozen_parameters_alone_though_they_had_gradients_before():
    model = network()
    optimizer = na.SGD(model.parameters(), 0.1, 0.9, weight_decay=0.5)
    for step in range(3):
        if step == 1:
            model.freeze("0")
            before = model.state_dict()
        model(X)
        model.backward(GRAD_Y)
        optimizer.step()
    for name, values in model.state_dict().items():
        assert np.array_equal(values, before[name]) == name.startswith("0.")


def test_what_was_frozen_can_be_trainable_again():
    model = network().freeze("0").requires_grad_()
    model(X)
    model.backward(GRAD_Y)
    assert all(parameter.grad is not None for parameter in model.parameters())


@pytest.mark.parametrize("names", [["2"], ["0", "0.1"], ["0.0.weights"], ["lay"]])
def test_a_name_of_nothing_with_parameters_is_refused_and_nothing_is_frozen(names):
    model = network()
    with pytest.raises(ValueError, match=rf"freeze expects names of parts .* 0, 1; .* 1\.2; got '{names[-1]}'"):
        model.freeze(*names)
    assert all(parameter.requires_grad for parameter in model.parameters())


def test_gradcheck_passes_over_frozen_parameters():
    layer = Linear(3, 2, dtype="float64", seed=0).freeze("weight")
    report = na.gradcheck(layer, normal((2, 3)))
    assert [row.name for row in report.rows] == ["input", "bias"]


def test_generators_are_found_by_name_wherever_dropout_is():
    model = Sequential(Dropout(), Sequential(Linear(2, 2), Dropout(0.1)))
    assert [name for name, _ in model.named_generators()] == ["0._generator", "1.1._generator"]
    assert dict(model.named_generators())["1.1._generator"] is model[1][1]._generator


# --- putting another layer in a place ---------------------------------------------------------------------------------


def test_a_layer_that_takes_anothers_place_is_computed_with_from_then_on(device):
    model, twin = network(device), torch_network()
    model[1][2] = Linear(6, 4, dtype="float64", device=device, seed=5)
    model[0][-2] = ReLU()
    twin[1][2] = nn.Linear(6, 4)
    copy_state(model, twin)
    assert_close(model(put(X, device)), twin(tensor(X)))
    assert [name for name, _ in model.named_parameters()] == [name for name, _ in twin.named_parameters()]
    grad_y = normal((9, 4), seed=2)
    grad_x = model.backward(put(grad_y, device))
    x = tensor(X).requires_grad_()
    twin(x).backward(tensor(grad_y))
    assert_close(grad_x, x.grad)


def test_what_backward_needs_of_the_layers_before_is_forgotten():
    model = network()
    model[1](normal((2, 45)))
    model[1][2] = Linear(6, 4, dtype="float64")
    with pytest.raises(RuntimeError, match="needs a forward call before it"):
        model[1].backward(normal((2, 3)))


@pytest.mark.parametrize(
    ("index", "layer", "error", "message"),
    [
        (0, nn.ReLU(), TypeError, "Sequential expects layers, got ReLU"),
        (slice(0, 1), ReLU(), TypeError, r"one layer at a number's place, got the index slice"),
        (6, ReLU(), IndexError, "layers 0 to 5, got the index 6"),
        (1, Linear(3, 3), ValueError, r"computed image by image; with Linear.* as number 1 it would not be"),
    ],
)
def test_what_can_not_take_a_place_is_refused_and_nothing_is_changed(index, layer, error, message):
    model = network()[0]
    before = tuple(model)
    with pytest.raises(error, match=message):
        model[index] = layer
    assert tuple(model) == before


def test_torch_freezes_as_here():
    """What these tests rely on: torch leaves `.grad` None, and its SGD passes over such parameters."""
    layer = nn.Linear(2, 2).requires_grad_(False)
    optimizer = torch.optim.SGD(layer.parameters(), 0.1, weight_decay=0.5)
    before = layer.weight.clone()
    optimizer.step()
    assert torch.equal(layer.weight, before)
