"""Calls of the reader's functions, and what is said of them when they fail."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from copy import deepcopy
from types import ModuleType
from typing import Any

import numpy as np

Array = np.ndarray
Arguments = dict[str, Any]
Function = Callable[..., Any]


class Wrong(Exception):
    """What is wrong with the reader's code: one line, a hint or "", and further lines that show it."""

    def __init__(self, message: str, hint: str = "", details: Sequence[str] = ()) -> None:
        super().__init__(message)
        self.message, self.hint, self.details = message, hint, list(details)


class Raised(Exception):
    """An exception that the reader's function raised."""

    def __init__(self, error: BaseException, case: str) -> None:
        super().__init__(str(error))
        self.error, self.case, self.hint = error, case, ""


def function_of(module: ModuleType, name: str) -> Function:
    """Return the reader's function, or raise a `Wrong`: it is missing, or someone else's."""
    file = f"{module.__name__}.py"
    function = getattr(module, name, None)
    if not callable(function):
        raise Wrong(f"{file} has no function {name}")
    owner = str(getattr(function, "__module__", "")).partition(".")[0]
    if owner in ("npalexnet", "torch", "numpy", "scipy"):
        raise Wrong(f"{name} in {file} is {owner}'s own function: the exercise is to write it")
    return function


def call(function: Function, arguments: Arguments, *, may_change: bool = False) -> Any:
    """Call a function of the reader's with copies; a `Wrong` if it writes to them, `Raised` for what it raises."""
    # `saved` is what the reader's forward pass returned: closures, maybe, that a copy would tear apart.
    given = {name: value if name == "saved" else deepcopy(value) for name, value in arguments.items()}
    try:
        with warnings.catch_warnings(), np.errstate(all="ignore"):
            warnings.simplefilter("ignore")
            result = function(*given.values())
    except (Exception, SystemExit) as error:
        raise Raised(error, described(arguments)) from error
    for name, value in arguments.items():
        if isinstance(value, np.ndarray) and not may_change and not np.array_equal(value, given[name], equal_nan=True):
            message = f"{getattr(function, '__name__', 'the function')} changed {name}, which belongs to the caller"
            raise Wrong(message, f"work on a copy: {name} = {name}.copy()")
    return result


def described(arguments: Arguments) -> str:
    """Return the arguments of a call on one line: shapes of arrays, values of numbers."""
    return ", ".join(
        f"{name} {value.shape if isinstance(value, np.ndarray) else value}"
        for name, value in arguments.items()
        if name != "saved" and not isinstance(value, np.random.Generator | dict)
    )
