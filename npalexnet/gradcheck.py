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

from collections.abc import Callable, Iterator
from copy import copy
from dataclasses import dataclass
from math import inf, isfinite, prod
from typing import Any

import numpy as np

from npalexnet import backend
from npalexnet.backend import Array
from npalexnet.layers import sharding
from npalexnet.layers.activation import Flatten, ReLU
from npalexnet.layers.conv import Conv2d
from npalexnet.layers.dropout import Dropout
from npalexnet.layers.geometry import integer
from npalexnet.layers.layer import Layer, Parameter, Shape
from npalexnet.layers.linear import Linear
from npalexnet.layers.normalization import LocalResponseNorm
from npalexnet.layers.pooling import MaxPool2d
from npalexnet.layers.sequential import Sequential
from npalexnet.losses import CrossEntropyLoss

SMALLER_STEPS = 12  # at most so many times, a disagreement is looked at with a quarter of the step
ELEMENTWISE_NUMBERS = 1 << 20  # layers with more numbers than this in x and parameters are checked by direction alone
OK, WRONG, NOT_DIFFERENTIABLE = "ok", "WRONG", "not differentiable"
Direction = tuple[int, ...] | Array  # the index of one element, or an array of the shape of what moves


@dataclass(frozen=True)
class Derivative:
    """One derivative, as backward and as finite differences have it.

    Attributes
    ----------
    array, where : str
        What was moved: "input" or a parameter's name, and "element (0, 2)" or "direction 1".
    analytic, numeric : float
        From backward, and from central differences.
    left, right : float
        From one-sided differences; they are close to each other unless the point is not differentiable.
    error : float
        ``|analytic - numeric|`` relative to the derivative (see `gradcheck`), less what rounding accounts for.
    verdict : {"ok", "WRONG", "not differentiable"}
        What to make of it.
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
class ArrayReport:
    """What was found for the input or for one parameter.

    Attributes
    ----------
    name : str
        "input", or the parameter's name.
    shape : tuple of int
        Its shape.
    elements, directions : int
        How many of its elements, and how many random directions through it, were checked.
    worst : Derivative
        The one with the largest error, among those with the array's verdict.
    verdict : {"ok", "WRONG", "not differentiable"}
        "WRONG" if any derivative is; else "not differentiable" if it could not be told somewhere.
    """

    name: str
    shape: Shape
    elements: int
    directions: int
    worst: Derivative
    verdict: str


@dataclass(frozen=True)
class GradcheckReport:
    """What `gradcheck` found; as a str it is a table.

    Attributes
    ----------
    layer : str
        The layer's repr.
    tolerance : float
        The largest error that was let pass.
    rows : tuple of ArrayReport
        The input, then the parameters.
    not_differentiable : tuple of Derivative
        Where there is no derivative to compare with.
    """

    layer: str
    tolerance: float
    rows: tuple[ArrayReport, ...]
    not_differentiable: tuple[Derivative, ...]

    @property
    def ok(self) -> bool:
        """Whether no derivative is wrong."""
        return all(row.verdict != WRONG for row in self.rows)

    @property
    def worst(self) -> Derivative:
        """The wrong derivative with the largest error; if none is wrong, the one with the largest error."""
        wrong = [row.worst for row in self.rows if row.verdict == WRONG]
        right = [row.worst for row in self.rows if row.verdict == OK]
        return max(wrong or right or [row.worst for row in self.rows], key=lambda derivative: derivative.error)

    def __str__(self) -> str:
        header = ("array", "shape", "elements", "directions", "worst error", "at", "analytic", "numeric", "verdict")
        table = [header]
        for row in self.rows:
            at = row.worst
            elements = f"{row.elements} of {prod(row.shape)}"
            numbers = f"{at.error:.1e}", at.where, f"{at.analytic:.9g}", f"{at.numeric:.9g}"
            table.append((row.name, str(row.shape), elements, str(row.directions), *numbers, row.verdict))
        widths = [max(map(len, column)) for column in zip(*table, strict=True)]
        lines = ["  ".join(map(str.ljust, line, widths)).rstrip() for line in table]
        if self.not_differentiable:
            at = self.not_differentiable[0]
            lines.append(
                f"{len(self.not_differentiable)} of the derivatives do not exist and were not compared; the first: "
                f"{at.array}, {at.where}, left {at.left:.6g}, right {at.right:.6g}, backward {at.analytic:.6g}"
            )
        return "\n".join(lines)


class GradcheckError(RuntimeError):
    """A gradient is wrong; the message has the worst derivative and the table.

    Attributes
    ----------
    report : GradcheckReport
        The same, to compute with.
    """

    def __init__(self, report: GradcheckReport) -> None:
        at = report.worst
        super().__init__(
            f"{report.layer}: the gradient of {at.array} is wrong at {at.where}: backward says {at.analytic:.9g}, "
            f"differences say {at.numeric:.9g} (error {at.error:.1e}, tolerance {report.tolerance:.1e})\n{report}"
        )
        self.report = report


def gradcheck(
    layer: Layer | Any,
    x: Array,
    labels: Array | None = None,
    *,
    step: float = 1e-6,
    directions: int = 3,
    max_elements: int = 200,
    tolerance: float = 1e-6,
    seed: int = 0,
    raise_exception: bool = True,
) -> GradcheckReport:
    """Compare a layer's gradients with finite differences of its output.

    The input and each parameter are moved on their own: along random directions, which see every element, and element
    by element. Nothing is changed: not `x`, not the layer's ``.grad``, not its last call. While it runs, a parameter's
    ``.data`` is replaced by moved copies, so no other thread should use the layer; a layer with `Dropout` draws one
    mask from its generator. What is wrong, what is a kink and what is rounding: see the top of this module.

    Parameters
    ----------
    layer : Layer or loss
        In float64: a layer or a whole model; or, with `labels`, a loss such as `CrossEntropyLoss`.
    x : array
        The input, float64, on the layer's device.
    labels : array, optional
        What a loss takes besides `x`: it is called as ``loss(x, labels)`` and ``loss.backward(grad)``.
    step : float
        h, for numbers up to 1; it is multiplied by an array's largest magnitude where that is more than 1.
    directions : int
        Random directions for each array.
    max_elements : int
        Elements for each array: all, if there are no more, else a random sample. Each costs two forward passes, so for
        layers of more than a million numbers (input and parameters) directions alone are checked.
    tolerance : float
        The largest relative error to let pass: relative to ``sqrt(sum((gradient * direction)**2))``, which is the
        gradient itself for an element, and to a millionth of the array's largest gradient at least.
    seed : int
        Where G, the directions and the sample come from.
    raise_exception : bool
        Whether a wrong gradient raises, or is left to the caller to find in the report.

    Returns
    -------
    GradcheckReport
        ``report.ok``, ``report.rows``, ``report.not_differentiable``, and ``print(report)``.

    Raises
    ------
    GradcheckError
        If a gradient is wrong, and `raise_exception`.
    TypeError, ValueError
        If an argument, or what backward returns, has the wrong dtype, shape or device, or is not finite.
    """
    if labels is not None:
        layer = _LossOfLogits(layer, labels)
    _check_arguments(layer, x, step, directions, max_elements, tolerance)
    # Another stream than default_rng(seed)'s, which `x` is likely to come from: a G equal to x would be a special case.
    rng = np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(0,)))
    originals = [(parameter, parameter.data) for parameter in layer.parameters()]
    try:
        with backend.device_of(x).active():
            rows, kinks = _compare_all(layer, x, step, directions, max_elements, tolerance, rng)
    finally:  # errors and Ctrl-C come here while some parameter is moved
        for parameter, data in originals:
            parameter.data = data
    report = GradcheckReport(repr(layer), tolerance, tuple(rows), tuple(kinks))
    if raise_exception and not report.ok:
        raise GradcheckError(report)
    return report


def _compare_all(
    layer: Layer, x: Array, step: float, directions: int, max_elements: int, tolerance: float, rng: np.random.Generator
) -> tuple[list[ArrayReport], list[Derivative]]:
    """Return a report for the input and for each parameter, and all derivatives that do not exist."""
    names: dict[Parameter | None, str] = {None: "input"}
    for name, parameter in layer.named_parameters():
        names.setdefault(parameter, name)  # a parameter that is used twice has two names
    comparison = _Comparison(layer, x, tolerance, rng)
    if directions and x.size + sum(parameter.size for parameter in layer.parameters()) > ELEMENTWISE_NUMBERS:
        max_elements = 0
    rows, kinks = [], []
    for moved, name in names.items():
        data = x if moved is None else moved.data
        h = step * max(1.0, float(abs(data).max()))
        chosen = _elements(data.shape, max_elements, rng)
        derivatives = [comparison.derivative(name, f"element {index}", moved, index, h) for index in chosen]
        for number in range(directions):
            v = backend.device_of(x).from_host(rng.standard_normal(data.shape))
            derivatives.append(comparison.derivative(name, f"direction {number}", moved, v, h))
        verdicts = [derivative.verdict for derivative in derivatives]
        verdict = next(verdict for verdict in (WRONG, NOT_DIFFERENTIABLE, OK) if verdict in verdicts)
        worst = max((d for d in derivatives if d.verdict == verdict), key=lambda d: d.error)
        rows.append(ArrayReport(name, data.shape, len(chosen), directions, worst, verdict))
        kinks += [derivative for derivative in derivatives if derivative.verdict == NOT_DIFFERENTIABLE]
    return rows, kinks


@dataclass(frozen=True)
class _Differences:
    """Finite differences of f with one step h."""

    step: float
    left: float
    right: float
    noise: float  # how far rounding may have moved the central difference
    kink: float  # by how much left and right differ, added up over the outputs without their signs

    @property
    def central(self) -> float:
        return (self.left + self.right) / 2


class _Comparison:
    """Of the gradients of one layer at one point, with one mask and one upstream gradient G."""

    def __init__(self, layer: Layer, x: Array, tolerance: float, rng: np.random.Generator) -> None:
        self.layer, self.x, self.tolerance = layer, x, tolerance
        self.mask = layer.draw_noise()
        self.y, saved = sharding.forward(layer, x, self.mask)
        self.xp = backend.array_module(self.y)
        if not isfinite(float(abs(self.y).max())):
            raise ValueError(f"{layer!r} gives infinities or NaN for this input: they have no derivative")
        self.G = backend.device_of(x).from_host(np.asarray(rng.standard_normal(self.y.shape)))
        self.gradients = self._gradients(self.G, saved)
        _check_gradients(layer, x, self.gradients)
        self.gradient_rounding, self.rounding = self._roundings(rng)
        self.noise = 2 * _norm(self.rounding)  # of f: its terms round independently

    def _gradients(self, G: Array, saved: Any) -> dict[Parameter | None, Array]:
        """What backward makes of G, for the input (None) and for every parameter."""
        grad_x, pairs = sharding.backward(self.layer, G, saved)
        gradients: dict[Parameter | None, Array] = {None: grad_x}
        for parameter, gradient in pairs:
            gradients[parameter] = gradients[parameter] + gradient if parameter in gradients else gradient
        for parameter in self.layer.parameters():
            gradients.setdefault(parameter, self.xp.zeros_like(parameter.data))
        return gradients

    def _roundings(self, rng: np.random.Generator) -> tuple[dict[Parameter | None, Array], Array]:
        """How far rounding moves the gradients, and the terms of f: measured, by moving all numbers by their last bit.

        Where a gradient moves by more than rounding can explain, a kink lies within that bit; that is left out.
        """
        epsilon = float(np.finfo(np.float64).eps)

        def moved_by_last_bits(array: Array) -> Array:
            return self._moved(
                array, array * backend.device_of(self.x).from_host(rng.choice([-1.0, 1.0], array.shape)), epsilon
            )

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

    def derivative(self, name: str, where: str, moved: Parameter | None, direction: Direction, h: float) -> Derivative:
        """Compare the derivative by `moved`, which is a parameter, or None for the input, along a direction."""
        gradient = self.gradients[moved]
        along = _along(gradient, direction)
        analytic, scale = float(along.sum()), max(_norm(along), 1e-6 * float(abs(gradient).max()), 1e-12)
        allowed = self.tolerance * scale + 4 * _norm(_along(self.gradient_rounding[moved], direction))
        found, verdict = self._judge(
            lambda size: self._differences(moved, direction, size), analytic, scale, allowed, h
        )
        # Where rounding is all that is left of a derivative, an error relative to that would say nothing.
        error = (
            self.tolerance
            * abs(analytic - found.central)
            / max(allowed + found.noise, self.tolerance * abs(found.central))
        )
        error = error if isfinite(error) else inf
        return Derivative(name, where, analytic, found.central, found.left, found.right, error, verdict)

    def _judge(
        self, differences: Callable[[float], _Differences], analytic: float, scale: float, allowed: float, h: float
    ) -> tuple[_Differences, str]:
        """Return a verdict, and the differences that it rests on."""

        def disagreement(found: _Differences) -> float:
            return abs(analytic - found.central)

        trail = [differences(h)]  # with smaller and smaller steps, as long as rounding lets one see
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

        # At a smooth point, what `last` sees as kinks is curvature: a quarter of what the step before it sees. Where
        # the output itself jumps it is four times that. A kink closer than `last` can resolve is on one side alone.
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
        """Differences of f with the step h: first those of the outputs, which are small, then their sum."""
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
        """Forward with other arrays in place of the input (None) and of parameters.

        After an error, and Ctrl-C, it is `gradcheck` that puts the parameters back.
        """
        originals = {parameter: parameter.data for parameter in arrays if parameter is not None}
        for parameter in originals:
            parameter.data = arrays[parameter]
        results = sharding.forward(self.layer, arrays.get(None, self.x), self.mask)
        for parameter, data in originals.items():
            parameter.data = data
        return results


def _along(array: Array, direction: Direction) -> Array:
    """Return an array's part in a derivative along a direction; its sum is that derivative, if it is a gradient."""
    return array[direction] if isinstance(direction, tuple) else array * direction


def _norm(array: Array) -> float:
    return float((array * array).sum()) ** 0.5


class _LossOfLogits(Layer):
    """A loss with its labels, as a layer of the logits."""

    def __init__(self, loss: Any, labels: Array) -> None:
        if isinstance(loss, Layer) or not (callable(loss) and hasattr(loss, "backward")):
            raise TypeError(f"gradcheck takes labels with a loss, got {loss!r}")
        self._loss, self._labels = loss, labels

    def compute(self, x: Array, noise: Any = None) -> tuple[Array, Any]:
        """(N, K) -> what the loss returns; a copy remembers the call, so that the user's loss does not."""
        loss = copy(self._loss)
        return loss(x, self._labels), loss

    def gradients(self, grad_y: Array, saved: Any) -> tuple[Array, list[tuple[Parameter, Array]]]:
        """Return the loss's gradient of the logits."""
        return saved.backward(grad_y), []

    def __repr__(self) -> str:
        return repr(self._loss)


def _elements(shape: Shape, max_elements: int, rng: np.random.Generator) -> list[tuple[int, ...]]:
    """Indices of all elements, or of a sample."""
    size = prod(shape)
    chosen = np.arange(size) if size <= max_elements else np.sort(rng.choice(size, max_elements, replace=False))
    return [tuple(int(i) for i in np.unravel_index(number, shape)) for number in chosen]


def _check_arguments(layer: Layer, x: Array, step: float, directions: int, max_elements: int, tolerance: float) -> None:
    for name, value in (("step", step), ("tolerance", tolerance)):
        if isinstance(value, bool) or not isinstance(value, int | float | np.floating):
            raise TypeError(f"{name} must be a number, got {value!r}")
        if not 0 < value < 1:
            raise ValueError(f"{name} must be between 0 and 1, got {value}")
    if integer("directions", directions, 0) + integer("max_elements", max_elements, 0) == 0:
        raise ValueError("directions and max_elements must not both be 0: nothing would be checked")
    if not isinstance(layer, Layer):
        raise TypeError(f"gradcheck expects a Layer, or a loss together with its labels, got {layer!r}")
    for name, parameter in layer.named_parameters():
        if parameter.dtype != np.float64:
            raise TypeError(
                f"gradcheck needs a float64 layer, but {name} is {parameter.dtype}: make the layer with dtype='float64'"
            )
    backend.check_array(x, "gradcheck's input")
    if x.dtype != np.float64:
        raise TypeError(f"gradcheck needs a float64 input, got {x.dtype}: pass x.astype('float64')")
    layer._check_input(x)
    if x.size == 0:
        raise ValueError(f"gradcheck needs an input of at least one number, got shape {x.shape}")
    if not isfinite(float(abs(x).max())):
        raise ValueError(
            f"gradcheck needs an input of finite numbers, got one of shape {x.shape} without or with others"
        )


def _check_gradients(layer: Layer, x: Array, gradients: dict[Parameter | None, Array]) -> None:
    names: dict[Parameter | None, str] = {None: "the input"}
    names.update((parameter, name) for name, parameter in layer.named_parameters())
    for moved, gradient in gradients.items():
        if moved not in names:
            raise ValueError(
                f"{layer!r} has a gradient for a parameter that named_parameters() does not find: parameters, and "
                f"layers inside, must be attributes of the layer itself"
            )
        data = x if moved is None else moved.data
        backend.check_array(
            gradient, f"{layer!r}'s gradient of {names[moved]}", dtype=data.dtype, device=backend.device_of(data)
        )
        if gradient.shape != data.shape:
            raise ValueError(
                f"{layer!r}'s gradient of {names[moved]} must have its shape {data.shape}, got {gradient.shape}"
            )


def check_all_layers(device: str = "cpu", *, seed: int = 0, **settings: Any) -> Iterator[tuple[str, GradcheckReport]]:
    """Check every layer of this package, and the loss, in several configurations of a small size.

    Parameters
    ----------
    device : str
        Where to compute.
    seed : int
        Where parameters, inputs and directions come from.
    **settings
        Further keyword arguments for `gradcheck`.

    Yields
    ------
    tuple of str and GradcheckReport
        What was checked, and what was found, one by one; a wrong gradient does not raise.
    """
    rng = np.random.default_rng(seed)
    home = backend.get_device(device)
    new: dict[str, Any] = {"dtype": "float64", "device": device, "seed": rng}
    images, vectors = (2, 4, 7, 6), (3, 5)
    network = Sequential(
        *(Conv2d(2, 4, 3, padding=1, **new), ReLU(), LocalResponseNorm(3, alpha=0.5), MaxPool2d(3, 2), Flatten()),
        *(Linear(4 * 3 * 3, 6, **new), ReLU(), Dropout(0.5, seed=rng), Linear(6, 3, **new)),
    )
    layers: list[tuple[str, Layer, Shape]] = [
        ("Conv2d, overlapping windows", Conv2d(4, 3, 3, stride=2, padding=1, **new), images),
        ("Conv2d, dilation", Conv2d(4, 2, (3, 2), stride=(1, 2), dilation=(2, 3), **new), images),
        ("Conv2d, groups", Conv2d(4, 6, 3, groups=2, bias=False, **new), images),
        ("Conv2d, same size", Conv2d(4, 2, (2, 3), padding="same", **new), images),
        ("MaxPool2d, overlapping windows", MaxPool2d(3, 2), images),
        ("MaxPool2d, padding and ceil_mode", MaxPool2d(3, 2, padding=1, ceil_mode=True), images),
        ("MaxPool2d, dilation", MaxPool2d(2, 1, dilation=(2, 3)), images),
        ("Linear", Linear(5, 4, **new), vectors),
        ("Linear, no bias, three axes", Linear(5, 4, bias=False, **new), (2, *vectors)),
        ("ReLU", ReLU(), images),
        ("LocalResponseNorm", LocalResponseNorm(5), images),
        ("LocalResponseNorm, even size", LocalResponseNorm(2, alpha=0.5, beta=1.5, k=2.0), images),
        ("Dropout, training", Dropout(0.3, seed=rng), vectors),
        ("Dropout, eval", Dropout(0.3, seed=rng).eval(), vectors),
        ("Flatten", Flatten(), images),
        ("Sequential, a small network", network, (3, 2, 7, 7)),
    ]
    settings = {"seed": seed, **settings, "raise_exception": False}
    for name, layer, shape in layers:
        x = home.from_host(rng.standard_normal(shape))
        yield name, gradcheck(layer, x, **settings)

    logits, labels = home.from_host(rng.standard_normal((4, 5))), home.from_host(rng.integers(5, size=4))
    for reduction, smoothing in (("mean", 0.0), ("sum", 0.1), ("none", 0.1)):
        loss = CrossEntropyLoss(reduction, label_smoothing=smoothing)
        yield repr(loss), gradcheck(loss, logits, labels, **settings)
