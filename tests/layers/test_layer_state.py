"""Parameters by name: states in and out, to and from torch; moving between devices."""

import numpy as np
import pytest
import torch
from torch import nn

from npalexnet import Conv2d, Dropout, Flatten, Linear, MaxPool2d, Parameter, ReLU, Sequential
from tests.support import assert_matches_torch, forward_backward, get, normal, put, tensor


def network(seed=0, dtype="float32", device="cpu"):
    new = {"dtype": dtype, "device": device, "seed": np.random.default_rng(seed)}
    return Sequential(
        Conv2d(2, 4, 3, groups=2, bias=False, **new), ReLU(), Flatten(), Sequential(Dropout(0), Linear(36, 3, **new))
    )


def torch_network():
    return nn.Sequential(
        nn.Conv2d(2, 4, 3, groups=2, bias=False),
        nn.ReLU(),
        nn.Flatten(),
        nn.Sequential(nn.Dropout(0), nn.Linear(36, 3)),
    )


def values(layer):
    return {name: get(parameter.data).copy() for name, parameter in layer.named_parameters()}


def assert_same(state, other):
    assert list(state) == list(other)
    for name in state:
        np.testing.assert_array_equal(state[name], other[name])


def test_a_state_goes_to_torch_and_the_networks_agree(dtype, device):
    assert_matches_torch(network(0, dtype, device), torch_network(), normal((2, 2, 5, 5), dtype), device)


def test_a_state_comes_from_torch_and_the_networks_agree(device):
    layer, twin = network(0, device=device), torch_network()
    assert layer.load_state_dict(twin.state_dict()) == ([], [])
    x = normal((2, 2, 5, 5), "float32")
    np.testing.assert_allclose(get(layer(put(x, device))), twin(tensor(x)).detach().numpy(), rtol=1e-5, atol=1e-5)
    assert_same(layer.state_dict(), {name: value.numpy() for name, value in twin.state_dict().items()})


def test_a_state_holds_copies_in_c_order_on_the_cpu_under_torchs_names(device):
    layer = network(device=device)
    state = layer.state_dict()
    assert {name: value.shape for name, value in state.items()} == {
        name: tuple(value.shape) for name, value in torch_network().state_dict().items()
    }
    assert all(isinstance(value, np.ndarray) and value.flags.c_contiguous for value in state.values())
    before = values(layer)
    for value in state.values():
        value += 1
    assert_same(values(layer), before)


def test_loading_copies_the_values_and_keeps_the_arrays_and_gradients(device):
    layer, state = network(device=device), network(1).state_dict()
    arrays = [parameter.data for parameter in layer.parameters()]
    forward_backward(layer, normal((2, 2, 5, 5), "float32"), normal((2, 3), "float32"), device)
    layer.load_state_dict(state)
    expected = {name: value.copy() for name, value in state.items()}
    assert all(parameter.data is array for parameter, array in zip(layer.parameters(), arrays, strict=True))
    assert all(parameter.grad is not None for parameter in layer.parameters())
    for value in state.values():
        value += 1
    assert_same(values(layer), expected)


def test_values_of_other_dtypes_layouts_and_devices_are_converted(device):
    layer = network(device=device)
    state = {
        "0.weight": np.asfortranarray(network(1, "float64").state_dict()["0.weight"]),
        "3.1.weight": nn.Parameter(torch.arange(108.0, dtype=torch.float16).reshape(36, 3).T),
        "3.1.bias": put(np.array([1, 2, 3]), device),
    }
    layer.load_state_dict(state)
    assert {parameter.dtype for parameter in layer.parameters()} == {np.dtype("float32")}
    np.testing.assert_array_equal(get(layer[0].weight.data), state["0.weight"].astype("float32"))
    np.testing.assert_array_equal(get(layer[3][1].weight.data), np.arange(108).reshape(36, 3).T)
    np.testing.assert_array_equal(get(layer[3][1].bias.data), [1, 2, 3])


def without(state, *names):
    return {name: value for name, value in state.items() if name not in names}


@pytest.mark.parametrize(
    ("change", "strict", "error", "message"),
    [
        (
            lambda s: without(s, "0.weight"),
            True,
            ValueError,
            r"^state does not fit this Sequential: 0\.weight is missing$",
        ),
        (lambda s: {**s, "9.weight": s["3.1.bias"]}, True, ValueError, r"9\.weight is unexpected$"),
        (
            lambda s: {**s, "3.1.weight": s["3.1.weight"].T},
            True,
            ValueError,
            r"3\.1\.weight must have shape \(3, 36\), got \(36, 3\)$",
        ),
        (lambda s: {**s, "3.1.bias": s["3.1.bias"][:1]}, False, ValueError, r"3\.1\.bias must have .* got \(1,\)$"),
        (lambda s: {**s, "3.1.bias": 0.5}, False, ValueError, r"3\.1\.bias must have shape \(3,\), got \(\)$"),
        (
            lambda s: {**without(s, "0.weight"), "x": 1, "3.1.bias": s["3.1.bias"][:2]},
            True,
            ValueError,
            r"0\.weight is missing; x is unexpected; 3\.1\.bias must have shape \(3,\), got \(2,\)$",
        ),
        (
            lambda s: {**s, "3.1.bias": ["a", "b", "c"]},
            True,
            TypeError,
            r"state\['3\.1\.bias'\] must be a numeric array",
        ),
        (lambda s: {**s, "3.1.bias": None}, True, TypeError, r"state\['3\.1\.bias'\] must be a numeric array"),
        (lambda s: {**s, "3.1.bias": s["3.1.bias"] * 1j}, True, TypeError, "numeric array, got dtype complex64"),
        (lambda s: list(s.items()), True, TypeError, "^state must map names to arrays, got list$"),
        (lambda s: None, True, TypeError, "^state must map names to arrays, got NoneType$"),
    ],
    ids=[
        "missing",
        "unexpected",
        "transposed",
        "short",
        "scalar",
        "all at once",
        "str",
        "None",
        "complex",
        "list",
        "no",
    ],
)
def test_a_refused_state_changes_nothing(change, strict, error, message):
    layer = network(0)
    before = values(layer)
    with pytest.raises(error, match=message):
        layer.load_state_dict(change(network(1).state_dict()), strict)
    assert_same(values(layer), before)


def test_a_state_that_fits_in_part_is_taken_in_part_if_asked_and_the_rest_is_told_as_torch_tells_it():
    layer, other = network(0), network(1).state_dict()
    before = values(layer)
    state = {**without(other, "0.weight"), "x": np.ones(3)}
    told = layer.load_state_dict(state, strict=False)
    expected = torch_network().load_state_dict({name: tensor(value) for name, value in state.items()}, strict=False)
    assert told.missing_keys == expected.missing_keys == ["0.weight"]
    assert told.unexpected_keys == expected.unexpected_keys == ["x"]
    assert_same(values(layer), {**before, **without(other, "0.weight")})


def test_layers_without_parameters_have_an_empty_state():
    for layer in (ReLU(), Flatten(), MaxPool2d(2), Dropout(), Sequential()):
        assert layer.state_dict() == {}
        assert layer.load_state_dict({}) == ([], [])
        assert layer.device is None
        assert layer.dtype is None
        assert layer.to("fake") is layer


@pytest.mark.parametrize(("source", "target"), [("cpu", "fake"), ("fake", "cpu"), ("cpu", "cpu")])
def test_a_moved_layer_computes_the_same_there(source, target):
    layer = network(device=source)
    x, grad_y = normal((9, 2, 5, 5), "float32"), normal((9, 3), "float32", seed=1)
    y, grad_x, gradients = forward_backward(layer, x, grad_y, source)
    before = {name: gradient.copy() for name, gradient in gradients.items()}
    assert layer.to(target) is layer
    assert layer.device == layer[0].device == target
    assert_same({name: get(parameter.grad) for name, parameter in layer.named_parameters()}, before)
    other_y, other_grad_x, other_gradients = forward_backward(layer, x, grad_y, target)
    np.testing.assert_allclose(other_y, y, rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(other_grad_x, grad_x, rtol=1e-5, atol=1e-5)
    for name in before:
        np.testing.assert_allclose(other_gradients[name], before[name], rtol=1e-5, atol=1e-4)


def test_moving_forgets_the_last_call_and_an_unknown_device_changes_nothing():
    layer = Linear(3, 2)
    layer(normal((1, 3), "float32"))
    with pytest.raises(ValueError, match="device must be 'cpu', 'cuda', 'cuda:N' or 'auto', got 'mars'"):
        layer.to("mars")
    layer.backward(normal((1, 2), "float32"))
    layer(normal((1, 3), "float32"))
    layer.to("fake")
    with pytest.raises(RuntimeError, match="needs a forward call"):
        layer.backward(put(normal((1, 2), "float32"), "fake"))


def test_a_parameter_tells_its_shape_dtype_and_size():
    parameter = Parameter(np.zeros((2, 3), "float32"))
    assert (parameter.shape, parameter.dtype, parameter.size, parameter.grad) == ((2, 3), np.float32, 6, None)
    assert repr(parameter) == "Parameter(shape=(2, 3), dtype=float32)"


def test_numbers_that_the_parameters_can_not_hold_are_refused_and_nothing_is_changed():
    layer, state = network(0), network(1, "float64").state_dict()
    name, before = next(reversed(state)), layer.state_dict()
    state[name] = np.full_like(state[name], 1e300)
    with pytest.raises(ValueError, match=f"{name} has numbers beyond float32, up to 1e\\+300"):
        layer.load_state_dict(state)
    assert_same(layer.state_dict(), before)


def test_what_no_numpy_array_can_be_made_of_is_named():
    layer, state = network(0), network(1).state_dict()
    name = next(iter(state))
    state[name] = tensor(state[name]).bfloat16()  # which NumPy does not have
    with pytest.raises(
        TypeError, match=f"state\\['{name}'\\] can't become a NumPy array: .*; convert it to float32 first"
    ):
        layer.load_state_dict(state)
