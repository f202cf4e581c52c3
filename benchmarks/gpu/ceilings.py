"""What the device can do at best, measured in the same run: copy memory, and multiply matrices."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np

from benchmarks import rounds
from benchmarks.attempts import Attempts
from benchmarks.precisions import Precision
from benchmarks.rivals.gemm_lower_bound import Product, products
from benchmarks.rivals.npalexnet_rival import NpalexnetRival
from benchmarks.rounds import Say

COPIED = {"cpu": 1 << 27}  # bytes that are read, and as many are written; by device, elsewhere:
COPIED_ELSEWHERE = 1 << 29
SQUARE = {"cpu": 2048}  # rows and columns of the large product
SQUARE_ELSEWHERE = 8192


def copy_bandwidth(ours: NpalexnetRival, arguments: argparse.Namespace, say: Say) -> dict[str, Any]:
    """Return how fast arrays are copied within the device's memory, in bytes a second: what is read, and written."""
    say("the bandwidth of a copy")
    size, xp = COPIED.get(ours.device.name, COPIED_ELSEWHERE), ours.device.xp
    source, target = xp.full(size // 4, 1.5, "float32"), xp.full(size // 4, 0.5, "float32")
    found = _time(ours, lambda: xp.copyto(target, source), arguments)
    return {"bytes": 2 * size, **found, "bytes_per_second": 2 * size / found["median"]}


def product_rates(
    rivals: Sequence[Any], precision: Precision, images: int, arguments: argparse.Namespace, attempts: Attempts
) -> list[dict[str, Any]]:
    """Return the rates of matrix products in one precision: a large square, and those of im2col for a batch.

    Each is computed by the device of npalexnet, the first rival, and by torch, where there is a second.
    """
    ours, rows = rivals[0], []
    side = SQUARE.get(ours.device.name, SQUARE_ELSEWHERE)
    square = Product(f"square of {side}", (side, side), (side, side), "", 2 * side**3)
    for product in (square, *products(ours.model, (images,))):
        attempts.say(f"{precision.name}, product: {product.name}")
        factors = [_numbers(shape) for shape in (product.left, product.right)]
        for rival in rivals:
            who = f"{rival.name}, product: {product.name}"
            run = attempts.attempt(who, precision.name, images, partial(_product, rival, product, factors))
            if run is None or not attempts.worked(who, precision.name, images, run):
                continue
            found = _time(rival, run, arguments)
            about = {"precision": precision.name, "batch": images, "product": product.name, "rival": rival.name}
            rate = {"flops": product.flops, "flops_per_second": product.flops / found["median"]}
            rows.append({**about, **found, **rate})
    return rows


def _time(rival: Any, run: Callable[[], object], arguments: argparse.Namespace) -> dict[str, Any]:
    measurements = {"alone": rival.clock.cold(run, lambda: None)}
    return rounds.summary(rounds.interleaved(measurements, arguments)["alone"])


def _product(rival: Any, product: Product, factors: Sequence[np.ndarray]) -> Callable[[], object]:
    return rival.product(*product.transpose(*map(rival.array, factors)))


def _numbers(shape: tuple[int, ...]) -> np.ndarray:
    """Return random numbers, the same million again and again: with zeros a GPU would be faster than with data."""
    return np.resize(np.random.default_rng(0).standard_normal(1 << 20, dtype="float32"), shape)
