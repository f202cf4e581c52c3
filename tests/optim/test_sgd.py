"""SGD against torch, step by step."""

import numpy as np
import pytest
import torch

from npalexnet import SGD, Linear, Parameter
from tests.support import assert_close, get, normal, put, tensor

SETTINGS = {
    "plain": {"lr": 0.1},
    "momentum": {"lr": 0.1, "momentum": 0.9},
    "nesterov": {"lr": 0.1, "momentum": 0.9, "nesterov": True},
    "weight decay": {"lr": 0.1, "weight_decay": 0.3},
    "the paper's": {"lr": 0.01, "momentum": 0.9, "weight_decay": 5e-4},
    "all": {"lr": 0.1, "momentum": 0.5, "weight_decay": 0.3, "nesterov": True},
    "nothing": {"lr": 0.0, "momentum": 0.9, "weight_decay": 0.3},
}
SHAPES = [(3, 4), (5,), (2, 3, 2, 2), (1, 1), (700, 100), (), (0, 3)]


class Pair:
    """The same parameters here and in torch, given the same gradients."""

    def __init__(self, shapes=SHAPES, dtype="float64", device="cpu"):
        self.device, self.dtype = device, dtype
        self.parameters = [Parameter(put(normal(shape, dtype, seed=i), device)) for i, shape in enumerate(shapes)]
        self.twins = [torch.nn.Parameter(tensor(get(parameter.data))) for parameter in self.parameters]

    def set_gradients(self, seed, skip=()):
        for i, (parameter, twin) in enumerate(zip(self.parameters, self.twins, strict=True)):
            gradient = None if i in skip else normal(parameter.shape, self.dtype, seed=100 * seed + i)
            parameter.grad = None if gradient is None else put(gradient.copy(), self.device)
            twin.grad = None if gradient is None else tensor(gradient)

    def assert_equal(self):
        for parameter, twin in zip(self.parameters, self.twins, strict=True):
            assert_close(parameter.data, twin)


@pytest.mark.parametrize("settings", SETTINGS.values(), ids=SETTINGS)
def test_every_step_is_torchs(settings, dtype, device):
    pair = Pair(dtype=dtype, device=device)
    arrays = [parameter.data for parameter in pair.parameters]
    optimizer, twin = SGD(pair.parameters, **settings), torch.optim.SGD(pair.twins, **settings)
    for seed in range(4):
        pair.set_gradients(seed)
        gradients = [get(parameter.grad).copy() for parameter in pair.parameters]
        optimizer.step()
        twin.step()
        pair.assert_equal()
        for parameter, gradient, array in zip(pair.parameters, gradients, arrays, strict=True):
            np.testing.assert_array_equal(get(parameter.grad), gradient)  # the caller's, not to be written to
            assert parameter.data is array


def test_two_steps_by_hand():
    parameter = Parameter(np.array([1.0]))
    optimizer = SGD([parameter], lr=0.5, momentum=0.5, weight_decay=0.1)
    parameter.grad = np.array([2.0])
    optimizer.step()  # g = 2 + 0.1*1 = 2.1, v = 2.1
    np.testing.assert_allclose(parameter.data, [1 - 0.5 * 2.1])
    optimizer.step()  # g = 2 + 0.1*(-0.05) = 1.995, v = 1.05 + 1.995 = 3.045
    np.testing.assert_allclose(parameter.data, [-0.05 - 0.5 * 3.045])


def test_groups_have_their_own_settings_and_the_rest_from_the_arguments(device):
    pair = Pair([(3, 4), (5,), (2, 2), (1,)], device=device)

    def groups(p):
        return [
            {"params": p[:1], "lr": 0.5},
            {"params": p[1], "momentum": 0.0, "weight_decay": 0.2},
            {"params": iter(p[2:]), "momentum": 0.5, "nesterov": True},
        ]

    settings = {"lr": 0.1, "momentum": 0.9}
    optimizer, twin = SGD(groups(pair.parameters), **settings), torch.optim.SGD(groups(pair.twins), **settings)
    for seed in range(3):
        pair.set_gradients(seed)
        optimizer.step()
        twin.step()
        pair.assert_equal()


def test_settings_may_change_between_steps(device):
    pair = Pair([(3, 4), (5,)], device=device)
    optimizer, twin = SGD(pair.parameters, lr=0.1), torch.optim.SGD(pair.twins, lr=0.1)
    changes = [{"lr": 0.01}, {"momentum": 0.9}, {"weight_decay": 0.1}, {"nesterov": True}, {"lr": 0.2, "momentum": 0.5}]
    for seed, change in enumerate(changes):
        for group in (*optimizer.param_groups, *twin.param_groups):
            group.update(change)
        pair.set_gradients(seed)
        optimizer.step()
        twin.step()
        pair.assert_equal()


def test_parameters_without_a_gradient_are_skipped_and_keep_their_velocity(device):
    pair = Pair([(3, 4), (5,)], device=device)
    settings = {"lr": 0.1, "momentum": 0.9, "weight_decay": 0.1}
    optimizer, twin = SGD(pair.parameters, **settings), torch.optim.SGD(pair.twins, **settings)
    for seed, skip in enumerate([(0,), (1,), (0, 1), (), (0,)]):
        pair.set_gradients(seed, skip)
        optimizer.step()
        twin.step()
        pair.assert_equal()


@pytest.mark.parametrize("arrange", [np.asfortranarray, lambda a: a[::-1].copy()[::-1], lambda a: a.T.copy().T])
def test_gradients_and_parameters_of_any_layout_are_taken(arrange):
    start, gradient = normal((600, 170)), normal((600, 170), seed=1)
    parameter = Parameter(arrange(start))
    parameter.grad = gradient
    SGD([parameter], lr=0.1, momentum=0.9).step()
    np.testing.assert_allclose(parameter.data, start - 0.1 * gradient)


def test_zero_grad_forgets_the_gradients_of_all_groups():
    parameters = [Parameter(np.ones(2)) for _ in range(3)]
    for parameter in parameters:
        parameter.grad = np.ones(2)
    SGD([{"params": parameters[:1]}, {"params": parameters[1:]}], lr=0.1).zero_grad()
    assert [parameter.grad for parameter in parameters] == [None] * 3


def test_a_generator_of_parameters_is_taken():
    layer = Linear(3, 2)
    assert SGD(layer.parameters(), 0.1).param_groups[0]["params"] == [layer.weight, layer.bias]


PARAMETER = Parameter(np.ones(2))


@pytest.mark.parametrize(
    ("parameters", "settings", "error", "message"),
    [
        ([], {}, ValueError, "parameters must not be empty"),
        (PARAMETER, {}, TypeError, "parameters must be an iterable of parameters or of groups, got Parameter"),
        ({"params": [PARAMETER]}, {}, TypeError, "parameters must be an iterable of parameters or of groups, got {"),
        ([np.ones(2)], {}, TypeError, "parameters must be Parameter objects, got ndarray"),
        ([PARAMETER, {"params": []}], {}, TypeError, "parameters must be Parameter objects, got dict"),
        ([PARAMETER, PARAMETER], {}, ValueError, "parameters must not hold a parameter twice"),
        ([{"params": [PARAMETER]}, {"params": PARAMETER}], {}, ValueError, "must not hold a parameter twice"),
        ([{"lr": 0.1}], {}, ValueError, r"a parameter group needs 'params', got \['lr'\]"),
        ([{"params": [PARAMETER], "rate": 1}], {}, ValueError, r"a parameter group takes 'params', .* got \['rate'\]"),
        ([{"params": [PARAMETER], "lr": -1}], {}, ValueError, "lr must be finite and not negative, got -1"),
        ([PARAMETER], {"lr": -0.1}, ValueError, r"lr must be finite and not negative, got -0\.1"),
        ([PARAMETER], {"lr": np.inf}, ValueError, "lr must be finite and not negative, got inf"),
        ([PARAMETER], {"lr": np.nan}, ValueError, "lr must be finite and not negative, got nan"),
        ([PARAMETER], {"lr": "0.1"}, TypeError, r"lr must be a number, got '0\.1'"),
        ([PARAMETER], {"lr": None}, TypeError, "lr must be a number, got None"),
        ([PARAMETER], {"momentum": -0.5}, ValueError, r"momentum must be finite and not negative, got -0\.5"),
        ([PARAMETER], {"momentum": True}, TypeError, "momentum must be a number, got True"),
        (
            [PARAMETER],
            {"weight_decay": -1e-4},
            ValueError,
            r"weight_decay must be finite and not negative, got -0\.0001",
        ),
        ([PARAMETER], {"nesterov": True}, ValueError, "nesterov needs a momentum above 0, got 0"),
    ],
)
def test_bad_arguments_are_refused_by_name(parameters, settings, error, message):
    with pytest.raises(error, match=f"^{message}" if not message.startswith("must") else message):
        SGD(parameters, **{"lr": 0.1, **settings})


def bad_lr(optimizer, parameters):
    optimizer.param_groups[1]["lr"] = -1.0


def bad_momentum(optimizer, parameters):
    optimizer.param_groups[1]["momentum"] = "much"


def bad_shape(optimizer, parameters):
    parameters[1].grad = np.ones((1, 5))


def bad_dtype(optimizer, parameters):
    parameters[1].grad = np.ones(5, "float32")


def bad_device(optimizer, parameters):
    parameters[1].grad = put(np.ones(5), "fake")


def not_an_array(optimizer, parameters):
    parameters[1].grad = [1.0] * 5


def read_only(optimizer, parameters):
    parameters[1].data.flags.writeable = False


@pytest.mark.parametrize(
    ("spoil", "error", "message"),
    [
        (read_only, ValueError, r"a parameter of shape \(5,\) is read-only: give it a copy"),
        (bad_lr, ValueError, r"lr must be finite and not negative, got -1\.0"),
        (bad_momentum, TypeError, "momentum must be a number, got 'much'"),
        (bad_shape, ValueError, r"a gradient must have its parameter's shape \(5,\), got \(1, 5\)"),
        (bad_dtype, TypeError, "a parameter's gradient is of dtype float32, expected float64"),
        (bad_device, ValueError, "a parameter's gradient is on 'fake', expected it on 'cpu'"),
        (not_an_array, TypeError, "a parameter's gradient: expected a NumPy or CuPy array, got list"),
    ],
)
def test_a_refused_step_changes_no_parameter_and_no_velocity(spoil, error, message):
    pair, untouched = Pair([(3, 4), (5,)]), Pair([(3, 4), (5,)])

    def make(p):
        return SGD([{"params": p[:1]}, {"params": p[1:]}], lr=0.1, momentum=0.9)

    optimizer, other = make(pair.parameters), make(untouched.parameters)
    for each in (pair, untouched):
        each.set_gradients(0)
    optimizer.step()
    other.step()
    group = dict(optimizer.param_groups[1])
    spoil(optimizer, pair.parameters)
    with pytest.raises(error, match=message):
        optimizer.step()
    optimizer.param_groups[1].update(group)
    pair.parameters[1].data.flags.writeable = True
    for each in (pair, untouched):
        each.set_gradients(1)
    optimizer.step()
    other.step()
    for parameter, twin in zip(pair.parameters, untouched.parameters, strict=True):
        np.testing.assert_array_equal(parameter.data, twin.data)


def test_a_model_that_was_moved_after_a_step_is_refused():
    layer = Linear(3, 2)
    optimizer = SGD(layer.parameters(), 0.1, momentum=0.9)
    for parameter in layer.parameters():
        parameter.grad = np.ones_like(parameter.data)
    optimizer.step()
    layer.to("fake")
    before = layer.state_dict()
    with pytest.raises(ValueError, match=r"moved to 'fake' after its first step; make a new SGD after model\.to\(\)"):
        optimizer.step()
    for name, value in layer.state_dict().items():
        np.testing.assert_array_equal(value, before[name])


# --- states -----------------------------------------------------------------------------------------------------------


def stepped(device="cpu", dtype="float64"):
    pair = Pair(dtype=dtype, device=device)
    groups = [{"params": pair.parameters[:2]}, {"params": pair.parameters[2:], "lr": 0.2}]
    optimizer = SGD(groups, **SETTINGS["all"])
    twin = torch.optim.SGD([{"params": pair.twins[:2]}, {"params": pair.twins[2:], "lr": 0.2}], **SETTINGS["all"])
    for seed in range(2):
        pair.set_gradients(seed, skip=[3])
        optimizer.step()
        twin.step()
    return pair, optimizer, twin


def test_a_state_is_torchs(device):
    _, optimizer, twin = stepped(device)
    ours, theirs = optimizer.state_dict(), twin.state_dict()
    assert set(ours["state"]) == set(theirs["state"]) == {0, 1, 2, 4, 5, 6}
    for number, state in theirs["state"].items():
        assert isinstance(ours["state"][number]["momentum_buffer"], np.ndarray)
        assert_close(ours["state"][number]["momentum_buffer"], state["momentum_buffer"])
    for group, other in zip(ours["param_groups"], theirs["param_groups"], strict=True):
        assert group == {name: other[name] for name in group}


def test_an_optimizer_goes_on_to_the_same_bits_from_a_state_and_from_torchs(device):
    pair, optimizer, twin = stepped(device)
    for state in (optimizer.state_dict(), twin.state_dict()):
        other = Pair(device=device)
        for ours, theirs, data in zip(other.parameters, other.twins, pair.parameters, strict=True):
            ours.data = put(get(data.data).copy(), device)
            theirs.data = tensor(get(data.data))
        again = SGD([{"params": other.parameters[:2]}, {"params": other.parameters[2:]}], lr=0.7)
        again.load_state_dict(state)
        reference = torch.optim.SGD([{"params": other.twins[:2]}, {"params": other.twins[2:]}], lr=0.7)
        reference.load_state_dict(twin.state_dict())
        for seed in range(2, 4):
            other.set_gradients(seed)
            again.step()
            reference.step()
        other.assert_equal()


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda state: state.pop("state"), r"needs 'state' and 'param_groups', got no \['state'\]"),
        (lambda state: state["param_groups"].pop(), r"must have groups of \[2, 5\] parameters, got \[2\]"),
        (lambda state: state["param_groups"][1].update(lr=-1), "lr must be finite and not negative, got -1"),
        (lambda state: state["param_groups"][0].update(dampening=0.5), "dampening or maximize"),
        (
            lambda state: state["state"][1].update(momentum_buffer=np.zeros(4)),
            r"velocity of parameter 1 must be of shape \(5,\), got \(4,\)",
        ),
    ],
)
def test_a_state_that_does_not_fit_is_refused_and_nothing_is_changed(spoil, message):
    _, optimizer, _ = stepped()
    before = optimizer.state_dict()
    state = optimizer.state_dict()
    spoil(state)
    with pytest.raises(ValueError, match=message):
        optimizer.load_state_dict(state)
    after = optimizer.state_dict()
    assert after["param_groups"] == before["param_groups"]
    for number, velocity in before["state"].items():
        np.testing.assert_array_equal(after["state"][number]["momentum_buffer"], velocity["momentum_buffer"])


def test_a_masked_velocity_is_refused_and_nothing_changed():
    optimizer = SGD([Parameter(np.zeros((2, 3), "float32"))], lr=1.0, momentum=0.9)
    state = optimizer.state_dict()
    state["state"] = {0: {"momentum_buffer": np.ma.masked_array(np.ones((2, 3), "float32"))}}
    state["param_groups"][0]["lr"] = 5.0
    with pytest.raises(TypeError, match=r"^the velocity of parameter 0 is a masked array"):
        optimizer.load_state_dict(state)
    assert optimizer.param_groups[0]["lr"] == 1.0


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ([1.0], r"a parameter's data: expected a NumPy or CuPy array, got list: convert it by numpy\.asarray"),
        (
            np.array([1]),
            r"a parameter's data is of dtype int64, expected float32, .*: cast it by \.astype\('float32'\)",
        ),
        (np.array([1j]), "a parameter's data is of dtype complex128, expected float32"),
        (torch.ones(1), "a parameter's data: expected a NumPy or CuPy array, got Tensor"),
    ],
)
def test_parameters_that_can_not_be_trained_are_refused_before_the_first_step(data, message):
    with pytest.raises(TypeError, match=message):
        SGD([Parameter(data)], lr=0.1)
