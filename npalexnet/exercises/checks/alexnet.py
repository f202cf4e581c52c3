"""The reader's own AlexNet, held against the definitions layer by layer, and against finite differences of itself."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from importlib.util import find_spec
from types import ModuleType
from typing import Any

import numpy as np

from npalexnet import naive
from npalexnet.exercises.calls import Array, Raised, Wrong, call, function_of
from npalexnet.exercises.checks.convolution import conv2d
from npalexnet.exercises.checks.convolution_backward import gradients
from npalexnet.exercises.judge import same, slope

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
def _problem() -> tuple[Array, Weights, Array]:
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


def _shapes() -> list[str]:
    """Return what comes out of each convolution, of each pooling and of the reshaping."""
    images, weights, _ = _problem()
    _, saved = logits_of(images, weights)
    inputs = [*(x.shape for _, x, *_ in saved[1:5]), saved[5]]
    lines = [f"{name} {y.shape}" + f", pooled {after}" * (name in POOLED)
             for (name, _, y, _), after in zip(saved[:5], inputs, strict=True)]  # fmt: skip
    return [*lines, f"reshaped {saved[6][1].shape}"]


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
def _right() -> tuple[Array, Weights]:
    images, weights, grad_logits = _problem()
    logits, saved = logits_of(images, weights)
    return logits, gradients_of(grad_logits, saved, weights)


HINTS = {
    **{name: f"there is no ReLU after {name}" for name in (*CONVOLUTIONS, *LINEAR[:-1])},
    "last": f"there is a ReLU after {LINEAR[-1]}: logits may be negative",
    "padding": "the padding of the 3 x 3 convolutions is left out",
}


def _forward(module: ModuleType, weights: Weights, p: float, training: bool, seed: int = 1) -> tuple[Array, Any]:
    images = _problem()[0]
    rng = np.random.default_rng(seed)
    arguments = {"images": images, "weights": weights, "p": p, "training": training, "rng": rng}
    result = call(function_of(module, "forward"), arguments)
    shape = _right()[0].shape
    if not (isinstance(result, tuple | list) and len(result) == 2):
        raise Wrong(f"forward returned a {type(result).__name__}, must return logits {shape} and what backward needs")
    logits = result[0]
    if not isinstance(logits, np.ndarray) or logits.dtype.kind != "f":
        raise Wrong(f"forward returned a {type(logits).__name__} as logits, must be an array of float64, {shape}")
    if logits.shape != shape:
        raise Wrong(f"forward: logits have shape {logits.shape}, must be {shape}")
    return logits, result[1]


@dataclass(frozen=True)
class Forward:
    """The check of `forward`."""

    function: str = "forward"

    def run(self, module: ModuleType) -> list[str]:
        """Judge the function of a reader's module; returns what it was held against. Raises `Wrong` or `Raised`."""
        images, weights, _ = _problem()
        right = _right()[0]
        try:
            logits, _ = _forward(module, weights, 0.5, False)
        except Raised as raised:
            raised.hint = f"compare the shape after each layer with these: {', '.join(_shapes())}"
            raise
        if not same(logits, right):
            raise self._difference(logits, right)
        if same(_forward(module, weights, 0.5, True)[0], right):
            raise Wrong(
                "forward: nothing is dropped in training", "dropout stands before classifier.1 and classifier.4"
            )
        if find_spec("torch") and not same(_torch(images, weights), logits):
            raise Wrong("forward: the logits are not torch's")
        return ["the definitions", *["torch"] * bool(find_spec("torch"))]

    def _difference(self, logits: Array, right: Array) -> Wrong:
        images, weights, _ = _problem()
        hint = ""
        for mistake, text in HINTS.items():
            try:
                if same(logits, logits_of(images, weights, mistake)[0]):
                    hint = text
                    break
            except ValueError:  # no window is left
                continue
        n, k = (int(i) for i in np.argwhere(~np.isclose(logits, right))[0])
        message = f"forward: logits[{n}, {k}] is {logits[n, k]:.6g}, must be {right[n, k]:.6g}, in evaluation"
        return Wrong(message, hint, ["check each layer's output: print its shape and its mean"] * (not hint))


@dataclass(frozen=True)
class Backward:
    """The check of `backward`: without dropout against the definitions, with it against finite differences."""

    function: str = "backward"

    def run(self, module: ModuleType) -> list[str]:
        """Judge the function of a reader's module; returns what it was held against. Raises `Wrong` or `Raised`."""
        _, weights, grad_logits = _problem()
        self._compare(self._gradients(module, 0.0), _right()[1])
        found = self._gradients(module, 0.5)
        rng = np.random.default_rng(3)
        for name in ("layers.0.weight", "classifier.1.weight"):

            def f(moved: Array, name: str = name) -> float:
                logits, _ = _forward(module, {**weights, name: moved}, 0.5, True)
                return float((grad_logits * logits).sum())

            direction = rng.standard_normal(weights[name].shape)
            terms, expected = found[name] * direction, slope(f, weights[name], direction)
            if not abs(terms.sum() - expected) <= 1e-5 * max(1.0, np.abs(terms).sum()):
                says = f"finite differences of forward say {expected:.6g}"
                message = f"backward: with dropout, {name}'s gradient along a direction is {terms.sum():.6g}; {says}"
                raise Wrong(message, "backward must use the masks of the forward pass")
        return ["the definitions", "finite differences"]

    def _gradients(self, module: ModuleType, p: float) -> Weights:
        _, weights, grad_logits = _problem()
        _, saved = _forward(module, weights, p, True)
        arguments = {"grad_logits": grad_logits, "saved": saved, "weights": weights}
        found = call(function_of(module, "backward"), arguments)
        if not isinstance(found, dict):
            raise Wrong(f"backward returned a {type(found).__name__}, must return a dict with the keys of weights")
        for name, weight in weights.items():
            if name not in found:
                raise Wrong(f"backward: there is no gradient of {name}")
            if not isinstance(found[name], np.ndarray) or found[name].shape != weight.shape:
                shape = getattr(found[name], "shape", type(found[name]).__name__)
                raise Wrong(f"backward: the gradient of {name} has shape {shape}, must be {weight.shape}")
        return found

    def _compare(self, found: Weights, right: Weights) -> None:
        """Say which gradients are wrong: the first wrong layer from the end is where to look."""
        names = [f"{name}.{kind}" for name in (*CONVOLUTIONS, *LINEAR) for kind in ("weight", "bias")]
        wrong = [name for name in names if not same(found[name], right[name])]
        if not wrong:
            return
        last = wrong[-1]
        index = tuple(int(i) for i in np.argwhere(~np.isclose(found[last], right[last]))[0])
        where = ", ".join(map(str, index))
        message = f"backward: the gradient of {last} is wrong: [{where}] is {found[last][index]:.6g}, "
        hint = ""
        if len(wrong) < len(names):
            later = [name for name in names[names.index(last) + 1 :] if name not in wrong]
            hint = f"the gradients after {last} are right: look between it and {later[0]}" if later else ""
        raise Wrong(f"{message}must be {right[last][index]:.6g}", hint, [f"wrong gradients: {', '.join(wrong)}"])


def _torch(images: Array, weights: Weights) -> Array:
    import torch
    from torch.nn import functional as F

    w = {name: torch.from_numpy(weight) for name, weight in weights.items()}
    x = torch.from_numpy(images)
    for name, (stride, padding) in CONVOLUTIONS.items():
        x = F.relu(F.conv2d(x, w[f"{name}.weight"], w[f"{name}.bias"], stride, padding))
        x = F.max_pool2d(x, 3, 2) if name in POOLED else x
    x = x.flatten(1)
    for name in LINEAR:
        x = F.linear(x, w[f"{name}.weight"], w[f"{name}.bias"])
        x = x if name == LINEAR[-1] else F.relu(x)
    return x.numpy()


CHECKS = {"alexnet": [Forward(), Backward()]}
