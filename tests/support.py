"""What many tests need: moving arrays, comparing them, random arrays, the torch twin of AlexNet."""

import numpy as np
import torch
from torch import nn

from npalexnet import backend

TOLERANCE = {"float32": 2e-5, "float64": 1e-10}


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
    np.testing.assert_allclose(actual / scale, expected / scale, rtol=0, atol=tolerance)


def normal(shape, dtype="float64", seed=0):
    """Standard normal numbers."""
    return np.random.default_rng(seed).standard_normal(shape).astype(dtype)


def distinct(shape, dtype="float64", seed=0):
    """Numbers between -1 and 1 of which no two are equal, well apart, and none is 0: no ties, no kinks nearby."""
    count = int(np.prod(shape))
    values = (np.random.default_rng(seed).permutation(count) + 0.5) / count * 2 - 1
    return values.reshape(shape).astype(dtype)


class TorchAlexNet(nn.Module):
    """The same network in torch, under the same names."""

    def __init__(self, num_classes=1000, dropout=0.5):
        super().__init__()
        self.layers = nn.Sequential(
            nn.Conv2d(3, 96, 11, stride=4), nn.ReLU(), nn.MaxPool2d(3, 2),
            nn.Conv2d(96, 256, 5, padding=2), nn.ReLU(), nn.MaxPool2d(3, 2),
            nn.Conv2d(256, 384, 3, padding=1), nn.ReLU(),
            nn.Conv2d(384, 384, 3, padding=1), nn.ReLU(),
            nn.Conv2d(384, 256, 3, padding=1), nn.ReLU(), nn.MaxPool2d(3, 2),
            nn.Flatten(),
        )  # fmt: skip
        self.classifier = nn.Sequential(
            nn.Dropout(dropout), nn.Linear(256 * 6 * 6, 4096), nn.ReLU(),
            nn.Dropout(dropout), nn.Linear(4096, 4096), nn.ReLU(),
            nn.Linear(4096, num_classes),
        )  # fmt: skip

    def forward(self, x):
        return self.classifier(self.layers(x))
