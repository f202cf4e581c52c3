"""The face that all layers share: calling, gradients, modes, foreign memory, layers of one's own."""

import threading

import numpy as np
import pytest
import torch
from torch import nn

from npalexnet import (
    AdaptiveAvgPool2d,
    AvgPool2d,
    Conv2d,
    Dropout,
    Flatten,
    Layer,
    Linear,
    LocalResponseNorm,
    MaxPool2d,
    Parameter,
    ReLU,
    Sequential,
    SpatialResponseNorm,
)
from tests.support import (
    assert_close,
    assert_gradients_are_slopes,
    assert_matches_torch,
    distinct,
    forward_backward,
    get,
    normal,
    put,
)

LAYERS = {
    "Conv2d": lambda **new: Conv2d(3, 4, 3, stride=2, padding=1, seed=0, **new),
    "Conv2d without padding": lambda **new: Conv2d(3, 4, 3, seed=0, **new),
    "Conv2d in groups": lambda **new: Conv2d(3, 6, 2, groups=3, seed=0, **new),
    "Conv2d whose windows hang over": lambda **new: Conv2d(3, 4, 2, stride=2, ceil_mode=True, seed=0, **new),
    "Conv2d of single pixels": lambda **new: Conv2d(3, 4, 1, seed=0, **new),
    "MaxPool2d": lambda **new: MaxPool2d(3, 2),
    "MaxPool2d with padding": lambda **new: MaxPool2d(2, 2, padding=1),
    "Linear": lambda **new: Linear(5, 4, seed=0, **new),
    "ReLU": lambda **new: ReLU(),
    "Flatten": lambda **new: Flatten(),
    "Dropout": lambda **new: Dropout(0.5, seed=0),
    "LocalResponseNorm": lambda **new: LocalResponseNorm(3, 0.5),
    "LocalResponseNorm in groups": lambda **new: LocalResponseNorm(3, 0.5, divide_alpha=False, groups=3),
    "SpatialResponseNorm": lambda **new: SpatialResponseNorm(3, 0.5),
    "AvgPool2d": lambda **new: AvgPool2d(3, 2, padding=1),
    "AdaptiveAvgPool2d": lambda **new: AdaptiveAvgPool2d(2),
    "Sequential": lambda **new: Sequential(
        Conv2d(3, 4, 2, seed=0, **new), ReLU(), MaxPool2d(2), Dropout(seed=0), Flatten(), Linear(16, 3, seed=0, **new)
    ),
}
each_layer = pytest.mark.parametrize("make", LAYERS.values(), ids=LAYERS)
SHAPE = (9, 3, 5, 5)

ARRANGEMENTS = {  # the same numbers in memory of all kinds
    "C order": lambda x: x.copy(),
    "Fortran order": np.asfortranarray,
    "channels last": lambda x: np.ascontiguousarray(x.transpose(0, 2, 3, 1)).transpose(0, 3, 1, 2),
    "transposed": lambda x: np.ascontiguousarray(x.transpose(3, 1, 0, 2)).transpose(2, 1, 3, 0),
    "backwards": lambda x: np.ascontiguousarray(x[::-1, ::-1, ::-1, ::-1])[::-1, ::-1, ::-1, ::-1],
    "every second number": lambda x: np.repeat(np.repeat(x, 2, axis=0), 3, axis=3)[::2, :, :, ::3],
    "read only": lambda x: np.frombuffer(x.tobytes(), x.dtype).reshape(x.shape),
}


def output_like(layer, x):
    return normal(layer.output_shape(x.shape), x.dtype, seed=5)


def run(make, x, grad_y, training=True, **new):
    y, grad_x, gradients = forward_backward(make(dtype=x.dtype, **new).train(training), x, grad_y)
    return [y, grad_x, *gradients.values()]


@each_layer
@pytest.mark.parametrize("arrangement", ARRANGEMENTS.values(), ids=ARRANGEMENTS)
def test_any_memory_layout_gives_the_same_and_is_not_written_to(make, arrangement):
    x = distinct(SHAPE)
    grad_y = output_like(make(dtype="float64"), x)
    for training in (True, False):
        expected = run(make, x.copy(), grad_y.copy(), training)
        given = arrangement(x)
        given_grad_y = grad_y[::-1].copy()[::-1]
        before = given.tobytes(), given_grad_y.tobytes()
        for actual, its_expected in zip(run(make, given, given_grad_y, training), expected, strict=True):
            assert_close(actual, its_expected)
        assert (given.tobytes(), given_grad_y.tobytes()) == before


@each_layer
def test_broadcast_arrays_are_taken(make):
    x = np.broadcast_to(distinct((1, 3, 5, 1)), SHAPE)
    grad_y = output_like(make(dtype="float64"), x)
    grad_y = np.broadcast_to(grad_y[:1], grad_y.shape)
    expected = run(make, x.copy(), grad_y.copy())
    for actual, its_expected in zip(run(make, x, grad_y), expected, strict=True):
        assert_close(actual, its_expected)


@each_layer
def test_a_second_pass_does_not_change_what_the_first_returned(make):
    layer = make(dtype="float64")
    x, other = distinct(SHAPE), distinct(SHAPE, seed=1)
    grad_y = output_like(layer, x)
    y = layer(x)
    grad_x = layer.backward(grad_y)
    before = y.copy(), grad_x.copy(), grad_y.copy()
    layer(other)
    layer.backward(grad_y * 2)
    for array, its_before in zip((y, grad_x, grad_y), before, strict=True):
        np.testing.assert_array_equal(array, its_before)


@each_layer
def test_the_dtype_never_changes(make, dtype, device):
    layer = make(dtype=dtype, device=device)
    x = distinct(SHAPE, dtype)
    for training in (True, False):
        y, grad_x, gradients = forward_backward(layer.train(training), x, output_like(layer, x), device)
        assert {array.dtype for array in (y, grad_x, *gradients.values())} == {np.dtype(dtype)}
    assert layer.dtype in (None, np.dtype(dtype))


@each_layer
def test_eval_mode_gives_the_same_output_and_gradients(make, device):
    if "Dropout" in repr(make()):
        pytest.skip("drops in training alone")
    layer, x = make(dtype="float64", device=device), distinct(SHAPE)
    grad_y = output_like(layer, x)
    y, grad_x, gradients = forward_backward(layer.train(), x, grad_y, device)
    other_y, other_grad_x, other_gradients = forward_backward(layer.eval(), x, grad_y, device)
    np.testing.assert_array_equal(y, other_y)
    np.testing.assert_array_equal(grad_x, other_grad_x)
    for name in gradients:
        np.testing.assert_array_equal(gradients[name], other_gradients[name])


@each_layer
@pytest.mark.parametrize("training", [True, False])
def test_backward_needs_a_forward_call_and_uses_it_up(make, training):
    layer = make(dtype="float64").train(training)
    x = distinct(SHAPE)
    grad_y = output_like(layer, x)
    with pytest.raises(RuntimeError, match=rf"^{type(layer).__name__}\.backward\(\) needs a forward call before it"):
        layer.backward(grad_y)
    layer(x)
    layer.backward(grad_y)
    with pytest.raises(RuntimeError, match="needs a forward call before it, one for each backward"):
        layer.backward(grad_y)


@each_layer
def test_a_refused_output_gradient_changes_nothing(make):
    layer, x = make(dtype="float64"), distinct(SHAPE)
    grad_y = output_like(layer, x)
    layer(x)
    bad = [
        (grad_y[:-1], ValueError, r"output gradient must have the output's shape \(9, .*got \(8, "),
        (grad_y.astype("float32"), TypeError, "output gradient is of dtype float32, expected float64"),
        (grad_y.tolist(), TypeError, "output gradient: expected a NumPy or CuPy array, got list"),
        (put(grad_y, "fake"), ValueError, "output gradient is on 'fake', expected it on 'cpu'"),
    ]
    for gradient, error, message in bad:
        with pytest.raises(error, match=message):
            layer.backward(gradient)
    assert all(parameter.grad is None for parameter in layer.parameters())
    np.testing.assert_array_equal(layer.backward(grad_y), run(make, x, grad_y)[1])


def test_a_refused_input_leaves_the_last_call_as_it_was():
    layer, x = Linear(3, 2, dtype="float64"), normal((2, 3))
    layer(x)
    with pytest.raises(ValueError, match="expects an input of shape"):
        layer(normal((2, 4)))
    assert layer.backward(normal((2, 2))).shape == (2, 3)


def test_gradients_accumulate_until_zero_grad(dtype, device):
    layer, x, grad_y = Conv2d(3, 4, 3, dtype=dtype, device=device), normal(SHAPE, dtype), normal((9, 4, 3, 3), dtype)
    once = {name: gradient.copy() for name, gradient in forward_backward(layer, x, grad_y, device)[2].items()}
    layer(put(x, device))
    layer.backward(put(-3 * grad_y, device))
    for name, parameter in layer.named_parameters():
        assert_close(parameter.grad, -2 * once[name])
    layer.zero_grad()
    assert layer.weight.grad is None
    assert layer.bias.grad is None


def test_train_and_eval_reach_every_layer_inside():
    inner = Dropout(0.5)
    model = Sequential(ReLU(), Sequential(inner))
    assert model.training
    assert model.eval() is model
    assert not any(layer.training for layer in (model, model[0], model[1], inner))
    assert model.train() is model
    assert all(layer.training for layer in (model, model[0], model[1], inner))
    assert not model.train(False)[1].training


@pytest.mark.parametrize("inner_only", [True, False])
def test_dropout_may_drop_in_a_model_in_eval_mode_and_the_other_way_round(inner_only, device):
    model = Sequential(Flatten(), Dropout(0.5, seed=0), ReLU())
    if inner_only:
        model.eval()[1].train()
    else:
        model.train()[1].eval()
    x, grad_y = np.abs(normal((33, 8))) + 1, normal((33, 8), seed=1)
    y, grad_x, _ = forward_backward(model, x, grad_y, device)
    assert (y == 0).any() == inner_only
    assert_close(y, np.where(y != 0, x * (2 if inner_only else 1), 0))
    assert_close(grad_x, np.where(y != 0, grad_y * (2 if inner_only else 1), 0))  # backward has the mask of forward


class Scale(Layer):
    """A layer as a user would write it: nothing but the two methods."""

    def __init__(self, features, dtype="float64"):
        self.factor = Parameter(np.linspace(0.5, 2, features).astype(dtype))

    def compute(self, x, noise=None):
        return x * self.factor.data, x

    def gradients(self, grad_y, saved):
        return grad_y * self.factor.data, [(self.factor, (grad_y * saved).sum(axis=0))]


class TorchScale(nn.Module):
    def __init__(self, features):
        super().__init__()
        self.factor = nn.Parameter(torch.ones(features))

    def forward(self, x):
        return x * self.factor


@pytest.mark.parametrize("per_image", [True, False])
@pytest.mark.parametrize("N", [1, 9, 33])
def test_a_layer_of_ones_own_needs_two_methods(per_image, N, device):
    layer = Scale(4).to(device)
    layer.per_image = per_image
    assert_matches_torch(layer, TorchScale(4), normal((N, 4)), device)


def test_a_layer_of_ones_own_has_the_whole_face():
    layer = Scale(4)
    assert_gradients_are_slopes(layer, normal((3, 4)))
    assert list(layer.state_dict()) == ["factor"]
    assert repr(layer) == "Scale()"
    assert layer.device == "cpu"
    assert layer.dtype == np.float64
    with pytest.raises(TypeError, match="Scale's input is of dtype float32, expected float64"):
        layer(normal((3, 4), "float32"))


class Shift(Layer):
    """Adds a whole batch of parameters, and hands back the very gradient that it was given."""

    def __init__(self, shape):
        self.offset = Parameter(np.zeros(shape))

    def compute(self, x, noise=None):
        return x + self.offset.data, None

    def gradients(self, grad_y, saved):
        return grad_y, [(self.offset, grad_y)]


def test_accumulating_does_not_write_to_an_array_that_the_caller_holds():
    layer, x, grad_y = Shift((2, 3)), normal((2, 3)), normal((2, 3), seed=1)
    before = grad_y.copy()
    for _ in range(2):
        layer(x)
        grad_x = layer.backward(grad_y)
    np.testing.assert_array_equal(grad_y, before)
    np.testing.assert_array_equal(grad_x, before)
    np.testing.assert_array_equal(layer.offset.grad, 2 * before)


def test_adding_the_gradients_of_shards_does_not_write_to_an_array_that_the_caller_holds():
    layer, grad_y = Shift((1, 3)), normal((3, 3), seed=1)
    layer.per_image = True
    before = grad_y.copy()
    layer(normal((3, 3)))
    np.testing.assert_array_equal(layer.backward(grad_y), before)
    np.testing.assert_array_equal(grad_y, before)
    np.testing.assert_allclose(layer.offset.grad, before.sum(axis=0, keepdims=True))


def test_a_layer_without_its_two_methods_says_which_is_missing():
    class Empty(Layer):
        pass

    class Half(Layer):
        def compute(self, x, noise=None):
            return x, None

    with pytest.raises(NotImplementedError, match=r"Empty has no compute\(\)"):
        Empty()(normal(3))
    half = Half()
    half(normal(3))
    with pytest.raises(NotImplementedError, match=r"Half has no gradients\(\)"):
        half.backward(normal(3))


def test_two_threads_may_run_the_core_of_one_layer_at_once():
    layer = LAYERS["Sequential"](dtype="float64").eval()
    inputs = [distinct((4, 3, 5, 5), seed=i) for i in range(8)]
    expected = [layer.compute(x)[0] for x in inputs]
    results = [[] for _ in inputs]

    def work(i):
        for _ in range(20):
            y, saved = layer.compute(inputs[i])
            results[i].append((y, layer.gradients(np.ones_like(y), saved)[0]))

    threads = [threading.Thread(target=work, args=(i,)) for i in range(len(inputs))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for i, x in enumerate(inputs):
        y, saved = layer.compute(x)
        grad_x, _ = layer.gradients(np.ones_like(y), saved)
        assert len(results[i]) == 20
        for its_y, its_grad_x in results[i]:
            np.testing.assert_array_equal(its_y, expected[i])
            np.testing.assert_array_equal(its_grad_x, grad_x)


def test_arrays_of_the_device_come_back_from_the_device(device):
    layer = LAYERS["Sequential"](dtype="float64", device=device)
    x = put(distinct(SHAPE), device)
    y = layer(x)
    grad_x = layer.backward(put(normal(y.shape), device))
    assert type(y) is type(grad_x) is type(x)
    assert get(y).shape == (9, 3)


class Subclass(np.ndarray):
    """Another kind of array."""


@each_layer
@pytest.mark.parametrize("training", [True, False])
def test_arrays_of_subclasses_are_taken_and_plain_ones_returned(make, training, tmp_path):
    x = distinct(SHAPE)
    grad_y = output_like(make(dtype="float64"), x)
    expected = run(make, x.copy(), grad_y.copy(), training)
    file = np.memmap(tmp_path / "x", x.dtype, "w+", shape=x.shape)
    file[...] = x
    for given in (x.view(Subclass), file):
        layer = make(dtype="float64").train(training)
        y = layer(given)
        assert type(y) is np.ndarray
        grad_x = layer.backward(grad_y.view(Subclass))
        arrays = [y, grad_x, *(parameter.grad for parameter in layer.parameters())]
        assert {type(array) for array in arrays} == {np.ndarray}
        for array, its_expected in zip(arrays, expected, strict=True):
            np.testing.assert_array_equal(array, its_expected)


@pytest.mark.parametrize("layer", [ReLU(), Dropout(0.5).eval(), Linear(3, 2, dtype="float64"), Flatten()], ids=repr)
def test_a_numpy_matrix_is_taken_as_a_plain_array(layer):
    x = np.arange(6.0).reshape(2, 3)
    y = layer(x.copy())
    other = layer(x.view(np.matrix))
    assert type(other) is np.ndarray
    np.testing.assert_array_equal(other, y)
    assert type(layer.backward(y.view(np.matrix))) is np.ndarray


@each_layer
def test_masked_arrays_are_refused_with_what_to_do(make):
    layer, x = make(dtype="float64"), distinct(SHAPE)
    masked, who = np.ma.masked_array(x, mask=x > 0), type(layer).__name__
    advice = r" is a masked array, whose mask would be ignored: fill it by \.filled\(value\)$"
    with pytest.raises(TypeError, match=rf"^{who}'s input{advice}"):
        layer(masked)
    y = layer(x)
    with pytest.raises(TypeError, match=rf"^{who}'s output gradient{advice}"):
        layer.backward(np.ma.masked_array(y))
    assert layer.backward(y).shape == x.shape  # nothing was used up


def test_a_parameters_arrays_are_plain_ones_of_the_same_memory(tmp_path):
    file = np.memmap(tmp_path / "weight", "float32", "w+", shape=(2, 3))
    layer = Linear(3, 2)
    layer.weight.data = file
    assert type(layer.weight.data) is np.ndarray
    assert np.shares_memory(layer.weight.data, file)
    layer.weight.grad = np.ones((2, 3), "float32").view(np.matrix)
    assert type(layer.weight.grad) is np.ndarray
    for whose, act in (
        ("a parameter's data", lambda masked: Parameter(masked)),
        ("a parameter's data", lambda masked: setattr(layer.weight, "data", masked)),
        ("a parameter's gradient", lambda masked: setattr(layer.weight, "grad", masked)),
        (r"state\['weight'\]", lambda masked: layer.load_state_dict({"weight": masked, "bias": layer.bias.data})),
    ):
        with pytest.raises(TypeError, match=f"^{whose} is a masked array"):
            act(np.ma.masked_array(np.zeros((2, 3), "float32")))


@pytest.mark.parametrize(
    ("layer", "x", "message"),
    [
        (
            Conv2d(3, 4, 3),
            np.zeros((2, 9, 9, 3), "float32"),
            "Conv2d expects 3 input channels, got an input of shape (2, 9, 9, 3): channels come second, transpose it "
            "by .transpose(0, 3, 1, 2)",
        ),
        (
            Conv2d(3, 4, 3),
            np.zeros((3, 9, 9), "float32"),
            "Conv2d expects an input of shape (N, C, H, W), got (3, 9, 9): a batch comes first, add that axis "
            "by [None]",
        ),
        (
            Conv2d(3, 4, 3),
            np.zeros((9, 9, 3), "float32"),
            "Conv2d expects an input of shape (N, C, H, W), got (9, 9, 3): make a batch of it, channels second, by "
            ".transpose(2, 0, 1)[None]",
        ),
        (
            Conv2d(3, 4, 3),
            np.zeros((2, 4, 9, 9), "float32"),
            "Conv2d expects 3 input channels, got an input of shape (2, 4, 9, 9)",
        ),
        (
            Conv2d(3, 4, 3),
            np.zeros((2, 3, 9, 9), "uint8"),
            "Conv2d's input is of dtype uint8, expected float32, as its weight is: cast it by .astype('float32')",
        ),
        (
            Conv2d(3, 4, 3, dtype="float64"),
            np.zeros((2, 3, 9, 9), "uint8"),
            "Conv2d's input is of dtype uint8, expected float64, as its weight is: cast it by .astype('float64')",
        ),
        (
            Conv2d(3, 4, 3),
            [[1.0]],
            "Conv2d's input: expected a NumPy or CuPy array, got list: convert it by numpy.asarray(..., 'float32')",
        ),
        (
            ReLU(),
            torch.zeros(2, 3),
            "ReLU's input: expected a NumPy or CuPy array, got Tensor: convert it by numpy.asarray(..., 'float32')",
        ),
        (ReLU(), "x", "ReLU's input: expected a NumPy or CuPy array, got str"),
        (
            ReLU(),
            np.zeros((2, 3), "uint8"),
            "ReLU's input is of dtype uint8, expected float32, float64, float16 or bfloat16: cast it by "
            ".astype('float32')",
        ),
    ],
    ids=lambda value: None,
)
def test_what_is_refused_is_said_with_advice_that_works(layer, x, message):
    with pytest.raises((TypeError, ValueError)) as error:
        layer(x)
    assert str(error.value) == message
    _, _, advice = message.partition(" by ")
    if advice.startswith("."):
        layer(eval("x" + advice))
    elif advice.startswith("["):
        layer(x[None])
    elif advice and isinstance(layer, ReLU):
        layer(np.asarray(x, "float32"))
