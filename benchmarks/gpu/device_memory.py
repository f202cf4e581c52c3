"""What it takes to copy a batch to the GPU, and the peak memory of a step there."""

from __future__ import annotations

import argparse
import gc
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np

from benchmarks import rounds
from benchmarks.attempts import Attempts
from benchmarks.comparison import Batches, Rows
from benchmarks.precisions import Precision


def copies(rivals: Sequence[Any], batches: Batches, arguments: argparse.Namespace, say: rounds.Say) -> Rows:
    """Time the copy of each batch to the GPU, by the host's clock until it is there."""
    rows: Rows = []
    for images, batch in batches.items():
        say(f"copies to the GPU, batch of {images}")

        def copied(rival: Any, batch: Any = batch) -> Callable[[], object]:
            return lambda: (rival.upload(*batch), rival.synchronize())

        measurements = {rival.name: rounds.timed(copied(rival)) for rival in rivals}
        times = rounds.interleaved(measurements, rounds.replaced(arguments, pause=0.0), say)
        size = sum(array.nbytes for array in batch)
        for name, seconds in times.items():
            found = rounds.summary(seconds)
            about = {"batch": images, "rival": name, "bytes": size, "bytes_per_second": size / found["median"]}
            rows.append({**about, **found})
    return rows


def memory(
    makers: Sequence[Callable[[], Any]], precisions: Sequence[Precision], batches: Batches, attempts: Attempts
) -> Rows:
    """Return the peak device memory of a step, each rival alone."""
    rows: Rows = []
    for make in makers:
        rival = make()
        for precision in precisions:
            for images, batch in batches.items():
                attempts.say(f"memory of a step, {rival.name}, {precision.name}, batch of {images}")
                held = attempts.attempt(rival.name, precision.name, images, partial(_held, rival, precision, batch))
                if held:
                    rows.append({"rival": rival.name, "precision": precision.name, "batch": images, **held})
                rival.free()
        free = rival.free
        del rival
        gc.collect()
        free()
    return rows


def _held(rival: Any, precision: Precision, batch: tuple[np.ndarray, np.ndarray]) -> dict[str, int]:
    rival.use(precision)
    rival.take(*batch)
    return rival.peak_memory()
