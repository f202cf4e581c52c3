"""Sequential against torch, with layers that mix images among those that don't."""

import numpy as np
import pytest
from torch import nn

from npalexnet import Conv2d, Dropout, Flatten, Layer, Linear, LocalResponseNorm, MaxPool2d, ReLU, Sequential
from npalexnet.backend import get_num_threads, set_num_threads
from tests.support import (
    assert_close,
    assert_gradients_are_slopes,
    assert_matches_torch,
    copy_state,
    forward_backward,
    get,
    normal,
    put,
    torch_forward_backward,
)


def small_network(dtype="float64", device="cpu"):
    new = {"dtype": dtype, "device": device, "seed": np.random.default_rng(0)}
    return Sequential(
        Conv2d(3, 6, 3, stride=2, padding=1, **new),
        ReLU(),
        LocalResponseNorm(3, 0.3),
        MaxPool2d(3, 2),
        Sequential(Conv2d(6, 4, 2, groups=2, **new), ReLU()),
        Flatten(),
        Linear(4 * 2 * 3, 7, **new),
        ReLU(),
        Linear(7, 5, **new),
    )


def torch_network():
    return nn.Sequential(
        nn.Conv2d(3, 6, 3, stride=2, padding=1),
        nn.ReLU(),
        nn.LocalResponseNorm(3, 0.3),
        nn.MaxPool2d(3, 2),
        nn.Sequential(nn.Conv2d(6, 4, 2, groups=2), nn.ReLU()),
        nn.Flatten(),
        nn.Linear(4 * 2 * 3, 7),
        nn.ReLU(),
        nn.Linear(7, 5),
    )


class Center(Layer):
    """Subtracts the mean of the batch: no image can be computed without the others."""

    def compute(self, x, noise=None):
        return x - x.mean(axis=0), None

    def gradients(self, grad_y, saved):
        return grad_y - grad_y.mean(axis=0), []


class WithShape(Center):
    def output_shape(self, input_shape):
        return input_shape


class TorchCenter(nn.Module):
    def forward(self, x):
        return x - x.mean(0)


@pytest.mark.parametrize("N", [0, 1, 9, 33])
def test_a_small_network_is_torchs(N, dtype, device):
    assert_matches_torch(small_network(dtype, device), torch_network(), normal((N, 3, 13, 20), dtype), device)


def test_gradients_are_slopes():
    assert_gradients_are_slopes(small_network(), normal((2, 3, 13, 20)))


@pytest.mark.parametrize("N", [1, 2, 9, 33])
def test_a_layer_that_mixes_images_sees_the_whole_batch(N, device):
    new = {"dtype": "float64", "device": device, "seed": 0}
    layers = [Conv2d(2, 3, 2, **new), ReLU(), WithShape(), MaxPool2d(2), Flatten(), WithShape(), Linear(12, 2, **new)]
    twins = [nn.Conv2d(2, 3, 2), nn.ReLU(), TorchCenter(), nn.MaxPool2d(2), nn.Flatten(), TorchCenter()]
    x = normal((N, 2, 5, 5))
    assert_matches_torch(Sequential(*layers), nn.Sequential(*twins, nn.Linear(12, 2)), x, device)


def test_a_layer_that_does_not_tell_its_output_shape_works_inside_too():
    layer, twin = Sequential(ReLU(), Center(), ReLU()), nn.Sequential(nn.ReLU(), TorchCenter(), nn.ReLU())
    assert_matches_torch(layer, twin, normal((9, 5)))


@pytest.mark.parametrize("N", [2, 9])
def test_a_layer_that_is_used_twice_gets_both_gradients(N, dtype, device):
    convolution = Conv2d(1, 1, 3, padding=1, dtype=dtype, device=device)
    linear = Linear(5, 5, dtype=dtype, device=device)
    layer = Sequential(convolution, ReLU(), convolution, Flatten(), linear, ReLU(), linear)
    torch_convolution, torch_linear = nn.Conv2d(1, 1, 3, padding=1), nn.Linear(5, 5)
    twin = nn.Sequential(torch_convolution, nn.ReLU(), torch_convolution, nn.Flatten(), torch_linear, nn.ReLU())
    copy_state(layer, twin.append(torch_linear))
    x, grad_y = normal((N, 1, 1, 5), dtype), normal((N, 5), dtype, seed=1)
    y, grad_x, gradients = forward_backward(layer, x, grad_y, device)
    expected_y, expected_grad_x, expected = torch_forward_backward(twin, x, grad_y)
    assert_close(y, expected_y)
    assert_close(grad_x, expected_grad_x)
    assert len(list(layer.parameters())) == len(expected) == 4
    for name in expected:
        assert_close(gradients[name], expected[name])


def test_one_thread_and_many_give_the_same_bits():
    x, grad_y = normal((33, 3, 13, 20), "float32"), normal((33, 5), "float32", seed=1)
    threads, results = get_num_threads(), []
    try:
        for number in (1, 2, 5):
            set_num_threads(number)
            y, grad_x, gradients = forward_backward(small_network("float32"), x, grad_y)
            results.append([y, grad_x, *gradients.values()])
    finally:
        set_num_threads(threads)
    for other in results[1:]:
        for one, two in zip(results[0], other, strict=True):
            np.testing.assert_array_equal(one, two)


def test_parameters_are_named_as_in_torch():
    expected = {name: tuple(value.shape) for name, value in torch_network().state_dict().items()}
    assert {name: value.shape for name, value in small_network().state_dict().items()} == expected


def test_it_is_a_sequence_of_its_layers():
    layers = ReLU(), Flatten(), Dropout()
    sequential = Sequential(*layers)
    assert len(sequential) == 3
    assert tuple(sequential) == layers
    assert sequential[0] is layers[0]
    assert sequential[-1] is layers[2]


def test_no_layers_are_the_identity(device):
    x, grad_y = normal((9, 3)), normal((9, 3), seed=1)
    y, grad_x, gradients = forward_backward(Sequential(), x, grad_y, device)
    np.testing.assert_array_equal(y, x)
    np.testing.assert_array_equal(grad_x, grad_y)
    assert gradients == {}


def test_an_input_that_a_later_layer_can_not_take_is_refused_before_anything_is_computed():
    class Computed(WithShape):
        def compute(self, x, noise=None):
            raise AssertionError("computed")

    network = Sequential(Computed(), Flatten(), Linear(7, 2, dtype="float64"))
    with pytest.raises(ValueError, match=r"Linear expects an input of shape \(\.\.\., 7\), got \(2, 6\)"):
        network(normal((2, 6)))
    with pytest.raises(ValueError, match=r"Conv2d expects 3 input channels, got an input of shape \(1, 2, 9, 9\)"):
        small_network()(normal((1, 2, 9, 9)))


@pytest.mark.parametrize(
    "what", [nn.ReLU(), ReLU, None, "relu", [ReLU()]], ids=["torch", "class", "None", "str", "list"]
)
def test_what_is_no_layer_is_refused_with_its_place(what):
    with pytest.raises(TypeError, match=r"^Sequential expects layers, got .* as number 1$"):
        Sequential(ReLU(), what)


def test_multiply_adds_are_summed_over_the_layers():
    network = Sequential(Conv2d(1, 2, 2), ReLU(), Sequential(Flatten(), Linear(18, 3)))
    assert network.multiply_adds((5, 1, 4, 4)) == 5 * (2 * 9 * 4 + 18 * 3)


def test_repr_shows_what_is_inside():
    network = Sequential(ReLU(), Sequential(Dropout(0.1)))
    assert repr(network) == "Sequential(\n  (0): ReLU()\n  (1): Sequential(\n    (0): Dropout(p=0.1)\n  )\n)"
    assert repr(Sequential()) == "Sequential()"


def test_layers_of_different_dtypes_or_devices_are_refused_before_anything_is_computed():
    first = Conv2d(2, 3, 1)
    with pytest.raises(TypeError, match=r"float32.*float64|float64.*float32"):
        Sequential(first, Conv2d(3, 4, 1, dtype="float64"))(normal((1, 2, 3, 3), "float32"))
    with pytest.raises(ValueError, match=r"cpu.*fake|fake.*cpu"):
        Sequential(first, Conv2d(3, 4, 1, device="fake"))(normal((1, 2, 3, 3), "float32"))


POOLED = [
    lambda: [ReLU(), MaxPool2d(3, 2)],
    lambda: [Conv2d(2, 3, 3, dtype="float64", seed=0), ReLU(), MaxPool2d(2), ReLU(), MaxPool2d(2, 1)],
    lambda: [ReLU(), MaxPool2d(3, 2, padding=1)],
    lambda: [ReLU(), MaxPool2d(2, 2, ceil_mode=True)],
]


@pytest.mark.parametrize("make", POOLED)
@pytest.mark.parametrize("values", [None, [-1.0, 0.0, 1.0], [-2.0, -1.0], [-3.0, 0.0, np.nan, 1.0]], ids=str)
def test_a_relu_in_front_of_a_pooling_gives_the_same_as_one_layer_after_the_other(make, values, device):
    x = normal((3, 2, 9, 8)) if values is None else np.random.default_rng(0).choice(values, (3, 2, 9, 8))
    layers = [layer.to(device) for layer in make()]
    y = put(x, device)
    for layer in layers:
        y = layer(y)
    grad_y = grad_x = put(normal(y.shape, seed=1), device)
    for layer in reversed(layers):
        grad_x = layer.backward(grad_x)
    model = Sequential(*make()).to(device)
    np.testing.assert_array_equal(get(model(put(x, device))), get(y))
    np.testing.assert_array_equal(get(model.backward(grad_y)), get(grad_x))
    np.testing.assert_array_equal(get(model.eval()(put(x, device))), get(y))


def test_only_relu_itself_changes_places_with_a_pooling_and_only_without_a_border():
    class Leaky(ReLU):
        pass

    relu, leaky, pool, bordered, ceil = ReLU(), Leaky(), MaxPool2d(2), MaxPool2d(2, padding=1), Flatten()
    model = Sequential(relu, pool, leaky, pool, relu, bordered, pool, relu, ceil)
    assert model._stages == [pool, relu, leaky, pool, relu, bordered, pool, relu, ceil]
    assert list(model) == [relu, pool, leaky, pool, relu, bordered, pool, relu, ceil]


def test_leaves_are_the_layers_that_compute_in_order_with_their_full_names():
    network = Sequential(Sequential(ReLU(), Sequential()), Flatten())
    assert [(name, type(layer)) for name, layer in network.named_leaves()] == [("0.0", ReLU), ("1", Flatten)]
    assert [name for name, _ in ReLU().named_leaves()] == [""]


# --- named layers ----------------------------------------------------------------------------------------------------


def named_network():
    first, second = Linear(4, 3, dtype="float64", seed=0), Linear(3, 2, dtype="float64", seed=1)
    return Sequential(first, ReLU(), head=Sequential(Dropout(0.5, seed=2), second))


def test_named_layers_come_after_the_others_and_are_attributes_with_torchs_names():
    model = named_network()
    assert [name for name, _ in model.named_children()] == ["0", "1", "head"]
    assert list(model.state_dict()) == ["0.weight", "0.bias", "head.1.weight", "head.1.bias"]
    assert model.head is model[2]
    assert repr(model).splitlines()[3:5] == ["  (head): Sequential(", "    (0): Dropout(p=0.5)"]
    unnamed = Sequential(*model)
    x = normal((5, 4))
    np.testing.assert_array_equal(model.eval()(x), unnamed.eval()(x))


def test_a_named_layer_is_replaced_by_assignment_and_the_new_one_computes():
    model, x = named_network().eval(), normal((5, 4))
    hidden = np.maximum(model[0](x), 0)
    model.head = other = Linear(3, 7, dtype="float64", seed=3)
    assert model.head is model[-1] is other
    np.testing.assert_array_equal(model(x), other(hidden))
    assert list(model.state_dict())[-1] == "head.bias"


def test_a_layer_that_is_assigned_to_another_name_is_computed_last_as_in_torch():
    model, x = named_network().eval(), normal((5, 4))
    before = model(x)
    model.tail = Linear(2, 6, dtype="float64", seed=4)
    np.testing.assert_array_equal(model(x), model.tail(before))


def test_a_subclass_computes_what_it_was_given_before_and_in_its_constructor():
    class Scaled(Sequential):
        def __init__(self):
            self.first = Linear(4, 3, dtype="float64", seed=0)
            super().__init__(last=Linear(3, 2, dtype="float64", seed=1))

    model, x = Scaled(), normal((5, 4))
    np.testing.assert_array_equal(model(x), model.last(model.first(x)))
    assert model.output_shape((5, 4)) == (5, 2)


@pytest.mark.parametrize("name", ["training", "forward", "per_image"])
def test_a_name_that_is_an_attribute_is_refused(name):
    with pytest.raises(ValueError, match=f"Sequential can't name a layer '{name}': that is an attribute"):
        Sequential(**{name: ReLU()})


def test_what_is_not_a_layer_is_refused_by_its_name():
    with pytest.raises(TypeError, match="Sequential expects layers, got 3 as 'head'"):
        Sequential(ReLU(), head=3)
