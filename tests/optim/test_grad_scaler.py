"""Loss scaling, beside torch's."""

import numpy as np
import pytest
import torch

import npalexnet as na
from npalexnet.layers.parameter import Parameter
from tests.support import assert_close, get, normal, put, tensor

SETTINGS = {"init_scale": 2.0**10, "growth_factor": 4.0, "backoff_factor": 0.25, "growth_interval": 3}


def make(device="cpu", **settings):
    parameters = [Parameter(put(normal((3, 4), "float32", seed), device)) for seed in range(2)]
    return parameters, na.SGD(parameters, lr=0.1, momentum=0.9), na.GradScaler(**(SETTINGS | settings))


@pytest.mark.parametrize("enabled", [True, False])
def test_scale_and_steps_are_torchs_through_good_and_bad_gradients(enabled, device):
    parameters, optimizer, scaler = make(device, enabled=enabled)
    twins = [torch.nn.Parameter(tensor(get(p.data))) for p in parameters]
    their_optimizer = torch.optim.SGD(twins, lr=0.1, momentum=0.9)
    their_scaler = torch.amp.GradScaler("cpu", enabled=enabled, **SETTINGS)
    for step in range(12):
        bad = {2: np.inf, 7: np.nan, 8: -np.inf}.get(step) if enabled else None
        their_scaler.scale(torch.zeros(()))  # makes torch's scale
        assert scaler.get_scale() == their_scaler.get_scale()
        for i, (parameter, twin) in enumerate(zip(parameters, twins, strict=True)):
            grad = normal((3, 4), "float32", 10 * step + i) * np.float32(scaler.get_scale())
            if bad is not None and i == 1:
                grad[2, 3] = bad
            parameter.grad, twin.grad = put(grad, device), tensor(grad)
        assert scaler.step(optimizer) is (bad is None)
        their_scaler.step(their_optimizer)
        scaler.update()
        their_scaler.update()
        for parameter, twin in zip(parameters, twins, strict=True):
            assert_close(parameter.data, twin)
    if enabled:
        assert scaler.state_dict() == their_scaler.state_dict()


def test_gradients_are_divided_and_keep_their_order_in_memory(device):
    parameter = Parameter(put(np.zeros((2, 3, 4, 5), "float32").transpose(0, 3, 1, 2), device))
    optimizer, scaler = na.SGD([parameter], lr=1.0), na.GradScaler(init_scale=8.0)
    given = put(normal((2, 3, 4, 5), "float32").transpose(0, 3, 1, 2), device)
    parameter.grad = given
    scaler.step(optimizer)
    assert parameter.grad.strides == parameter.data.strides
    assert_close(parameter.data, -normal((2, 3, 4, 5), "float32").transpose(0, 3, 1, 2) / 8)
    assert_close(given, normal((2, 3, 4, 5), "float32").transpose(0, 3, 1, 2))  # the caller's stays


def test_parameters_without_a_gradient_are_left_alone():
    parameters, optimizer, scaler = make()
    before = parameters[0].data.copy()
    parameters[1].grad = normal((3, 4), "float32")
    assert scaler.step(optimizer)
    np.testing.assert_array_equal(parameters[0].data, before)


def test_the_host_waits_once(fake_with_kernels):
    parameters, optimizer, scaler = make("fake-kernels")
    for parameter in parameters:
        parameter.grad = put(normal((3, 4), "float32"), "fake-kernels")
    fake_with_kernels.counts.reset()
    scaler.step(optimizer)
    counts = fake_with_kernels.counts
    assert (len(counts.downloads), counts.uploads, counts.synchronizations) == (1, [], 0)


def test_a_state_is_gone_on_from():
    _, _, scaler = make()
    scaler.load_state_dict(
        {"scale": 2.0, "growth_factor": 3.0, "backoff_factor": 0.1, "growth_interval": 7, "_growth_tracker": 6}
    )
    assert scaler.get_scale() == 2.0
    parameters, optimizer, _ = make()
    parameters[0].grad = normal((3, 4), "float32")
    scaler.step(optimizer)
    scaler.update()
    assert scaler.get_scale() == 6.0  # the seventh good step
    with pytest.raises(ValueError, match="needs _growth_tracker, backoff_factor"):
        scaler.load_state_dict({"scale": 2.0})


def test_steps_and_updates_alternate():
    _, optimizer, scaler = make()
    with pytest.raises(RuntimeError, match=r"update\(\) needs a step\(\)"):
        scaler.update()
    scaler.step(optimizer)
    with pytest.raises(RuntimeError, match=r"step\(\) was called twice"):
        scaler.step(optimizer)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"init_scale": 0.0}, "init_scale must be above 0 and finite, got 0.0"),
        ({"init_scale": np.inf}, "init_scale must be above 0 and finite, got inf"),
        ({"growth_factor": 1.0}, "growth_factor must be above 1 and finite, got 1.0"),
        ({"backoff_factor": 1.0}, "backoff_factor must be between 0 and 1, got 1.0"),
        ({"growth_interval": 0}, "growth_interval must be at least 1, got 0"),
    ],
)
def test_bad_settings_are_refused(settings, message):
    with pytest.raises(ValueError, match=message):
        na.GradScaler(**settings)


def test_settings_of_other_types_are_refused_by_name():
    with pytest.raises(TypeError, match="init_scale must be a number, got '1'"):
        na.GradScaler(init_scale="1")
    with pytest.raises(TypeError, match=r"growth_interval must be an int, got 2\.5"):
        na.GradScaler(growth_interval=2.5)


def test_the_scale_never_becomes_zero():
    parameters, optimizer, scaler = make(init_scale=2.0**-120, backoff_factor=2.0**-5)
    for _ in range(3):
        parameters[0].grad = np.full((3, 4), np.inf, "float32")
        assert not scaler.step(optimizer)
        scaler.update()
    assert scaler.get_scale() == 2.0**-126


@pytest.mark.parametrize(("name", "value"), [("scale", 0.0), ("growth_factor", 1.0), ("backoff_factor", 2.0)])
def test_a_state_that_makes_no_sense_is_refused_and_changes_nothing(name, value):
    _, _, scaler = make()
    before = scaler.state_dict()
    with pytest.raises(ValueError, match=f"^{name} must be"):
        scaler.load_state_dict(before | {name: value})
    assert scaler.state_dict() == before


def test_one_that_is_not_enabled_has_an_empty_state_as_torchs_has():
    _, _, scaler = make(enabled=False)
    assert scaler.state_dict() == torch.amp.GradScaler("cpu", enabled=False).state_dict() == {}
    scaler.load_state_dict({})
