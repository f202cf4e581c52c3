"""The reader's own AlexNet, held against the definitions layer by layer, and against finite differences of itself."""

from __future__ import annotations

from dataclasses import dataclass
from importlib.util import find_spec
from types import ModuleType
from typing import Any

import numpy as np

from npalexnet.exercises.calls import Array, Raised, Wrong, call, function_of
from npalexnet.exercises.checks.alexnet_definition import (
    CONVOLUTIONS,
    LINEAR,
    POOLED,
    Weights,
    logits_of,
    outputs,
    problem,
    solved,
)
from npalexnet.exercises.judge import same, slope

HINTS = {
    **{name: f"there is no ReLU after {name}" for name in (*CONVOLUTIONS, *LINEAR[:-1])},
    "last": f"there is a ReLU after {LINEAR[-1]}: logits may be negative",
    "padding": "the padding of the 3 x 3 convolutions is left out",
}


def _forward(module: ModuleType, weights: Weights, p: float, training: bool, seed: int = 1) -> tuple[Array, Any]:
    images = problem()[0]
    rng = np.random.default_rng(seed)
    arguments = {"images": images, "weights": weights, "p": p, "training": training, "rng": rng}
    result = call(function_of(module, "forward"), arguments)
    shape = solved()[0].shape
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
        images, weights, _ = problem()
        right = solved()[0]
        try:
            logits, _ = _forward(module, weights, 0.5, False)
        except Raised as raised:
            raised.hint = f"compare the shape after each layer with these: {'; '.join(outputs())}"
            raise
        if not same(logits, right):
            raise self._difference(module, logits, right)
        if same(_forward(module, weights, 0.5, True)[0], right):
            raise Wrong(
                "forward: nothing is dropped in training", "dropout stands before classifier.1 and classifier.4"
            )
        self._places(module)
        if find_spec("torch") and not same(_torch(images, weights), logits):
            raise Wrong("forward: the logits are not torch's")
        return ["the definitions", *["torch"] * bool(find_spec("torch"))]

    def _places(self, module: ModuleType) -> None:
        """Find out where dropout stands, with weights that tell: of classifier.1's units, only the first one counts."""
        images, weights, _ = problem()
        told = {name: np.abs(weight) if name.startswith("classifier") else weight for name, weight in weights.items()}
        told["classifier.4.weight"] = np.zeros_like(weights["classifier.4.weight"])
        without, _ = logits_of(images, told)
        told["classifier.4.weight"][:, 0] = 1
        dropped, _ = _forward(module, told, 1 - 1e-9, True)  # all numbers, wherever dropout stands
        if same(dropped, np.broadcast_to(told["classifier.6.bias"], dropped.shape)):
            raise Wrong("forward: dropout stands before classifier.6, too, where there is none")
        runs = [_forward(module, told, 0.5, True, seed)[0] for seed in range(10)]
        kept = [[logits[n] for logits in runs if not same(logits[n], without[n])] for n in range(len(images))]
        for name, missing in (
            ("classifier.4", all(len(found) == len(runs) for found in kept)),
            ("classifier.1", all(same(found[0], other) for found in kept for other in found)),
        ):
            if missing:
                raise Wrong(f"forward: nothing is dropped before {name} in training, p = 0.5")
        if not same(dropped, without):
            message = "forward: where dropout drops all numbers, the logits must be those of classifier.4's bias alone"
            raise Wrong(message, "dropout stands before classifier.1 and classifier.4, and nowhere else")

    def _difference(self, module: ModuleType, logits: Array, right: Array) -> Wrong:
        images, weights, _ = problem()
        hint = ""
        if not same(_forward(module, weights, 0.5, False, seed=2)[0], logits):
            hint = "numbers are dropped in evaluation: hand `training` to dropout"
        for mistake, text in HINTS.items():
            try:
                if same(logits, logits_of(images, weights, mistake)[0]):
                    hint = text
                    break
            except ValueError:  # no window is left
                continue
        n, k = (int(i) for i in np.argwhere(~np.isclose(logits, right))[0])
        message = f"forward: logits[{n}, {k}] is {logits[n, k]:.6g}, must be {right[n, k]:.6g}, in evaluation"
        details = ["compare the output of each layer with these:", *(f"  {line}" for line in outputs())]
        return Wrong(message, hint, details * (not hint))


@dataclass(frozen=True)
class Backward:
    """The check of `backward`: without dropout against the definitions, with it against finite differences."""

    function: str = "backward"

    def run(self, module: ModuleType) -> list[str]:
        """Judge the function of a reader's module; returns what it was held against. Raises `Wrong` or `Raised`."""
        _, weights, grad_logits = problem()
        self._compare(self._gradients(module, 0.0), solved()[1])
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
        _, weights, grad_logits = problem()
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
            layer = last.removesuffix(".weight")
            if later and later[0] == f"{layer}.bias":
                hint = f"what arrives at {layer} is right, for {later[0]} is: look at the x that its weight is given"
            elif later:
                hint = f"the gradients after {last} are right: look between it and {later[0]}"
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
