"""The definition of the AlexNet of the last exercise, its gradients, and the problem that it is checked on."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np

from npalexnet import naive
from npalexnet.exercises.calls import Array
from npalexnet.exercises.checks.convolution import conv2d
from npalexnet.exercises.checks.convolution_backward import gradients

Weights = dict[str, Array]
CONVOLUTIONS = {"layers.0": (4, 0), "layers.3": (1, 2), "layers.6": (1, 1), "layers.8": (1, 1), "layers.10": (1, 1)}
POOLED = ("layers.0", "layers.3", "layers.10")  # the convolutions before a max-pooling
LINEAR = ("classifier.1", "classifier.4", "classifier.6")
PIXELS = 67  # the fewest that leave one pixel to the classifier
SHAPES = {
    "layers.0": (2, 1, 11, 11), "layers.3": (3, 2, 5, 5), "layers.6": (2, 3, 3, 3), "layers.8": (3, 2, 3, 3),
    "layers.10": (4, 3, 3, 3), "classifier.1": (6, 4), "classifier.4": (5, 6), "classifier.6": (3, 5),
}  # fmt: skip


@cache
def problem() -> tuple[Array, Weights, Array]:
    """Return two images, weights of a narrow network, and a gradient of its logits."""
    rng = np.random.default_rng(11)
    weights = {}
    for name, shape in SHAPES.items():
        weights[f"{name}.weight"] = rng.standard_normal(shape) * (2 / np.prod(shape[1:])) ** 0.5
        weights[f"{name}.bias"] = 0.3 + 0.1 * rng.standard_normal(shape[0])
    return rng.standard_normal((2, 1, PIXELS, PIXELS)), weights, rng.standard_normal((2, 3))


def logits_of(images: Array, weights: Weights, mistake: str = "") -> tuple[Array, list[Any]]:
    """Compute the logits by the definitions, and what the gradients need; or make a mistake."""
    x: Array = images
    saved: list[Any] = []
    for name, (stride, padding) in CONVOLUTIONS.items():
        padding = 0 if mistake == "padding" and name != "layers.3" else padding
        y = conv2d(x, weights[f"{name}.weight"], weights[f"{name}.bias"], stride, padding)
        active = y if mistake == name else naive.relu(y)
        pooled = naive.max_pool2d(active, (3, 3), (2, 2)) if name in POOLED else active
        saved.append((name, x, y, active))
        x = pooled
    saved.append(x.shape)
    x = x.transpose(0, 2, 3, 1).reshape(len(x), -1) if mistake == "flatten" else x.reshape(len(x), -1)
    for name in LINEAR:
        y = naive.linear(x, weights[f"{name}.weight"], weights[f"{name}.bias"])
        saved.append((name, x, y))
        x = y if (name == LINEAR[-1] and mistake != "last") or mistake == name else naive.relu(y)
    return x, saved


def outputs() -> list[str]:
    """Return what comes out of each layer for the problem, without dropout: shapes and means."""
    images, weights, _ = problem()
    _, saved = logits_of(images, weights)
    lines = []
    for (name, _, y, _), (_, after, *_) in zip(saved[:5], [*saved[1:5], saved[6]], strict=True):
        pooled = f", pooled {after.mean():.4g}" * (name in POOLED)
        lines.append(f"{name} {y.shape}, mean {y.mean():.4g}{pooled}")
    return [*lines, *(f"{name} {y.shape}, mean {y.mean():.4g}" for name, _, y in saved[6:])]


def gradients_of(grad: Array, saved: list[Any], weights: Weights) -> Weights:
    """Compute the gradients by the definitions."""
    found = {}
    for name, x, y in reversed(saved[-3:]):
        grad = grad if name == LINEAR[-1] else naive.relu_gradient(grad, y)
        grad, found[f"{name}.weight"], found[f"{name}.bias"] = naive.linear_gradients(
            grad, x, weights[f"{name}.weight"]
        )
    grad = grad.reshape(saved[5])
    for name, x, y, active in reversed(saved[:5]):
        grad = naive.max_pool2d_gradient(grad, active, (3, 3), (2, 2)) if name in POOLED else grad
        grad = naive.relu_gradient(grad, y)
        three = gradients(grad, x, weights[f"{name}.weight"], *CONVOLUTIONS[name])
        grad, found[f"{name}.weight"], found[f"{name}.bias"] = three
    return found


@cache
def solved() -> tuple[Array, Weights]:
    """Return the logits of the problem, and the gradients."""
    images, weights, grad_logits = problem()
    logits, saved = logits_of(images, weights)
    return logits, gradients_of(grad_logits, saved, weights)
