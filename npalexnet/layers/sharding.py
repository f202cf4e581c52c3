"""Splitting a batch into shards, and putting outputs and gradients together again: the only place that does it.

A layer that computes each image independently (``per_image``) is computed on shards of the batch, which the backend may
spread over threads. The shards' outputs are concatenated, their parameter gradients added in the order of the shards.
So the result depends on the shards, never on the number of threads. (`layer` is a `Layer`, typed Any because that
imports this module.)
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Hashable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, replace
from typing import Any, TypeVar

from npalexnet.backend import Array, device_of
from npalexnet.layers.parameter import Gradients

Result = TypeVar("Result")


@dataclass(frozen=True)
class Noise:
    """The randomness of one forward pass through one layer.

    Attributes
    ----------
    seed : int
        Drawn from the layer's generator for this pass.
    first_image : int
        Index in the batch of the first image at hand: an image's noise depends on its index, not on how the batch was
        split.
    """

    seed: int
    first_image: int = 0


def forward(layer: Any, x: Array, noise: Any) -> tuple[Array, list[tuple[slice, Any]]]:
    """Compute a layer on a batch; return the output, and each shard with what it saved for backward."""
    if not layer.per_image:
        y, kept = layer.compute(x, noise)
        return y, [(slice(None), kept)]

    shards = device_of(x).shards(len(x))
    with _one_pass(shards):
        results = device_of(x).map(lambda s: layer.compute(x[s], noise and _from_image(noise, s.start)), shards)
        parts, saved = zip(*results, strict=True)
    return _concatenate(parts), list(zip(shards, saved, strict=True))


def infer(layer: Any, x: Array, noise: Any) -> Array:
    """Compute a layer's output and save nothing."""
    if not layer.per_image:
        return layer.infer(x, noise)

    shards = device_of(x).shards(len(x))
    with _one_pass(shards):
        results = device_of(x).map(lambda s: layer.infer(x[s], noise and _from_image(noise, s.start)), shards)
        parts = list(results)
    return _concatenate(parts)


def backward(
    layer: Any, grad_y: Array, saved: list[tuple[slice, Any]], input_gradient: bool = True
) -> tuple[Array | None, Gradients]:
    """Return the gradients of the input and the parameters, from what `forward` returned.

    Without `input_gradient` the former is None, and a layer without trainable parameters is skipped.
    """
    if not input_gradient and not layer.trainable:
        return None, []

    def gradients_of(grad_y: Array, kept: Any) -> tuple[Array | None, Gradients]:
        if input_gradient:
            return layer.gradients(grad_y, kept)
        return None, layer.parameter_gradients(grad_y, kept)

    if not layer.per_image:
        return gradients_of(grad_y, saved[0][1])

    parts: list[Array] = []
    totals: Gradients = []
    for grad_x, gradients in device_of(grad_y).map(lambda s: gradients_of(grad_y[s[0]], s[1]), saved):
        parts.append(grad_x)
        if len(saved) == 1:
            totals = gradients
        elif not totals:
            totals = [(parameter, gradient.copy(order="K")) for parameter, gradient in gradients]
        else:
            for (_, total), (_, gradient) in zip(totals, gradients, strict=True):
                total += gradient
    return _concatenate(parts) if input_gradient else None, totals


class _Pass:
    """What the shards of one forward pass have in common."""

    def __init__(self, shards: Sequence[slice]) -> None:
        self.smallest = min(shard.stop - shard.start for shard in shards)
        self.lock = threading.Lock()
        self.values: dict[Hashable, Any] = {}


_pass: ContextVar[_Pass | None] = ContextVar("pass", default=None)


@contextmanager
def _one_pass(shards: Sequence[slice]) -> Iterator[None]:
    token = _pass.set(_Pass(shards))
    try:
        yield
    finally:
        _pass.reset(token)


def once_per_pass(key: Hashable, make: Callable[[], Result]) -> Result:
    """Return ``make()``, which is called by the first shard of a batch that gets here with an equal `key`.

    Outside of a pass it is called each time. It must not call this function itself.
    """
    here = _pass.get()
    if here is None:
        return make()
    with here.lock:
        if key not in here.values:
            here.values[key] = make()
        return here.values[key]


def images_of_smallest_shard(images: int) -> int:
    """Return how many images the smallest shard of the batch has; outside of a pass `images`."""
    here = _pass.get()
    return images if here is None else here.smallest


def _from_image(noise: Any, first: int) -> Any:
    """Return the noise, or the tuple of a container's layers' noise, for the images from `first` on."""
    if isinstance(noise, tuple):
        return tuple(_from_image(part, first) for part in noise)
    return noise if noise is None else replace(noise, first_image=noise.first_image + first)


def _concatenate(parts: Sequence[Array]) -> Array:
    """Concatenate along the batch, preserving the memory layout."""
    if len(parts) == 1:
        return parts[0]
    xp = device_of(parts[0]).xp
    whole = xp.empty_like(parts[0], shape=(sum(len(part) for part in parts), *parts[0].shape[1:]))
    start = 0
    for part in parts:
        whole[start : start + len(part)] = part
        start += len(part)
    return whole
