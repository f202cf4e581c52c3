"""The lines of ``metrics.jsonl``: what figures, and a run that goes on, need of them."""

from __future__ import annotations

from typing import Any

from npalexnet.fields import Float, Int, Kind, Nullable, Record, parse_json

_NUMBER = Nullable(Float(-1e100, 1e100))  # null: it was not finite
_FRACTION = Nullable(Float(0, 1))
_PLACE = {"step": Int(), "images": Int()}
_STEP = Record(
    {**_PLACE, "loss": _NUMBER, "accuracy": _FRACTION},
    optional={"lr": _NUMBER, "grad_norm": _NUMBER, "seconds": _NUMBER}, others=Kind(),
)  # fmt: skip
_VALIDATION = Record(
    {**_PLACE, "test_loss": _NUMBER, "test_accuracy": _FRACTION},
    optional={"epoch": _NUMBER, "test_top5": _FRACTION}, others=Kind(),
)  # fmt: skip
_OTHER = Record({"step": Int()}, others=Kind())  # of a user's own


def parse_record(line: bytes) -> dict[str, Any]:
    """Return a line's numbers: of a training step, of a validation, or others; a `FieldError` if it is damaged."""
    record = _OTHER.check(parse_json(line))
    if {"loss", "accuracy"} & set(record):
        record = _STEP.check(record)
    if {"test_loss", "test_accuracy"} & set(record):
        record = _VALIDATION.check(record)
    return record
