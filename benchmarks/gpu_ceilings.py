"""What the device can do at best, measured in the same run: copy memory, and multiply matrices."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

from benchmarks import floor, turns
from benchmarks.attempts import Attempts
from benchmarks.gpu_npalexnet import PreciseNpalexnet
from benchmarks.gpu_rivals import Say
from benchmarks.precisions import Precision

COPIED = {"cpu": 1 << 27}  # bytes that are read, and as many are written; by device, elsewhere:
COPIED_ELSEWHERE = 1 << 29
SQUARE = {"cpu": 2048}  # rows and columns of the large product
SQUARE_ELSEWHERE = 8192


def copy_bandwidth(ours: PreciseNpalexnet, arguments: Any, say: Say) -> dict[str, Any]:
    """Return how fast arrays are copied within the device's memory, in bytes a second: what is read, and written."""
    say("the bandwidth of a copy")
    size = COPIED.get(ours.device.name, COPIED_ELSEWHERE)
    xp = ours.device.xp
    source, target = xp.full(size // 4, 1.5, "float32"), xp.full(size // 4, 0.5, "float32")
    contest = {"copy": ours.clock.cold_turn(lambda: xp.copyto(target, source), _nothing)}
    seconds = turns.take_turns(contest, arguments.rounds, arguments.warmup, arguments.pause)["copy"]
    found = turns.spread(seconds)
    return {"bytes": 2 * size, "seconds": seconds, **found, "bytes_per_second": 2 * size / found["median"]}


def product_rates(
    rivals: list[Any], precision: Precision, images: int, arguments: Any, attempts: Attempts
) -> list[dict[str, Any]]:
    """Return the rates of matrix products in one precision: a large square, and those of im2col for a batch.

    Each is computed by the device of npalexnet, the first rival, and by torch, where there is a second.
    """
    ours, rows = rivals[0], []
    side = SQUARE.get(ours.device.name, SQUARE_ELSEWHERE)
    square = floor.Product(f"square of {side}", (side, side), (side, side), "", 2 * side**3)
    for product in (square, *floor.products(ours.model, (images,))):
        attempts.say(f"{precision.name}, product: {product.name}")
        factors = [_numbers(shape) for shape in (product.left, product.right)]
        for rival in rivals:
            make = _our_product if rival is ours else _torch_product
            who = f"{rival.name}, product: {product.name}"
            run = attempts.attempt(who, precision.name, images, partial(make, rival, product, factors))
            if run is None or not attempts.worked(who, precision.name, images, run):
                continue
            contest = {rival.name: rival.clock.cold_turn(run, _nothing)}
            seconds = turns.take_turns(contest, arguments.rounds, arguments.warmup, arguments.pause)[rival.name]
            found = turns.spread(seconds)
            about = {"precision": precision.name, "batch": images, "product": product.name, "rival": rival.name}
            rate = {"flops": product.flops, "flops_per_second": product.flops / found["median"]}
            rows.append({**about, "seconds": seconds, **found, **rate})
    return rows


def _our_product(ours: PreciseNpalexnet, product: floor.Product, factors: list[np.ndarray]) -> Callable[[], object]:
    device = ours.device
    there = [device.from_host(factor).astype(ours.dtype, copy=False) for factor in factors]
    a, b = _turned(product, *there)
    out = device.xp.zeros((a.shape[0], b.shape[1]), ours.dtype)
    return lambda: device.matmul(a, b, out=out)


def _torch_product(theirs: Any, product: floor.Product, factors: list[np.ndarray]) -> Callable[[], object]:
    import torch

    a, b = _turned(product, *(torch.from_numpy(factor).to(theirs.device).to(theirs.dtype) for factor in factors))
    out = torch.zeros((a.shape[0], b.shape[1]), dtype=theirs.dtype, device=theirs.device)
    return lambda: torch.matmul(a, b, out=out)


def _turned(product: floor.Product, a: Any, b: Any) -> tuple[Any, Any]:
    return (a.T if product.transposed == "left" else a), (b.T if product.transposed == "right" else b)


def _numbers(shape: tuple[int, ...]) -> np.ndarray:
    """Return random numbers, the same million again and again: with zeros a GPU would be faster than with data."""
    return np.resize(np.random.default_rng(0).standard_normal(1 << 20, dtype="float32"), shape)


def _nothing() -> None:
    """Prepare nothing."""
