"""How pictures are prepared, in words: for people who use a network elsewhere."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any


def in_words(pipeline: Sequence[Mapping[str, Any]] | None) -> str:
    """Return what `Pipeline.to_json` describes as a sentence; "" for None."""
    if not pipeline:
        return ""
    on_pictures = [step for step in pipeline if step["name"] == "MiddleSquare"]
    steps = [_words(step) for step in on_pictures]
    steps.append("RGB from 0 to 1, (N, 3, H, W)")
    steps += [_words(step) for step in pipeline if step not in on_pictures]
    return "; then ".join(steps)


def _words(step: Mapping[str, Any]) -> str:
    match step["name"]:
        case "MiddleSquare":
            size = step["size"]
            return f"the middle square, scaled to {size} x {size} pixels (bilinear, antialiased)"
        case "CentreCrop":
            return f"the middle {step['size']} x {step['size']} pixels"
        case "TenCrop":
            return f"{step['size']} x {step['size']} pixels at the corners and in the middle, and their mirror images"
        case "Normalize":
            return f"minus {list(step['mean'])}, divided by {list(step['std'])} (red, green, blue)"
        case "SubtractMeanImage":
            return "minus the mean image (in the description, as float32 in base64)"
    return json.dumps(step)
