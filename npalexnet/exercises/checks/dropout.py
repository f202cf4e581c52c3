"""Dropout, held against what it must do: which numbers it drops is chance, and the reader's own way to draw it."""

from __future__ import annotations

from dataclasses import dataclass
from importlib.util import find_spec
from types import ModuleType
from typing import Any

import numpy as np

from npalexnet.exercises.calls import Array, Wrong, call, function_of
from npalexnet.exercises.checks import windows
from npalexnet.exercises.judge import same, slope

P = 0.3
SHAPE = (40, 50)
FAR = 6 * (P * (1 - P) / 2000) ** 0.5  # six standard deviations of the share of 2,000 numbers that is dropped


def _forward(module: ModuleType, x: Array, training: bool, rng: Any, p: float = P) -> tuple[Array, Any]:
    """Call the reader's function, and check the types of its results."""
    arguments = {"x": x, "p": p, "training": training, "rng": rng}
    result = call(function_of(module, "dropout"), arguments)
    wanted = f"must return a pair, y {x.shape} and what dropout_backward needs"
    if result is None:
        raise Wrong(f"dropout returned None, {wanted}: is there a return?")
    if not (isinstance(result, tuple | list) and len(result) == 2):
        raise Wrong(f"dropout returned a {type(result).__name__}, {wanted}")
    return _array(result[0], "dropout", "y", x.shape), result[1]


def _array(array: Any, function: str, name: str, shape: tuple[int, ...]) -> Array:
    if not isinstance(array, np.ndarray) or array.dtype.kind != "f":
        found = f"dtype {array.dtype}" if isinstance(array, np.ndarray) else f"a {type(array).__name__}"
        raise Wrong(f"{function} returned {found} as {name}, must be an array of float64 with shape {shape}")
    if array.shape != shape:
        raise Wrong(f"{function}: {name} has shape {array.shape}, must be {shape}")
    return array


@dataclass(frozen=True)
class Dropping:
    """The check of `dropout`."""

    function: str = "dropout"

    def run(self, module: ModuleType) -> list[str]:
        """Judge the function of a reader's module; returns what it was held against. Raises `Wrong` or `Raised`."""
        x = windows.distinct(SHAPE, 1)
        y, _ = _forward(module, x, True, np.random.default_rng(1))
        self._share(x, y)
        self._scale(x, y)
        self._chance(module, x, y)
        for p, training in ((P, False), (0.0, True)):
            self._identity(x, _forward(module, x, training, np.random.default_rng(1), p)[0], p, training)
        return ["the definition, by share, scale and chance of 2,000 numbers"]

    def _share(self, x: Array, y: Array) -> None:
        dropped = y == 0
        share = dropped.mean()
        line = f"dropout: {share:.3f} of {x.size} numbers are 0 in training with p = {P:g}, must be about {P:g}"
        if abs(share - P) > FAR:
            keeps = abs(share - (1 - P)) < FAR
            raise Wrong(line, "p is the probability to drop a number, not to keep it" * bool(keeps))
        for axis, what in ((1, "row"), (0, "column")):
            if (dropped.all(axis) | ~dropped.any(axis)).all():
                raise Wrong(f"dropout: each {what} is dropped whole or not at all", "draw a number for each element")

    def _scale(self, x: Array, y: Array) -> None:
        kept = y != 0
        if same(y[kept], x[kept] / (1 - P)):
            return
        index = tuple(int(i) for i in np.argwhere(kept & ~np.isclose(y, x / (1 - P)))[0])
        hints = {
            1.0: "not scaled: what is kept is divided by 1 - p, so that the expected sum stays as it is",
            1 / P: "divided by p: what is kept is divided by 1 - p",
            1 - P: "multiplied by 1 - p: what is kept is divided by it",
        }
        hint = next((hint for factor, hint in hints.items() if same(y[kept], x[kept] * factor)), "")
        where = ", ".join(map(str, index))
        right = x[index] / (1 - P)
        details = [f"x[{where}] is {x[index]:g}, and 1 / (1 - p) is {1 / (1 - P):.6g}"]
        raise Wrong(f"dropout: y[{where}] is {y[index]:.6g}, must be {right:.6g} or 0", hint, details)

    def _chance(self, module: ModuleType, x: Array, y: Array) -> None:
        again, _ = _forward(module, x, True, np.random.default_rng(1))
        if not np.array_equal(again, y):
            hint = "draw from rng alone: rng.random(x.shape)"
            raise Wrong("dropout: two generators with the same seed drop different numbers", hint)
        other, _ = _forward(module, x, True, np.random.default_rng(2))
        if np.array_equal(other == 0, y == 0):
            hint = "draw from rng, and don't seed another generator"
            raise Wrong("dropout: generators with different seeds drop the same numbers", hint)

    def _identity(self, x: Array, y: Array, p: float, training: bool) -> None:
        if same(y, x):
            return
        scaled = same(y, x * (1 - p)) or same(y, x / (1 - p))
        hint = "scaled in evaluation: that is done in training, by 1 / (1 - p)" if scaled else ""
        if not training and not hint and (y == 0).any():
            hint = "numbers are dropped in evaluation: that is for training alone"
        raise Wrong(f"dropout: y must be x with p = {p:g} and training = {training}", hint)


@dataclass(frozen=True)
class DroppingBackward:
    """The check of `dropout_backward`: it must use the mask of the forward pass."""

    function: str = "dropout_backward"

    def run(self, module: ModuleType) -> list[str]:
        """Judge the function of a reader's module; returns what it was held against. Raises `Wrong` or `Raised`."""
        x, grad_y = windows.distinct(SHAPE, 3), windows.integers(SHAPE, 4)
        held = []
        for training in (True, False):
            y, saved = _forward(module, x, training, np.random.default_rng(5))
            arguments = {"grad_y": grad_y, "saved": saved, "p": P}
            result = call(function_of(module, "dropout_backward"), arguments)
            if result is None:
                raise Wrong("dropout_backward returned None, must return grad_x: is there a return?")
            grad_x = _array(result, "dropout_backward", "grad_x", SHAPE)
            right = grad_y * (y / x)
            if not same(grad_x, right):
                raise self._difference(grad_x, right, grad_y, y, training)
            self._slope(module, x, grad_y, training, grad_x)
            held.append("the mask and scale of the forward pass, finite differences")
            if find_spec("torch") and training:
                self._torch(x, grad_y, y, grad_x)
                held.append("torch")
        return list(dict.fromkeys(held))

    def _slope(self, module: ModuleType, x: Array, grad_y: Array, training: bool, grad_x: Array) -> None:
        """Hold the gradient against finite differences of the reader's forward pass, with the same numbers drawn."""

        def f(moved: Array) -> float:
            return float((grad_y * _forward(module, moved, training, np.random.default_rng(5))[0]).sum())

        direction = np.random.default_rng(6).standard_normal(SHAPE)
        terms, expected = grad_x * direction, slope(f, x, direction)
        if not abs(terms.sum() - expected) <= 1e-5 * np.abs(terms).sum():
            raise Wrong(
                f"dropout_backward: along a random direction grad_x says {terms.sum():.6g}, finite differences say "
                f"{expected:.6g}, with training = {training}"
            )

    def _torch(self, x: Array, grad_y: Array, y: Array, grad_x: Array) -> None:
        """Let torch differentiate the product with the mask that the reader drew."""
        import torch

        moved = torch.from_numpy(x).requires_grad_()
        twin = torch.where(torch.from_numpy(y != 0), moved / (1 - P), torch.zeros_like(moved))
        if not same(torch.autograd.grad(twin, moved, torch.from_numpy(grad_y))[0].numpy(), grad_x):
            raise Wrong("dropout_backward: grad_x is not torch's")

    def _difference(self, grad_x: Array, right: Array, grad_y: Array, y: Array, training: bool) -> Wrong:
        index = tuple(int(i) for i in np.argwhere(~np.isclose(grad_x, right))[0])
        hints = {
            "not scaled: what was kept was divided by 1 - p, and so is its gradient": grad_y * (y != 0),
            "the mask is not applied: a dropped number's gradient is 0": grad_y / (1 - P),
            "scaled twice: the mask of the forward pass holds the scale already, or it is divided by 1 - p once": (
                grad_y * (y != 0) / (1 - P) ** 2
            ),
            "neither mask nor scale is applied: the gradient goes the way of the numbers": grad_y,
            "scaled in evaluation, where nothing was": grad_y / (1 - P),
        }
        found = [hint for hint, mistake in hints.items() if same(grad_x, mistake)]
        hint = found[-1 if not training else 0] if found else ""
        if not hint and same(grad_x, np.where(grad_x == 0, 0, grad_y / (1 - P))):
            hint = "another mask than in the forward pass: return that one from dropout, and take it from saved"
        where = ", ".join(map(str, index))
        details = [f"grad_y is {grad_y[index]:g} there, and y is {y[index]:.6g}, with training = {training}"]
        message = f"dropout_backward: grad_x[{where}] is {grad_x[index]:.6g}, must be {right[index]:.6g}"
        return Wrong(message, hint, details)


CHECKS = {"dropout": [Dropping(), DroppingBackward()]}
