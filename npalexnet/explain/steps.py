"""The layers of a network as the page shows them, and which channels of what is between them it needs for that."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np

from npalexnet.explain.convolution import describe_convolution
from npalexnet.explain.linear import describe_dropout, describe_linear
from npalexnet.explain.normalization import describe_normalization
from npalexnet.explain.passes import Pass
from npalexnet.explain.pooling import describe_average_pool, describe_max_pool
from npalexnet.layers.activation import Flatten, ReLU
from npalexnet.layers.average_pooling import AdaptiveAvgPool2d
from npalexnet.layers.conv import Conv2d
from npalexnet.layers.dropout import Dropout
from npalexnet.layers.linear import Linear
from npalexnet.layers.normalization import ResponseNorm
from npalexnet.layers.pooling import MaxPool2d

OUTPUTS = 6  # units that are shown of a hidden linear layer
LOGITS = 10  # classes that are shown
WORDS = {"normalization": "normalisation", "relu": "ReLU", "linear": "linear layer", "max pooling": "pooling"}

Needed = dict[int, bool]


def describe_steps(
    found: Sequence[Pass], label: int, dropout: float | None, count: int
) -> tuple[list[dict[str, Any]], list[Needed]]:
    """Return what the page needs to know of each layer, and of which channels it needs the numbers.

    Parameters
    ----------
    found : sequence of Pass
        L layers.
    label : int
        The class of the gradients: its logit is always among those that are shown.
    dropout : float, optional
        The probability that a number is dropped, if the layers don't know it.
    count : int
        How many output channels are shown of each convolution.

    Returns
    -------
    steps : list of dict
        Ready for JSON: "kind", "title", "name", "channels" (those that can be chosen), and what the kind needs.
    needed : list of dict of bool
        Of each of the L + 1 arrays before, between and behind the layers: the channels, and whether their gradients are
        needed, too; empty for a vector, of which all is needed.
    """
    steps: list[dict[str, Any]] = []
    needed: list[Needed] = [{} for _ in range(len(found) + 1)]
    needed[0] = dict.fromkeys(range(len(found[0].x)), True)
    channels: list[int] = []
    numbers: Counter[str] = Counter()
    for i, step in enumerate(found):
        if isinstance(step.layer, Conv2d):
            channels = strongest(step.y.max(axis=(1, 2)), count)
        elif step.x.ndim == 1:
            last = i + 1 == len(found)
            channels = strongest(step.y, LOGITS if last else OUTPUTS)
            channels += [label] * (last and label not in channels)
        description, inputs = describe(step, channels, dropout)
        numbers[description["kind"]] += 1
        word = WORDS.get(description["kind"], description["kind"])
        title = word if word == "flatten" else f"{word} {numbers[description['kind']]}"
        steps.append({"title": title, "name": step.name, "channels": channels, **description})
        if step.x.ndim == 3:
            needed[i] |= dict.fromkeys([c for c in inputs if c not in needed[i]], False)
            needed[i] |= dict.fromkeys(inputs if isinstance(step.layer, Conv2d) else channels, True)
        if step.y.ndim == 3:
            needed[i + 1] |= dict.fromkeys(channels, True)
    return steps, needed


def describe(step: Pass, channels: list[int], dropout: float | None) -> tuple[dict[str, Any], set[int]]:
    """Return what the page needs to know of a layer, and of its input's channels; a TypeError for an unknown kind."""
    match step.layer:
        case Conv2d():
            return describe_convolution(step, channels)
        case ResponseNorm():
            return describe_normalization(step, channels)
        case MaxPool2d():
            return describe_max_pool(step, channels), set(channels)
        case AdaptiveAvgPool2d():
            return describe_average_pool(step), set(channels)
        case Linear():
            return describe_linear(step, channels), set()
        case Dropout():
            return describe_dropout(step, step.layer.p if dropout is None else dropout), set()
        case ReLU():
            return {"kind": "relu"}, set(channels)
        case Flatten():
            return {"kind": "flatten"}, set(channels)
    raise TypeError(f"the page can't show a layer of the kind {type(step.layer).__name__} ({step.name})")


def strongest(values: np.ndarray, count: int) -> list[int]:
    """Return where the `count` largest of the values, (N,), are, the largest first."""
    return np.argsort(-values, kind="stable")[:count].tolist()
