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


def _shifted(logits: Array, shift: Array) -> Array:
    """Return log softmax by formula, but for another number that is subtracted; by rows."""
    return logits - shift - np.log(np.exp(logits - shift).sum(1, keepdims=True))


def _softmax(logits: Array, axis: int = 1, subtract: bool = True) -> Array:
    exponentials = np.exp(logits - logits.max(axis, keepdims=True) * subtract)
    return exponentials / exponentials.sum(axis, keepdims=True)


def _log_softmax(logits: Array, axis: int = 1, subtract: bool = True) -> Array:
    logits = logits - logits.max(axis, keepdims=True) * subtract
    return logits - np.log(np.exp(logits).sum(axis, keepdims=True))


def _of_total(logits: Array) -> Array:
    exponentials = np.exp(logits - logits.max(1, keepdims=True))
    return exponentials / exponentials.sum()


def _of_labels(log_p: Array, labels: Array) -> Array:
    return log_p[np.arange(len(labels)), labels]


def _losses(logits: Array, labels: Array, **settings: Any) -> Array:
    return -_of_labels(_log_softmax(logits, **settings), labels)


def _gradient(logits: Array, labels: Array, one: float = 1.0, **settings: Any) -> Array:
    """p minus the one-hot labels, of the sum of the losses."""
    return _softmax(logits, **settings) - one * np.eye(logits.shape[1])[labels]


OVERFLOW = "the largest logit of each row is not subtracted: exp(1000) overflows (the subtraction leaves p as it is)"
OVERFLOW_AND_MEAN = "the largest logit is not subtracted, and the mean is forgotten"
OVERFLOW_AND_CLASSES = "the largest logit is not subtracted, and the mean is over the classes, too: divide by N alone"
LARGEST_OF_ALL = "the largest logit of all images is subtracted; a row needs its own, or its exponentials may all be 0"
LARGEST_OF_CLASS = "the largest logit of each class is subtracted: the same must be for all of a row, its largest"
ALL_LABELS = "[:, labels] takes the labels of all images from each row: [np.arange(N), labels] takes one number a row"
INDEX = "if labels is the index: labels number the K columns, as in [np.arange(N), labels] or in np.eye(K)[labels]"
KEEPDIMS = "if it is a row's sum or maximum: with keepdims=True it is (N, 1), which goes with (N, K)"
TOTAL = "softmax divides by the sum over all images: the probabilities of each image, of a row, add up to 1"
TOO_SMALL = (1e-16, 1e-15, 1e-12, 1e-10, 1e-9, 1e-8, 1e-7, 1e-6, 1e-5)
AXIS = "softmax is taken over the images: the probabilities of each image, of a row, add up to 1"
MEAN = "the mean is forgotten: the loss is the mean over the N images"
MISTAKES: dict[str, Callable[..., Any]] = {
    MEAN: lambda x, t: _losses(x, t).sum(),
    OVERFLOW: lambda x, t: _losses(x, t, subtract=False).mean(),
    OVERFLOW_AND_MEAN: lambda x, t: _losses(x, t, subtract=False).sum(),
    OVERFLOW_AND_CLASSES: lambda x, t: _losses(x, t, subtract=False).sum() / x.size,
    MEAN + ", one number": _losses,
    LARGEST_OF_ALL: lambda x, t: -_of_labels(_shifted(x, x.max()), t).mean(),
    ALL_LABELS: lambda x, t: -_log_softmax(x)[:, t].mean(),
    LARGEST_OF_CLASS: lambda x, t: -_of_labels(_shifted(x, x.max(0)), t).mean(),
    TOTAL: lambda x, t: -np.log(_of_labels(_of_total(x), t)).mean(),
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
    "the logarithm has base 10: it is the natural one": lambda x, t: _losses(x, t).mean() / np.log(10),
    **{
        f"{small:g} is added to p, or p is cut off there, so that unlikely labels cost too little: log p is "
        "the logit - log of the sum": (
            lambda x, t, small=small: -np.log(_of_labels(_softmax(x), t) + small).mean()
        )
        for small in TOO_SMALL
    },
    **{
        f"p is cut off at {least:g}, so that unlikely labels cost too little: log p is the logit - log of the sum": (
            lambda x, t, least=least: -np.log(np.maximum(_of_labels(_softmax(x), t), least)).mean()
        )
        for least in TOO_SMALL
    },
}  # fmt: skip
BACKWARD_MISTAKES: dict[str, Callable[..., Any]] = {
    MEAN + ", so its gradient is divided by N": lambda x, t: _gradient(x, t),
    OVERFLOW: lambda x, t: _gradient(x, t, subtract=False) / len(t),
    OVERFLOW_AND_MEAN: lambda x, t: _gradient(x, t, subtract=False),
    OVERFLOW_AND_CLASSES: lambda x, t: _gradient(x, t, subtract=False) / x.size,
    LARGEST_OF_ALL: lambda x, t: (np.exp(_shifted(x, x.max())) - np.eye(x.shape[1])[t]) / len(t),
    LARGEST_OF_CLASS: lambda x, t: (np.exp(_shifted(x, x.max(0))) - np.eye(x.shape[1])[t]) / len(t),
    TOTAL: lambda x, t: (_of_total(x) - np.eye(x.shape[1])[t]) / len(t),
    ALL_LABELS: lambda x, t: (_softmax(x) - np.isin(np.arange(x.shape[1]), t)) / len(t),
    "the one-hot label is not subtracted: the gradient is (p - one-hot) / N": lambda x, t: _gradient(x, t, 0) / len(t),
    "the sign is wrong: the gradient is (p - one-hot) / N": lambda x, t: -_gradient(x, t) / len(t),
    AXIS: lambda x, t: _gradient(x, t, axis=0) / len(t),
    "divided by the number of classes, too: divide by N alone": lambda x, t: _gradient(x, t) / x.size,
    "divided by the number of classes: divide by the number of images": lambda x, t: _gradient(x, t) / x.shape[1],
}


def _origin(arguments: Arguments, output: str, index: tuple[int, ...]) -> list[str]:
    logits, labels = arguments.values()
    if not index:
        shown = ("logits", logits[:3]), ("their softmax", _softmax(logits)[:3]), ("labels", labels[:3, None])
        return [*windows.beside(*shown), *[f"... and {len(labels) - 3} more images"] * (len(labels) > 3)]
    n = index[0]
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


def _case(N: int, K: int, scale: float, offset: float | Array = 0.0, smooth: bool = True) -> Case:
    logits = windows.integers((N, K), N) * scale + offset
    return Case({"logits": logits, "labels": np.random.default_rng(N).integers(K, size=N)}, smooth)


# The exponentials of the last three overflow. In the last, some p are 0 as floats; the loss is too large for slopes.
RAISES: dict[type[BaseException], str] = {OverflowError: OVERFLOW, IndexError: INDEX, ValueError: KEEPDIMS}
CASES = [
    _case(2, 3, 0.5),
    _case(5, 4, 1.0),
    _case(1, 6, 0.25),
    _case(2, 4, 0.5, 1000.0),
    _case(2, 3, 0.5, np.array([[0.0], [1000.0]])),
    _case(3, 4, 250.0, smooth=False),
]
CHECKS = {
    "cross_entropy": [
        Check("cross_entropy", ("loss",), CASES, naive.cross_entropy, MISTAKES, origin=_origin, torch=_torch,
              raises=RAISES),
        Check(
            "cross_entropy_backward", ("grad_logits",), CASES, naive.cross_entropy_gradient, BACKWARD_MISTAKES,
            origin=_origin, objective=_objective, torch=_torch_backward,
            raises=RAISES,
        ),
    ]
}  # fmt: skip
