"""`gradcheck`, the check of a layer's backward pass; how it tells right from wrong is in `finite_differences`."""

from __future__ import annotations

from copy import copy
from dataclasses import dataclass
from math import isfinite, prod
from typing import Any

import numpy as np

from npalexnet import backend
from npalexnet.backend import Array
from npalexnet.checks import integer, number
from npalexnet.finite_differences import NOT_DIFFERENTIABLE, OK, WRONG, Comparison, Derivative
from npalexnet.layers.algorithm_choice import convolution_algorithm, get_convolution_algorithm
from npalexnet.layers.layer import Layer
from npalexnet.layers.parameter import Parameter, Shape
from npalexnet.terminal import table

ELEMENTWISE_NUMBERS = 1 << 20  # with more numbers in x and the parameters, only directions are checked


@dataclass(frozen=True)
class ArrayReport:
    """The result for the input or for one parameter.

    Attributes
    ----------
    name, shape : str, tuple of int
        "input", or the parameter's name; and its shape.
    elements, directions : int
        The number of its elements, and of random directions through it, that were checked.
    worst : Derivative
        The derivative with the largest error, among those with the array's verdict.
    verdict : {"ok", "WRONG", "not differentiable"}
        "WRONG" if any derivative is wrong; else "not differentiable" if any does not exist.
    """

    name: str
    shape: Shape
    elements: int
    directions: int
    worst: Derivative
    verdict: str


@dataclass(frozen=True)
class GradcheckReport:
    """The result of `gradcheck`; as a str it is a table.

    Attributes
    ----------
    layer : str
        The layer's repr.
    tolerance : float
        The largest permitted error.
    rows : tuple of ArrayReport
        The input, then the parameters.
    not_differentiable : tuple of Derivative
        The derivatives that do not exist, so that there is nothing to compare with.
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
        return max((row.worst for row in self.rows), key=lambda at: (at.verdict == WRONG, at.verdict == OK, at.error))

    def __str__(self) -> str:
        header = ("array", "shape", "elements", "directions", "worst error", "at", "analytic", "numeric", "verdict")
        rows = []
        for row in self.rows:
            at, elements = row.worst, f"{row.elements} of {prod(row.shape)}"
            numbers = f"{at.error:.1e}", at.where, f"{at.analytic:.9g}", f"{at.numeric:.9g}"
            rows.append((row.name, str(row.shape), elements, str(row.directions), *numbers, row.verdict))
        lines = [table(header, rows, left=len(header))]
        if self.not_differentiable:
            at = self.not_differentiable[0]
            lines.append(
                f"{len(self.not_differentiable)} of the derivatives do not exist and were not compared; the first: "
                f"{at.array}, {at.where}, left {at.left:.6g}, right {at.right:.6g}, backward {at.analytic:.6g}"
            )
        return "\n".join(lines)


class GradcheckError(RuntimeError):
    """A gradient is wrong; the message has the worst derivative and the table, the attribute `report` all numbers."""

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

    The input and each parameter are moved on their own: along random directions, which involve every element, and
    element by element. Nothing is changed: not `x`, not the layer's ``.grad``, not its last call. Meanwhile a
    parameter's ``.data`` is replaced by moved copies, so no other thread should use the layer; a layer with `Dropout`
    draws one mask from its generator. Convolutions are computed with im2col, unless `set_convolution_algorithm` or the
    layer says "winograd". On kinks and rounding see `npalexnet.finite_differences`.

    Parameters
    ----------
    layer : Layer or loss
        In float64: a layer or a whole model; or, with `labels`, a loss such as `CrossEntropyLoss`.
    x : array
        The input, float64, on the layer's device.
    labels : array, optional
        Labels for a loss, which is called as ``loss(x, labels)`` and ``loss.backward(grad)``.
    step : float
        h, for numbers up to 1; it is multiplied by an array's largest magnitude where that is more than 1.
    directions : int
        Random directions for each array.
    max_elements : int
        Elements for each array: all, if there are no more, else a random sample. Each costs two forward passes, so for
        layers of more than a million numbers (input and parameters) only directions are checked.
    tolerance : float
        The largest permitted error: relative to ``sqrt(sum((gradient * direction)**2))``, which is the gradient itself
        for an element, and to a millionth of the array's largest gradient at least.
    seed : int
        Of G, the directions and the sample.
    raise_exception : bool
        Whether a wrong gradient raises; otherwise the report tells.

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
    layer = layer if labels is None else _LossOfLogits(layer, labels)
    x = _checked_input(layer, x, step, directions, max_elements, tolerance)
    # Another stream than default_rng(seed)'s, which `x` is likely to come from: a G equal to x would be a special case.
    rng = np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(0,)))
    originals = [(parameter, parameter.data) for parameter in layer.parameters()]
    chosen = get_convolution_algorithm()
    try:
        with backend.device_of(x).active(), convolution_algorithm("im2col" if chosen == "auto" else chosen):
            if directions and x.size + sum(data.size for _, data in originals) > ELEMENTWISE_NUMBERS:
                max_elements = 0
            rows, kinks = _compare_all(Comparison(layer, x, tolerance, rng), step, directions, max_elements, rng)
    finally:  # errors and Ctrl-C come here while some parameter is moved
        for parameter, data in originals:
            parameter.data = data
    report = GradcheckReport(repr(layer), tolerance, tuple(rows), tuple(kinks))
    if raise_exception and not report.ok:
        raise GradcheckError(report)
    return report


def _compare_all(
    comparison: Comparison, step: float, directions: int, max_elements: int, rng: np.random.Generator
) -> tuple[list[ArrayReport], list[Derivative]]:
    """Return a report for the input and for each trainable parameter, and all derivatives that do not exist."""
    rows, kinks = [], []
    for moved, name in comparison.names.items():
        if moved is not None and not moved.requires_grad:
            continue
        data = comparison.x if moved is None else moved.data
        h = step * max(1.0, float(abs(data).max()))
        chosen = _elements(data.shape, max_elements, rng)
        derivatives = [comparison.derivative(moved, f"element {index}", index, h) for index in chosen]
        for i in range(directions):
            v = backend.device_of(data).from_host(rng.standard_normal(data.shape))
            derivatives.append(comparison.derivative(moved, f"direction {i}", v, h))
        worst = max(derivatives, key=lambda at: (at.verdict == WRONG, at.verdict == NOT_DIFFERENTIABLE, at.error))
        rows.append(ArrayReport(name, data.shape, len(chosen), directions, worst, worst.verdict))
        kinks += [derivative for derivative in derivatives if derivative.verdict == NOT_DIFFERENTIABLE]
    return rows, kinks


class _LossOfLogits(Layer):
    """A loss with its labels, as a layer of the logits."""

    def __init__(self, loss: Any, labels: Array) -> None:
        if isinstance(loss, Layer) or not (callable(loss) and hasattr(loss, "backward")):
            raise TypeError(f"gradcheck takes labels with a loss, got {loss!r}")
        self._loss, self._labels = loss, labels

    def compute(self, x: Array, noise: Any = None) -> tuple[Array, Any]:
        """(N, K) -> the loss, computed by a copy, so that the user's loss keeps its last call."""
        loss = copy(self._loss)
        return loss(x, self._labels), loss

    def gradients(self, grad_y: Array, saved: Any) -> tuple[Array, list[tuple[Parameter, Array]]]:
        """Gradient of the logits."""
        return saved.backward(grad_y), []

    def __repr__(self) -> str:
        return repr(self._loss)


def _elements(shape: Shape, max_elements: int, rng: np.random.Generator) -> list[tuple[int, ...]]:
    """Return the indices of all elements, or of a random sample."""
    size = prod(shape)
    chosen = np.arange(size) if size <= max_elements else np.sort(rng.choice(size, max_elements, replace=False))
    return [tuple(int(i) for i in np.unravel_index(number, shape)) for number in chosen]


def _checked_input(layer: Layer, x: Array, step: float, directions: int, max_elements: int, tolerance: float) -> Array:
    for name, value in (("step", step), ("tolerance", tolerance)):
        if not 0 < number(name, value) < 1:
            raise ValueError(f"{name} must be between 0 and 1, got {value}")
    if integer("directions", directions, 0) + integer("max_elements", max_elements, 0) == 0:
        raise ValueError("directions and max_elements must not both be 0: nothing would be checked")
    if not isinstance(layer, Layer):
        raise TypeError(f"gradcheck expects a Layer, or a loss together with its labels, got {layer!r}")
    for name, parameter in layer.named_parameters():
        if parameter.dtype != np.float64:
            raise TypeError(f"gradcheck needs a float64 layer, but {name} is {parameter.dtype}: pass dtype='float64'")
    x = backend.check_array(x, "gradcheck's input", dtype=np.dtype(np.float64))
    layer._check_input(x)
    if x.size == 0:
        raise ValueError(f"gradcheck needs an input of at least one number, got shape {x.shape}")
    if not isfinite(float(abs(x).max())):
        raise ValueError(f"gradcheck needs an input of finite numbers, got infinities or NaN in one of shape {x.shape}")
    return x
