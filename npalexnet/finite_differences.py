"""Checks of backward passes against finite differences, in float64.

The layer becomes one number, ``f = <G, layer(x)>`` with a random upstream gradient G. Along a direction v, through the
input or through one parameter at a time, backward says ``df = <gradient, v>``, and forward alone says::

    df = (f(+h) - f(-h)) / 2h + O(h**2) + O(e/h)

The first error is the Taylor series cut off, the second is f's rounding error e, some 1e-16 times what f sums up,
magnified. They balance near the cube root of 1e-16; h = 1e-6 leaves some ten right digits of a gradient near 1. What
f's rounding error is here, `gradcheck` measures: it moves every number of the input by one rounding, and looks.

Where the two disagree, h is made smaller and smaller until rounding would blur what they disagree about.

- A *wrong gradient* at a smooth point disagrees by the same amount for every h.
- A *kink nearby* (a ReLU's input of 1e-8, two almost equal numbers in max-pooling) falls out of a small h's reach, and
  then they agree.
- A *kink at the point itself* (an input of 0, a tie) leaves ``(f(h) - f(0)) / h`` and ``(f(0) - f(-h)) / h`` apart by
  an amount that stays for every h, while at a smooth point it falls in proportion to h. There is no derivative then;
  the point is reported as not differentiable, which is no failure, provided that the kinks are large enough to account
  for the disagreement.

References
----------
W. Press et al., "Numerical Recipes", 3rd edition, 2007, section 5.7 "Numerical Derivatives": the two errors and the
best h.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from math import inf, isfinite
from typing import Any

import numpy as np

from npalexnet import backend
from npalexnet.backend import Array
from npalexnet.layers import sharding
from npalexnet.layers.layer import Layer
from npalexnet.layers.parameter import Parameter

SMALLER_STEPS = 12  # at most so many times, a disagreement is looked at with a quarter of the step
OK, WRONG, NOT_DIFFERENTIABLE = "ok", "WRONG", "not differentiable"
Direction = tuple[int, ...] | Array  # the index of one element, or an array of the shape of what moves


@dataclass(frozen=True)
class Derivative:
    """A derivative according to backward and to finite differences.

    Attributes
    ----------
    array, where : str
        What was moved: "input" or a parameter's name, and "element (0, 2)" or "direction 1".
    analytic, numeric : float
        From backward, and from central differences.
    left, right : float
        From one-sided differences; close to each other, unless the point is not differentiable.
    error : float
        ``|analytic - numeric|`` relative to the derivative (see `gradcheck`), less what rounding accounts for.
    verdict : {"ok", "WRONG", "not differentiable"}
    """

    array: str
    where: str
    analytic: float
    numeric: float
    left: float
    right: float
    error: float
    verdict: str


@dataclass(frozen=True)
class _Differences:
    """Finite differences of f with one step h."""

    step: float
    left: float
    right: float
    noise: float  # how far rounding may have moved the central difference
    kink: float  # the differences between left and right, their magnitudes added up over the outputs

    @property
    def central(self) -> float:
        return (self.left + self.right) / 2


class Comparison:
    """Compares the gradients of one layer at one point, with one mask and one upstream gradient G."""

    def __init__(self, layer: Layer, x: Array, tolerance: float, rng: np.random.Generator) -> None:
        self.layer, self.x, self.tolerance = layer, x, tolerance
        self.names: dict[Parameter | None, str] = {None: "input"}
        self.names.update((parameter, name) for name, parameter in layer.named_parameters())
        self.mask = layer.draw_noise()
        self.y, saved = sharding.forward(layer, x, self.mask)
        self.xp = backend.array_module(self.y)
        if not isfinite(float(abs(self.y).max())):
            raise ValueError(f"{layer!r} gives infinities or NaN for this input: they have no derivative")
        self.G = backend.device_of(x).from_host(np.asarray(rng.standard_normal(self.y.shape)))
        self.gradients = self._gradients(self.G, saved)
        self._check_gradients()
        self.gradient_rounding, self.rounding = self._roundings(rng)
        self.noise = 2 * _norm(self.rounding)  # of f: its terms round independently

    def _gradients(self, G: Array, saved: Any) -> dict[Parameter | None, Array]:
        """Return backward's gradients for G, of the input (None) and of every parameter."""
        grad_x, pairs = sharding.backward(self.layer, G, saved)
        gradients: dict[Parameter | None, Array] = {None: grad_x}
        for parameter, gradient in pairs:
            gradients[parameter] = gradients[parameter] + gradient if parameter in gradients else gradient
        for parameter in self.layer.parameters():
            gradients.setdefault(parameter, self.xp.zeros_like(parameter.data))
        return gradients

    def _check_gradients(self) -> None:
        """Raise a TypeError or ValueError unless all gradients fit what they are the gradients of."""
        for moved, gradient in self.gradients.items():
            if moved not in self.names:
                raise ValueError(
                    f"{self.layer!r} has a gradient for a parameter that named_parameters() does not find: parameters, "
                    "and layers inside, must be attributes of the layer itself"
                )
            data, whose = self.x if moved is None else moved.data, f"{self.layer!r}'s gradient of {self.names[moved]}"
            gradient = backend.check_array(gradient, whose, dtype=data.dtype, device=backend.device_of(data))
            self.gradients[moved] = gradient
            if gradient.shape != data.shape:
                raise ValueError(f"{whose} must have its shape {data.shape}, got {gradient.shape}")

    def _roundings(self, rng: np.random.Generator) -> tuple[dict[Parameter | None, Array], Array]:
        """Return how far rounding moves the gradients, and the terms of f: measured, by moving all numbers' last bits.

        Where a gradient moves by more than rounding can explain, a kink lies within that bit; this is left out.
        """
        epsilon = float(np.finfo(np.float64).eps)

        def moved_by_last_bits(array: Array) -> Array:
            signs = backend.device_of(self.x).from_host(rng.choice([-1.0, 1.0], array.shape))
            return self._moved(array, array * signs, epsilon)

        of_gradients = {moved: self.xp.zeros_like(gradient) for moved, gradient in self.gradients.items()}
        of_y = 4 * epsilon * abs(self.y)
        largest = max(float(abs(gradient).max()) for gradient in self.gradients.values())
        for _ in range(3):
            arrays = {moved: moved_by_last_bits(self.x if moved is None else moved.data) for moved in self.gradients}
            y, saved = self._forward(arrays)
            of_y = self.xp.maximum(of_y, abs(y - self.y))
            for moved, gradient in self._gradients(moved_by_last_bits(self.G), saved).items():
                change = abs(gradient - self.gradients[moved])
                change = self.xp.where(change <= 1e-6 * largest, change, 0)
                of_gradients[moved] = self.xp.maximum(of_gradients[moved], change)
        return of_gradients, abs(self.G) * of_y

    def derivative(self, moved: Parameter | None, where: str, direction: Direction, h: float) -> Derivative:
        """Compare the derivative along a direction through `moved`, a parameter, or None for the input."""
        gradient = self.gradients[moved]
        along = _along(gradient, direction)
        analytic, scale = float(along.sum()), max(_norm(along), 1e-6 * float(abs(gradient).max()), 1e-12)
        allowed = self.tolerance * scale + 4 * _norm(_along(self.gradient_rounding[moved], direction))
        found, verdict = self._judge(partial(self._differences, moved, direction), analytic, scale, allowed, h)
        # Where rounding is all that is left of a derivative, an error relative to that would say nothing.
        error = abs(analytic - found.central) / max((allowed + found.noise) / self.tolerance, abs(found.central))
        error = error if isfinite(error) else inf
        return Derivative(self.names[moved], where, analytic, found.central, found.left, found.right, error, verdict)

    def _judge(
        self, differences: Callable[[float], _Differences], analytic: float, scale: float, allowed: float, h: float
    ) -> tuple[_Differences, str]:
        """Return the verdict, and the differences on which it is based.

        `scale` is the derivative's natural size, `allowed` how far finite differences without rounding may be off.
        """

        def disagreement(found: _Differences) -> float:
            return abs(analytic - found.central)

        trail = [differences(h)]  # with smaller and smaller steps, until rounding blurs them
        for power in range(1, SMALLER_STEPS + 1):
            last = trail[-1]
            if disagreement(last) <= allowed and last.kink <= 0.01 * scale:
                return last, OK
            found = differences(h / 4.0**power)
            if not found.noise <= max(0.1 * allowed, 0.02 * disagreement(last)):
                break
            trail.append(found)
        if len(trail) < 3:
            trail = [differences(16 * h), differences(4 * h), trail[0]]
        *_, farthest, farther, last = trail

        # At a smooth point, what looks like kinks in `last` is curvature: a quarter of what it was one step before.
        # Where the output itself jumps it is four times that. A kink closer than `last` resolves is on one side alone.
        stays = all(0.5 * far.kink <= last.kink <= 2 * far.kink for far in (farthest, farther))
        one_side = last.step < h and min(abs(analytic - last.left), abs(analytic - last.right)) <= allowed + last.noise
        # A kink accounts for half of its size; the rest is for many that all but cancel within one output.
        accounts = last.kink > 0 and disagreement(last) <= 100 * last.kink
        agree = disagreement(last) <= allowed + last.noise
        if accounts and (stays or one_side) and (last.kink > 0.01 * scale or not agree):
            return last, NOT_DIFFERENTIABLE
        if agree:
            return last, OK
        return next((found for found in trail if found.kink <= 0.01 * scale), last), WRONG  # large steps round less

    def _differences(self, moved: Parameter | None, direction: Direction, h: float) -> _Differences:
        """Return the differences of f with the step h: first of the outputs, which are small, then their sum."""
        xp = self.xp
        data = self.x if moved is None else moved.data
        with np.errstate(all="ignore"):  # a step may lead out of where the layer is defined; a smaller one may not
            ahead = self._forward({moved: self._moved(data, direction, h)})[0] - self.y
            behind = self.y - self._forward({moved: self._moved(data, direction, -h)})[0]
            kinks = abs(self.G * (ahead - behind))
            kinks = xp.where(kinks > 16 * self.rounding, kinks, 0)
            left, right = float((self.G * behind).sum()) / h, float((self.G * ahead).sum()) / h
            return _Differences(h, left, right, self.noise / h, float(kinks.sum()) / h)

    def _moved(self, data: Array, direction: Direction, h: float) -> Array:
        """Return a copy that is h further along a direction, with the axes in the same order in memory."""
        copied = self.xp.empty_like(data)
        copied[...] = data
        if isinstance(direction, tuple):
            copied[direction] += h
        else:
            copied += h * direction
        return copied

    def _forward(self, arrays: dict[Parameter | None, Array]) -> tuple[Array, Any]:
        """Forward with other arrays for the input (None) and parameters, which `gradcheck` restores after errors."""
        originals = {parameter: parameter.data for parameter in arrays if parameter is not None}
        for parameter in originals:
            parameter.data = arrays[parameter]
        results = sharding.forward(self.layer, arrays.get(None, self.x), self.mask)
        for parameter, data in originals.items():
            parameter.data = data
        return results


def _along(array: Array, direction: Direction) -> Array:
    """Return a gradient times a direction, element by element: the terms of the derivative."""
    return array[direction] if isinstance(direction, tuple) else array * direction


def _norm(array: Array) -> float:
    return float((array * array).sum()) ** 0.5
