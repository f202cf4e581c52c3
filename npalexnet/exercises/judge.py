"""How a function of the reader's is judged: small arrays go in, and what comes out is held against the definition.

If it differs, it is compared with what each usual mistake would have given; the mistake that gives the same in all
cases is named.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from copy import deepcopy
from dataclasses import dataclass, field
from importlib.util import find_spec
from types import ModuleType
from typing import Any

import numpy as np

from npalexnet.exercises.calls import Arguments, Array, Function, Raised, Wrong, call, described, function_of

TOLERANCE = 1e-6  # of the largest number: float32 inside the reader's function will do
STEP = 1e-5  # of finite differences


@dataclass(frozen=True)
class Case:
    """The arguments of one call, by the names that they have in the stub."""

    arguments: Arguments
    smooth: bool = True  # whether there are no ties and kinks, so that finite differences have the gradient's value

    def __str__(self) -> str:
        return described(self.arguments)


@dataclass(frozen=True)
class Check:
    """The check of one function whose results the arguments determine.

    Attributes
    ----------
    function : str
        Its name.
    outputs : tuple of str
        Names of the arrays that it returns.
    cases : list of Case
        The first should be the smallest: its numbers are what the reader gets to see.
    definition : callable
        Takes the arguments; returns an array, or a tuple of those.
    mistakes : dict
        What to tell the reader, and a function that makes the mistake: it returns what `definition` does.
    origin : callable
        Takes the arguments, an output's name and an index; returns lines that show where that number comes from.
    objective : callable, optional
        Of a gradient: takes the arguments and the reader's module; returns, for each output, the array that it is the
        gradient with respect to, and the function of that array whose gradient it is.
    torch : callable, optional
        Takes the arguments; returns what torch computes.
    may_change : bool
        Whether the function may write to the arrays that it is given.
    raises : dict
        What to tell the reader of an exception that a usual mistake ends in.
    """

    function: str
    outputs: tuple[str, ...]
    cases: list[Case]
    definition: Function
    mistakes: dict[str, Function] = field(default_factory=dict)
    origin: Callable[[Arguments, str, tuple[int, ...]], list[str]] = lambda arguments, output, index: []
    objective: Callable[[Arguments, ModuleType], list[tuple[Array, Callable[[Array], float]]]] | None = None
    torch: Function | None = None
    may_change: bool = False
    raises: dict[type[BaseException], str] = field(default_factory=dict)

    def run(self, module: ModuleType) -> list[str]:
        """Judge the function of a reader's module; returns what it was held against. Raises `Wrong` or `Raised`."""
        function = function_of(module, self.function)
        seen: list[tuple[Case, tuple[Array, ...]]] = []
        first: tuple[Case, tuple[Array, ...], tuple[Array, ...]] | None = None
        for case in self.cases:
            expected = computed(self.definition, case)
            try:
                got = self._arrays(call(function, case.arguments, may_change=self.may_change), expected)
            except Wrong:
                if first is None:
                    raise
                break
            except Raised as raised:
                raised.hint = self.raises.get(type(raised.error), "")
                if first is None:
                    raise
                if raised.hint and not self._difference(*first, seen, module).hint:
                    raise
                break
            seen.append((case, got))
            if first is None and not all(map(same, got, expected)):
                first = case, got, expected
        if first is not None:
            raise self._difference(*first, seen, module)
        held = [f"{len(seen)} cases against the definition"]
        if self.objective is not None:
            self._compare_slopes(seen, module)
            held.append("finite differences")
        if self.torch is not None and find_spec("torch"):
            for case, got in seen:
                for name, array, other in zip(self.outputs, got, computed(self.torch, case), strict=True):
                    if not same(array, other):
                        raise Wrong(f"{self.function}: {name} is not torch's, for {case}")
            held.append("torch")
        return held

    def _arrays(self, result: Any, expected: tuple[Array, ...]) -> tuple[Array, ...]:
        """Return a function's result as arrays, or raise a `Wrong` about its type."""
        shapes = " and ".join(f"{name} {array.shape}" for name, array in zip(self.outputs, expected, strict=True))
        several = len(expected) > 1
        wanted = f"{'a tuple of arrays' if several else 'an array'}, {shapes}" if expected[0].ndim else "a number"
        if result is None:
            raise Wrong(f"{self.function} returned None, must return {wanted}: is there a return?")
        if several and not (isinstance(result, tuple | list) and len(result) == len(expected)):
            count = f" of {len(result)}" if isinstance(result, tuple | list) else ""
            raise Wrong(f"{self.function} returned a {type(result).__name__}{count}, must return {wanted}")
        results = tuple(result) if several else (result,)
        for name, array, right in zip(self.outputs, results, expected, strict=True):
            what = f"{self.function} returned a {type(array).__name__}{f' as {name}' if several else ''}"
            number = right.ndim == 0 and isinstance(array, int | float)
            if not number and not isinstance(array, np.ndarray | np.generic):
                raise Wrong(f"{what}, must return {wanted}")
            if not number and array.dtype.kind != "f":
                raise Wrong(f"{self.function} returned {name} with dtype {array.dtype}, must be float64")
        return tuple(np.asarray(array, "float64") for array in results)

    def _difference(
        self, case: Case, got: tuple[Array, ...], expected: tuple[Array, ...], seen: list[Any], module: ModuleType
    ) -> Wrong:
        """Return what to say of the first case whose result is wrong."""
        at = next(i for i in range(len(got)) if not same(got[i], expected[i]))
        name, array, right = self.outputs[at], got[at], expected[at]
        hint = self._hint(at, seen)
        if array.shape != right.shape:
            message = f"{self.function}: {name} has shape {array.shape}, must be {right.shape}, for {case}"
            if not hint and array.ndim > right.ndim and same(array.reshape(-1), right.reshape(-1)):
                hint = "the numbers are right, with an axis too many: is there a keepdims=True, or a None as an index?"
            return Wrong(message, hint)
        differs = differing(array, right)
        index = tuple(int(i) for i in np.argwhere(differs)[0])
        where = f"{name}[{', '.join(map(str, index))}]" if index else name
        line = f"{self.function}: {where} is {array[index]:.6g}, must be {right[index]:.6g}"
        details = [f"{int(differs.sum())} of {right.size} numbers of {name} differ, for {case}"] if index else []
        details += self.origin(case.arguments, name, index)
        if self.objective is not None and case.smooth:
            moved, f = self.objective(deepcopy(case.arguments), module)[at]
            direction = np.zeros_like(moved)
            direction[index] = 1
            details.append(
                f"finite differences agree with {slope(f, moved, direction):.6g}: moving that number by ±{STEP:g} "
                "changes the sum of grad_y * y at this rate"
                if "grad_y" in case.arguments
                else f"finite differences of the loss: {slope(f, moved, direction):.6g}"
            )
        return Wrong(line, hint, details)

    def _hint(self, at: int, seen: list[tuple[Case, tuple[Array, ...]]]) -> str:
        """Return the first mistake that gives output number `at` as the reader's function does, in all cases."""
        for hint, mistake in self.mistakes.items():
            try:
                if all(
                    same(_without_infinities(got[at]), _without_infinities(computed(mistake, case)[at]))
                    for case, got in seen
                ):
                    return hint
            except (ValueError, IndexError, ZeroDivisionError):  # it can't be made in one of these cases
                continue
        for other in range(len(self.outputs)):
            if all(same(got[at], computed(self.definition, case)[other]) for case, got in seen):
                return f"that is {self.outputs[other]}: the order is {', '.join(self.outputs)}"
        return ""

    def _compare_slopes(self, seen: list[tuple[Case, tuple[Array, ...]]], module: ModuleType) -> None:
        """Hold the gradients against finite differences along random directions."""
        assert self.objective is not None
        rng = np.random.default_rng(7)
        for case, got in ((case, got) for case, got in seen if case.smooth):
            for name, gradient, (moved, f) in zip(
                self.outputs, got, self.objective(deepcopy(case.arguments), module), strict=True
            ):
                direction = rng.standard_normal(moved.shape)
                found, terms = slope(f, moved, direction), gradient * direction
                if not abs(found - terms.sum()) <= 1e-5 * max(1.0, np.abs(terms).sum()):
                    raise Wrong(
                        f"{self.function}: along a random direction {name} says {terms.sum():.6g}, finite differences "
                        f"say {found:.6g}, for {case}"
                    )


def computed(function: Function, case: Case) -> tuple[Array, ...]:
    """Return what one of the checker's own functions gives for a case, as a tuple of arrays."""
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        result = function(*deepcopy(case.arguments).values())
    return tuple(np.asarray(array) for array in (result if isinstance(result, tuple) else (result,)))


def same(array: Array, other: Array) -> bool:
    """Whether two arrays have the same shape, and numbers that rounding alone can tell apart."""
    return array.shape == other.shape and not differing(array, other).any()


def _without_infinities(array: Array) -> Array:
    """Return an array with NaN for infinities: which of them an overflow ends in depends on how one writes it."""
    return np.where(np.isfinite(array), array, np.nan)


def differing(array: Array, right: Array) -> Array:
    """Return which numbers of two arrays of the same shape are different ones."""
    finite = np.abs(right[np.isfinite(right)])
    return ~np.isclose(array, right, rtol=0, atol=TOLERANCE * max(1.0, finite.max(initial=0)), equal_nan=True)


def slope(f: Callable[[Array], float], at: Array, direction: Array) -> float:
    """Return f's derivative along a direction, by central differences."""
    return float(f(at + STEP * direction) - f(at - STEP * direction)) / (2 * STEP)
