"""How many kernels a pass of AlexNet launches: with few images that, not the computing, is what takes time on a GPU."""

from collections import Counter

import numpy as np
import pytest

import npalexnet as na
from npalexnet import backend
from npalexnet.backend import arrays
from npalexnet.backend.cuda.kernels import Kernels
from npalexnet.backend.cuda.layouts import aligned_length
from tests.fakes.device import FakeDevice


class Recorder:
    """Launches nothing, and remembers what was asked for."""

    def __init__(self):
        self.launched = []

    def __call__(self, name, dtype, grid, block, arguments):
        self.launched.append(name)

    def address(self, array):
        return 0


class Counting(FakeDevice):
    """A GPU that counts; the numbers that kernels would have computed are whatever was in memory."""

    kernels = None

    def __init__(self):
        super().__init__("counting")
        self.recorder = Recorder()
        self.kernels = Kernels(self.xp, self.recorder)

    def tiling(self, row_length, dtype):
        """As `CudaDevice`."""
        return super().tiling(row_length, dtype)._replace(aligned_row_length=aligned_length(row_length, dtype))

    def matmul(self, a, b, out=None):
        """One launch whatever the dtypes, as `CudaDevice` does it by cuBLAS."""
        self.counts.launches.append("matmul")
        return self.xp.empty((a.shape[0], b.shape[1]), a.dtype) if out is None else out

    def counted(self):
        """Return what was launched since the last call."""
        kernels = [name.removesuffix("_by_units") for name in self.recorder.launched]
        found = Counter(self.counts.launches) + Counter(kernels)
        self.counts.reset()
        self.recorder.launched.clear()
        return found


@pytest.fixture
def device(monkeypatch):
    monkeypatch.setattr(arrays, "_registered", dict(arrays._registered))
    counting = Counting()
    backend.register_device(counting)
    with na.convolution_algorithm("auto"):  # docs/gpu.md is about a GPU as it comes
        yield counting


FORWARD = {
    "matmul": 8,
    "add_bias_relu": 8,  # with the ReLU, where no pooling lies between
    "im2col": 5,
    "max_pool": 3,
    "maximum": 3,  # the ReLUs behind the poolings
    "setitem": 2,  # the first convolution's weights with their zeros
    "ascontiguousarray": 1,  # the images, channels last
    "reshape": 1,  # flattening, channels first
}
BACKWARD = {
    "matmul": 15,  # two a layer, but no gradient of the images
    "sum_rows": 13,  # the biases' gradients: a launch for up to 128 rows, two for up to 16,384
    "relu_gradient": 7,
    "im2col": 5,
    "col2im": 4,
    "max_pool_gradient": 3,
    "dropout": 2,
    "ascontiguousarray": 2,  # from channels first, behind the flattening; the images
}


@pytest.mark.filterwarnings("ignore::RuntimeWarning")  # the numbers mean nothing
@pytest.mark.parametrize(
    ("kernels", "dtype", "expected"),
    [
        ("on", "float32", (31, 33, 9, 51, 1)),
        ("on", "bfloat16", (47, 49, 9, 51, 1)),  # weights and biases are cast
        ("off", "float32", (64, 241, 23, 260, 64)),
    ],
)
def test_kernels_save_launches(narrow, device, kernels, dtype, expected):
    if kernels == "off":
        device.kernels = None
    model = na.AlexNet(10, device="counting").eval()
    criterion, optimizer = na.CrossEntropyLoss(), na.SGD(model.parameters(), 0.1, momentum=0.9)
    images = np.zeros((1, 3, 227, 227), backend.input_dtype(dtype))
    x, labels = device.from_host(images), device.from_host(np.array([1]))
    device.counted()
    model(x)
    counts = [device.counted().total()]
    logits = model.train()(x)
    counts.append(device.counted().total())
    criterion(logits, labels)
    grad_logits = criterion.backward()
    counts.append(device.counted().total())
    model.backward(grad_logits, input_gradient=False)
    counts.append(device.counted().total())
    optimizer.step()
    device.counted()  # the first step makes the velocities
    optimizer.step()
    counts.append(device.counted().total())
    assert tuple(counts) == expected  # docs/gpu.md has these


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_alexnet_launches_no_more_than_it_has_to(narrow, device):
    model = na.AlexNet(10, device="counting").eval()
    criterion, optimizer = na.CrossEntropyLoss(), na.SGD(model.parameters(), 0.1, momentum=0.9)
    x, labels = device.from_host(np.zeros((1, 3, 227, 227), "float32")), device.from_host(np.array([1]))
    device.counted()
    model(x)
    assert device.counted() == FORWARD
    logits = model.train()(x)
    assert device.counted() == FORWARD | {"dropout": 2}
    criterion(logits, labels)
    assert device.counted() == {"min": 1, "max": 1, "setitem": 2, "cross_entropy": 1, "mean": 1}
    grad_logits = criterion.backward()
    assert device.counted() == {"full": 1, "mul": 1, "cross_entropy_gradient": 1}
    model.backward(grad_logits, input_gradient=False)
    assert device.counted() == BACKWARD
    optimizer.step()
    assert device.counted() == {"zeros_like": 16, "sgd": 1}  # the velocities
    optimizer.step()
    assert device.counted() == {"sgd": 1}
