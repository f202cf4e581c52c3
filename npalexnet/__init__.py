"""AlexNet without a framework: every layer written from scratch, forward and backward, on NumPy or CuPy."""

from importlib import import_module
from typing import Any

from npalexnet.alexnet import VARIANTS, AlexNet
from npalexnet.backend import (
    get_float32_matmul_precision,
    get_num_threads,
    set_float32_matmul_precision,
    set_num_threads,
)
from npalexnet.gradcheck import GradcheckError, gradcheck
from npalexnet.layers.activation import Flatten, ReLU
from npalexnet.layers.algorithm_choice import (
    convolution_algorithm,
    get_convolution_algorithm,
    set_convolution_algorithm,
)
from npalexnet.layers.average_pooling import AdaptiveAvgPool2d, AvgPool2d
from npalexnet.layers.conv import Conv2d
from npalexnet.layers.dropout import Dropout
from npalexnet.layers.graphed import make_graphed_callable
from npalexnet.layers.layer import Layer
from npalexnet.layers.linear import Linear
from npalexnet.layers.normalization import LocalResponseNorm, SpatialResponseNorm
from npalexnet.layers.parameter import Parameter
from npalexnet.layers.pooling import MaxPool2d
from npalexnet.layers.sequential import Sequential
from npalexnet.losses import CrossEntropyLoss
from npalexnet.optim import SGD
from npalexnet.optim.clipping import clip_grad_norm_
from npalexnet.optim.grad_scaler import GradScaler

# Imported when they are asked for: they need much more.
_LATER = {"export": "npalexnet.inference.export", "load": "npalexnet.inference.classifier"}

__version__ = "0.1.0"
__all__ = [
    "SGD", "VARIANTS", "AdaptiveAvgPool2d", "AlexNet", "AvgPool2d", "Conv2d", "CrossEntropyLoss", "Dropout", "Flatten",
    "GradScaler", "GradcheckError", "Layer", "Linear", "LocalResponseNorm", "MaxPool2d", "Parameter", "ReLU",
    "Sequential", "SpatialResponseNorm", "clip_grad_norm_", "convolution_algorithm", "export",
    "get_convolution_algorithm", "get_float32_matmul_precision", "get_num_threads", "gradcheck", "load",
    "make_graphed_callable", "set_convolution_algorithm", "set_float32_matmul_precision", "set_num_threads",
]  # fmt: skip


def __getattr__(name: str) -> Any:
    """Import a name of `_LATER`."""
    if name not in _LATER:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_LATER[name]), name)
