"""What many tests need: moving arrays, comparing them, random arrays, torch's answers."""

from math import prod

import numpy as np
import torch
from hypothesis import HealthCheck, settings
from threadpoolctl import threadpool_info

from npalexnet import backend
from npalexnet.layers.im2col import im2col

torch.set_num_threads(1)  # more of them wait for work in busy loops, on the cores that the layers' threads need
TOLERANCE = {"float32": 2e-5, "float64": 1e-10}
PROPERTY = settings(
    max_examples=60, derandomize=True, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


def blas_threads():
    """The setting of every BLAS in the process but OpenCV's own, which the tests of pictures load at some time."""
    blas = [library for library in threadpool_info() if library["user_api"] == "blas"]
    return {library["num_threads"] for library in blas if "opencv" not in library["filepath"]}


def put(array, device):
    """Move a NumPy array to the device of that name."""
    return backend.get_device(device).from_host(array)


def get(array):
    """Move an array of any device to NumPy."""
    return backend.device_of(array).to_host(array)


def assert_close(actual, expected, tolerance=None):
    """Compare shape, dtype and values: the largest difference against the largest expected magnitude."""
    actual = get(actual)
    expected = expected.detach().numpy() if isinstance(expected, torch.Tensor) else np.asarray(expected)
    assert actual.shape == expected.shape
    assert actual.dtype == expected.dtype
    tolerance = TOLERANCE[str(actual.dtype)] if tolerance is None else tolerance
    scale = max(np.abs(expected).max(initial=0), 1e-30)
    if not np.abs(actual - expected).max(initial=0) <= tolerance * scale:  # NaN too
        np.testing.assert_allclose(actual / scale, expected / scale, rtol=0, atol=tolerance)


def normal(shape, dtype="float64", seed=0):
    """Standard normal numbers."""
    return np.random.default_rng(seed).standard_normal(shape).astype(dtype)


def distinct(shape, dtype="float64", seed=0):
    """Numbers between -1 and 1 of which no two are equal, well apart, and none is 0: no ties, no kinks nearby."""
    count = int(np.prod(shape))
    values = (np.random.default_rng(seed).permutation(count) + 0.25) / count * 2 - 1
    return values.reshape(shape).astype(dtype)


def columns_of(x, windows, spare=0):
    """im2col's columns, as a NumPy array; each row with so many numbers more than it needs."""
    shape = len(x) * prod(windows.output_size), prod(windows.kernel_size) * x.shape[3] + spare
    return get(im2col(x, windows, backend.array_module(x).empty(shape, x.dtype)))


def tensor(array):
    """Copy a NumPy array to torch."""
    return torch.from_numpy(np.array(array, order="C"))


def copy_state(layer, twin):
    """Load a layer's parameters into its torch twin, cast to the layer's dtype."""
    state = {name: tensor(value) for name, value in layer.state_dict().items()}
    for value in state.values():
        twin.to(value.dtype)
    twin.load_state_dict(state)


def forward_backward(layer, x, grad_y, device="cpu"):
    """The output, the input's gradient and the parameters' gradients by name, all as NumPy arrays."""
    layer.zero_grad()
    y = get(layer(put(x, device)))
    grad_x = get(layer.backward(put(grad_y, device)))
    return y, grad_x, {name: get(parameter.grad) for name, parameter in layer.named_parameters()}


def torch_forward_backward(twin, x, grad_y):
    """The output, the input's gradient and the parameters' gradients by name, of a torch module."""
    twin.zero_grad()
    x = tensor(x).requires_grad_()
    y = twin(x)
    y.backward(tensor(grad_y))
    return y.detach(), x.grad, {name: parameter.grad for name, parameter in twin.named_parameters()}


def assert_matches_torch(layer, twin, x, device="cpu", tolerance=None):
    """Hold output and all gradients against torch's, in training mode and in eval mode."""
    copy_state(layer, twin)
    grad_y = normal(twin(tensor(x)).shape, x.dtype, seed=99)
    expected_y, expected_grad_x, expected_gradients = torch_forward_backward(twin, x, grad_y)
    for training in (True, False):
        y, grad_x, gradients = forward_backward(layer.train(training), x, grad_y, device)
        assert_close(y, expected_y, tolerance)
        assert_close(grad_x, expected_grad_x, tolerance)
        assert list(gradients) == list(expected_gradients)
        for name, gradient in gradients.items():
            assert_close(gradient, expected_gradients[name], tolerance)


def assert_gradients_are_slopes(layer, x, step=1e-5, tolerance=1e-7):
    """Hold all gradients against central differences, each along a random direction; float64 on the CPU."""
    grad_y = normal(layer(x).shape, seed=98)
    _, grad_x, gradients = forward_backward(layer, x, grad_y)
    parameters = dict(layer.named_parameters())
    for array, gradient in [(x, grad_x), *((parameters[name].data, gradients[name]) for name in gradients)]:
        direction, start = normal(array.shape, seed=97), array.copy()
        losses = []
        for sign in (1, -1):
            array[...] = start + sign * step * direction
            losses.append((layer(x) * grad_y).sum())
        array[...] = start
        slope, expected = (losses[0] - losses[1]) / (2 * step), (gradient * direction).sum()
        assert abs(slope - expected) <= tolerance * max(1, np.abs(gradient * direction).sum())
