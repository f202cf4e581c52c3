"""What a file must hold: its fields, their types and their ranges, checked before anything uses them.

A description is put together of kinds::

    config = read_json(path, Record({"seed": Int(), "data": Nullable(Text())}, optional={"name": Text()}))

``kind.check(value, name)`` returns the value, or raises a `FieldError`: the field, what is there, what would be right.
"""

from __future__ import annotations

import json
import os
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from difflib import get_close_matches
from math import inf, isfinite
from typing import Any

from npalexnet.files import open_regular

LARGEST = 2**63 - 1  # of the whole numbers in files and options
MOST_BYTES = 10_000_000  # of a file of JSON, unless its reader expects more


class FieldError(ValueError):
    """A field of a file is missing, unknown, or not what it must be."""


class Kind:
    """What a value must be; this one takes anything."""

    def check(self, value: Any, name: str = "") -> Any:
        """Return the value, with all that is in it checked, or raise a `FieldError` that calls it `name`."""
        if not self._fits(value):
            raise FieldError(f"{name or 'its content'} must be {self._expects()}, got {found(value)}")
        return self._checked(value, name)

    def _fits(self, value: Any) -> bool:
        return True

    def _expects(self) -> str:
        return "anything"

    def _checked(self, value: Any, name: str) -> Any:
        return value  # after what is in it was checked


@dataclass(frozen=True)
class Int(Kind):
    """A whole number in a range; neither a bool nor 3.0."""

    minimum: int = 0
    maximum: int = LARGEST

    def _fits(self, value: Any) -> bool:
        return isinstance(value, int) and not isinstance(value, bool) and self.minimum <= value <= self.maximum

    def _expects(self) -> str:
        to = f"from {self.minimum:,} to {self.maximum:,}"
        return f"a whole number {to if self.maximum < LARGEST else f'of at least {self.minimum:,}'}"


@dataclass(frozen=True)
class Float(Kind):
    """A finite number in a range, of which the lower end may be left out."""

    minimum: float = -inf
    maximum: float = inf
    above: bool = False

    def _fits(self, value: Any) -> bool:
        if isinstance(value, bool) or not isinstance(value, int | float) or not -1e308 < value < 1e308:
            return False  # a whole number may be beyond all floats
        return (value > self.minimum if self.above else value >= self.minimum) and value <= self.maximum

    def _expects(self) -> str:
        bounds = [f"{'above' if self.above else 'at least'} {self.minimum:g}"] * isfinite(self.minimum)
        bounds += [f"at most {self.maximum:g}"] * isfinite(self.maximum)
        return "a finite number" + (f", {' and '.join(bounds)}" if bounds else "")

    def _checked(self, value: Any, name: str) -> float:
        return float(value)


@dataclass(frozen=True)
class Bool(Kind):
    """True or false."""

    def _fits(self, value: Any) -> bool:
        return isinstance(value, bool)

    def _expects(self) -> str:
        return "true or false"


@dataclass(frozen=True)
class Text(Kind):
    """Text of a bounded length, without NUL; bytes of file names that are no UTF-8 may be in it (see PEP 383)."""

    most: int = 4096

    def _fits(self, value: Any) -> bool:
        fits = isinstance(value, str) and len(value) <= self.most
        return fits and not re.search("[\0\ud800-\udc7f\udd00-\udfff]", value)

    def _expects(self) -> str:
        return f"text of at most {self.most:,} characters"


@dataclass(frozen=True)
class Choice(Kind):
    """One of some texts."""

    names: Sequence[str]

    def _fits(self, value: Any) -> bool:
        return isinstance(value, str) and value in self.names

    def _expects(self) -> str:
        return f"one of {', '.join(map(json.dumps, self.names))}"


@dataclass(frozen=True)
class Nullable(Kind):
    """Another kind, or null."""

    kind: Kind

    def _fits(self, value: Any) -> bool:
        return value is None or self.kind._fits(value)

    def _expects(self) -> str:
        return f"{self.kind._expects()}, or null"

    def _checked(self, value: Any, name: str) -> Any:
        return None if value is None else self.kind._checked(value, name)


@dataclass(frozen=True)
class List(Kind):
    """A list of a bounded length, all of one kind."""

    kind: Kind
    least: int = 0
    most: int = 1_000_000

    def _fits(self, value: Any) -> bool:
        return isinstance(value, list) and self.least <= len(value) <= self.most

    def _expects(self) -> str:
        return f"a list of {self.least:,}" + (f" to {self.most:,}" if self.most > self.least else "")

    def _checked(self, value: Any, name: str) -> list[Any]:
        return [self.kind.check(item, f"{name}[{i}]") for i, item in enumerate(value)]


@dataclass(frozen=True)
class Record(Kind):
    """An object with certain fields; others are refused, unless there is a kind for them."""

    required: Mapping[str, Kind]
    optional: Mapping[str, Kind] = field(default_factory=dict)
    others: Kind | None = None

    def _fits(self, value: Any) -> bool:
        return isinstance(value, dict)

    def _expects(self) -> str:
        return "an object"

    def _checked(self, value: Any, name: str) -> dict[str, Any]:
        where, prefix = (name, f"{name}.") if name else ("it", "")
        known = {**self.required, **self.optional}
        unknown = [key for key in value if key not in known]
        for key in self.required:
            if key not in value:
                near = get_close_matches(key, unknown, 1)
                raise FieldError(f"{where} lacks {key}" + (f", but has {found(near[0])}" if near else ""))
        if unknown and self.others is None:
            near = get_close_matches(unknown[0], known, 1)
            hint = f"did you mean {near[0]}?" if near else f"there are {', '.join(known)}"
            raise FieldError(f"{where} has an unknown field {found(unknown[0])}: {hint}")
        others = self.others or Kind()
        return {
            key: known[key].check(item, prefix + key) if key in known else others.check(item, prefix + found(key))
            for key, item in value.items()
        }


def table(kind: Kind) -> Record:
    """Return the kind of an object with any fields, all of one kind."""
    return Record({}, others=kind)


def found(value: Any) -> str:
    """Return a value of a file as JSON in a few words, with no character that a terminal would take as a command."""
    if isinstance(value, list | dict) and len(value) > 8:
        return f"{'a list' if isinstance(value, list) else 'an object'} of {len(value):,}"
    try:
        text = json.dumps(value[:80] if isinstance(value, str) else value)
    except RecursionError:
        return "something nested too deeply"
    return text if len(text) <= 80 else f"{text[:76]} ..."


def parse_json(content: bytes) -> Any:
    """Return what JSON says; a `FieldError` if it is none."""
    try:
        return json.loads(content.decode("utf-8-sig"), object_pairs_hook=_unique)
    except FieldError:
        raise
    except RecursionError:
        what = "it is nested too deeply"
    except UnicodeDecodeError:
        what = "it is not even text in UTF-8"
    except json.JSONDecodeError as error:
        what = str(error)
    except ValueError:  # Python's limit
        what = "a number in it has too many digits"
    raise FieldError(f"it is no JSON that can be read: {what}")


def read_json(path: str | os.PathLike[str], kind: Kind, most_bytes: int = MOST_BYTES) -> Any:
    """Return the checked content of a file of JSON.

    Raises
    ------
    OSError
        If it can't be read.
    ValueError
        If it is no regular file, or not what it must be; the message names the file and the field.
    """
    with open_regular(path) as file:
        content = file.read(most_bytes + 1)
    try:
        if len(content) > most_bytes:
            raise FieldError(f"it has more than {most_bytes:,} bytes")
        return kind.check(parse_json(content))
    except FieldError as error:
        raise ValueError(f"{os.fspath(path)} is damaged: {error}") from None


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    content = dict(pairs)
    if len(content) < len(pairs):
        raise FieldError(f"it has the field {found(Counter(key for key, _ in pairs).most_common(1)[0][0])} twice")
    return content
