"""Softmax and cross-entropy, held against `naive.cross_entropy` and its gradient."""

from __future__ import annotations

from collections.abc import Callable
from types import ModuleType
from typing import Any

import numpy as np

from npalexnet import naive
from npalexnet.exercises.calls import Arguments, Array
from npalexnet.exercises.checks import windows
from npalexnet.exercises.judge import Case, Check


def _softmax(logits: Array, axis: int = 1, subtract: bool = True) -> Array:
    exponentials = np.exp(logits - logits.max(axis, keepdims=True) * subtract)
    return exponentials / exponentials.sum(axis, keepdims=True)


def _log_softmax(logits: Array, axis: int = 1, subtract: bool = True) -> Array:
    logits = logits - logits.max(axis, keepdims=True) * subtract
    return logits - np.log(np.exp(logits).sum(axis, keepdims=True))


def _losses(logits: Array, labels: Array, **settings: Any) -> Array:
    return -_log_softmax(logits, **settings)[np.arange(len(labels)), labels]


def _gradient(logits: Array, labels: Array, one: float = 1.0, **settings: Any) -> Array:
    """p minus the one-hot labels, of the sum of the losses."""
    return _softmax(logits, **settings) - one * np.eye(logits.shape[1])[labels]


OVERFLOW = "the largest logit of each row is not subtracted: exp(1000) overflows (the subtraction leaves p as it is)"
AXIS = "softmax is taken over the images: the probabilities of each image, of a row, add up to 1"
MEAN = "the mean is forgotten: the loss is the mean over the N images"
MISTAKES: dict[str, Callable[..., Any]] = {
    MEAN: lambda x, t: _losses(x, t).sum(),
    OVERFLOW: lambda x, t: _losses(x, t, subtract=False).mean(),
    "the largest logit is not subtracted, and the mean is forgotten": lambda x, t: _losses(x, t, subtract=False).sum(),
    AXIS: lambda x, t: _losses(x, t, axis=0).mean(),
    "the sign is wrong: the loss is -log p": lambda x, t: -_losses(x, t).mean(),
    "the logarithm is missing: the loss is -log p": lambda x, t: -np.exp(-_losses(x, t)).mean(),
    "the logarithm is missing: the loss is -log p, not 1 - p": lambda x, t: (1 - np.exp(-_losses(x, t))).mean(),
    "softmax is missing: the loss is -log p with p = softmax(logits)": (
        lambda x, t: -x[np.arange(len(t)), t].mean()
    ),
    "the mean is taken over the classes, too: divide by N alone": lambda x, t: _losses(x, t).sum() / x.size,
    "p underflows to 0, and log 0 is -inf: log p = logit - log of the sum (the largest logit subtracted first)": (
        lambda x, t: -np.log(_softmax(x)[np.arange(len(t)), t]).mean()
    ),
    "the logarithm has base 2: it is the natural one": lambda x, t: _losses(x, t).mean() / np.log(2),
}  # fmt: skip
BACKWARD_MISTAKES: dict[str, Callable[..., Any]] = {
    MEAN + ", so its gradient is divided by N": lambda x, t: _gradient(x, t),
    OVERFLOW: lambda x, t: _gradient(x, t, subtract=False) / len(t),
    "the one-hot label is not subtracted: the gradient is (p - one-hot) / N": lambda x, t: _gradient(x, t, 0) / len(t),
    "the sign is wrong: the gradient is (p - one-hot) / N": lambda x, t: -_gradient(x, t) / len(t),
    AXIS: lambda x, t: _gradient(x, t, axis=0) / len(t),
    "divided by the number of classes, too: divide by N alone": lambda x, t: _gradient(x, t) / x.size,
    "divided by the number of classes: divide by the number of images": lambda x, t: _gradient(x, t) / x.shape[1],
}


def _origin(arguments: Arguments, output: str, index: tuple[int, ...]) -> list[str]:
    logits, labels = arguments.values()
    n = index[0] if index else 0
    named = (f"logits[{n}]", logits[n]), (f"softmax of logits[{n}]", _softmax(logits)[n])
    return [*windows.beside(*named), f"labels[{n}] is {labels[n]}, and there are {len(labels)} images"]


def _objective(arguments: Arguments, module: ModuleType) -> list[tuple[Array, Callable[[Array], float]]]:
    logits, labels = arguments.values()
    return [(logits, lambda moved: float(module.cross_entropy(moved, labels)))]


def _torch(logits: Array, labels: Array) -> Array:
    import torch

    return torch.nn.functional.cross_entropy(torch.from_numpy(logits), torch.from_numpy(labels)).numpy()


def _torch_backward(logits: Array, labels: Array) -> Array:
    import torch

    moved = torch.from_numpy(logits).requires_grad_()
    loss = torch.nn.functional.cross_entropy(moved, torch.from_numpy(labels))
    return torch.autograd.grad(loss, moved)[0].numpy()


def _case(N: int, K: int, scale: float, offset: float = 0.0, smooth: bool = True) -> Case:
    logits = windows.integers((N, K), N) * scale + offset
    return Case({"logits": logits, "labels": np.random.default_rng(N).integers(K, size=N)}, smooth)


# The exponentials of the last two overflow. In the last, some p are 0 as floats; its loss is too large for differences.
CASES = [
    _case(2, 3, 0.5),
    _case(5, 4, 1.0),
    _case(1, 6, 0.25),
    _case(2, 4, 0.5, 1000.0),
    _case(3, 4, 250.0, smooth=False),
]
CHECKS = {
    "cross_entropy": [
        Check("cross_entropy", ("loss",), CASES, naive.cross_entropy, MISTAKES, origin=_origin, torch=_torch,
              raises={OverflowError: OVERFLOW}),
        Check(
            "cross_entropy_backward", ("grad_logits",), CASES, naive.cross_entropy_gradient, BACKWARD_MISTAKES,
            origin=_origin, objective=_objective, torch=_torch_backward, raises={OverflowError: OVERFLOW},
        ),
    ]
}  # fmt: skip
