"""Contests of the question `gpu`: agreement first, then turns on the clock; who fails is left out, with the reason."""

from __future__ import annotations

import argparse
import gc
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np

from benchmarks import floor, gpu_rivals, network, turns
from benchmarks.attempts import Attempts
from benchmarks.clocks import Clock, HostClock, Timing
from benchmarks.gpu_rivals import TASKS, Say, tasks_of
from benchmarks.precisions import FP32, Precision
from benchmarks.workload import random_batch

Rows = list[dict[str, Any]]
Batches = Mapping[int, tuple[np.ndarray, np.ndarray]]


class Contests:
    """What all contests of a run have in common.

    Parameters
    ----------
    arguments : argparse.Namespace
        ``rounds``, ``warmup``, ``pause``.
    model : AlexNet
        Whose operations are counted.
    say : callable
        Receives lines on the progress.
    attempts : Attempts
        For the rivals on the GPU.

    Attributes
    ----------
    rows : list of dict
        The times.
    differences : dict
        By precision and by what was compared, the largest difference from the reference, relative to its norm.
    """

    def __init__(self, arguments: argparse.Namespace, model: Any, say: Say, attempts: Attempts) -> None:
        self.arguments, self.model, self.say, self.attempts = arguments, model, say, attempts
        self.rows: Rows = []
        self.differences: dict[str, dict[str, float]] = {}
        self._reference: dict[int, dict[str, Any]] = {}  # by batch size: what its first rival computed first

    def on_cpu(self, rivals: Sequence[Any], batches: Batches) -> None:
        """Hold a contest for each batch size and task; a rival that fails ends the run."""
        for images, batch in batches.items():  # all before any is timed: training steps change the weights
            self.say(f"first pass, batch of {images}")
            for rival in rivals:
                rival.take(*batch)
                self._agree(rival, FP32, images)
        for images, batch in batches.items():
            for rival in rivals:
                rival.take(*batch)
            for task in TASKS:
                runs = {rival.name: (HostClock(), getattr(rival, task)) for rival in rivals}
                self._race("CPU", FP32, images, task, runs, self.arguments.pause)

    def on_gpu(self, rivals: Sequence[Any], precision: Precision, batches: Batches) -> list[str]:
        """Hold a contest for each batch size and task; returns the flags of each library."""

        def fit(rivals: Iterable[Any], images: int | None, what: Callable[[Any], object]) -> list[Any]:
            found = []
            for rival in rivals:
                if self.attempts.worked(rival.name, precision.name, images, lambda rival=rival: what(rival)):  # type: ignore[misc]
                    found.append(rival)
                else:
                    rival.free()  # memory may be what it lacked
            return found

        able = fit(rivals, None, lambda rival: rival.use(precision))
        flags = gpu_rivals.flags_of(able)
        agreeing: dict[int, list[Any]] = {}
        for images, batch in batches.items():
            self.say(f"{precision.name}, first pass, batch of {images}")
            there = fit(able, images, partial(_take, batch))
            agreeing[images] = fit(there, images, partial(self._agree, precision=precision, images=images))
        for images, batch in batches.items():
            ready = fit(agreeing[images], images, partial(_take, batch))
            for task in TASKS:
                doing = fit([r for r in ready if task in tasks_of(r)], images, partial(_once, task))
                runs = {rival.name: (rival.clock, rival.runner(task)) for rival in doing}
                if runs:
                    self._race("GPU", precision, images, task, runs, pause=0.0)
        return flags

    def _race(
        self,
        place: str,
        precision: Precision,
        images: int,
        task: str,
        runs: Mapping[str, tuple[Clock, Callable[[], object]]],
        pause: float,
    ) -> None:
        self.say(f"{place}, {precision.name}, {task}, batch of {images}")
        contest = {name: clock.turn(run) for name, (clock, run) in runs.items()}
        timings = turns.take_turns(
            contest,
            self.arguments.rounds,
            self.arguments.warmup,
            pause,
            self.say,
            lambda t: f"{1e3 * t.seconds:.3f} ms",
        )
        flops = {"forward": floor.forward_flops, "step": floor.step_flops}[task](self.model, images)
        about = {"place": place, "precision": precision.name, "batch": images, "task": task}
        self.rows += [_row({**about, "rival": name}, found, flops) for name, found in timings.items()]

    def _agree(self, rival: Any, precision: Precision, images: int) -> None:
        """Refuse a rival that computes something else than the first one of this batch size."""
        found = network.first_logits(rival)
        if "step" in tasks_of(rival):
            found |= network.first_training_pass(rival)
        reference = self._reference.get(images, found)
        worst = self.differences.setdefault(precision.name, {})
        for what, value in found.items():
            tolerance = precision.tolerance
            difference = turns.check_agreement(rival.name, f"the first {what}", reference[what], value, tolerance)
            worst[what] = max(worst.get(what, 0.0), difference)
        self._reference[images] = reference


def _take(batch: tuple[np.ndarray, np.ndarray], rival: Any) -> None:
    rival.take(*batch)


def _once(task: str, rival: Any) -> None:
    """Do a task once, and wait for it."""
    rival.runner(task)()
    rival.synchronize()


def _row(about: dict[str, Any], timings: Sequence[Timing], flops: int) -> dict[str, Any]:
    seconds = [timing.seconds for timing in timings]
    host = turns.spread([timing.host for timing in timings])["median"]
    found = turns.spread(seconds)
    rates = {"flops": flops, "gflops_per_second": flops / found["median"] / 1e9}
    return {**about, "seconds": seconds, **found, "until_done": host, **rates}


def copies(rivals: Iterable[Any], batches: Batches, arguments: argparse.Namespace, say: Say) -> Rows:
    """Time the copy of each batch to the GPU, by the host's clock until it is there."""
    rows: Rows = []
    for images, batch in batches.items():
        say(f"copies to the GPU, batch of {images}")

        def copied(rival: Any, batch: Any = batch) -> Callable[[], object]:
            return lambda: (rival.upload(*batch), rival.synchronize())

        contest = {rival.name: turns.timed(copied(rival)) for rival in rivals}
        times = turns.take_turns(contest, arguments.rounds, arguments.warmup, 0.0, say)
        size = sum(array.nbytes for array in batch)
        for name, seconds in times.items():
            found = turns.spread(seconds)
            about = {"batch": images, "rival": name, "bytes": size, "bytes_per_second": size / found["median"]}
            rows.append({**about, "seconds": seconds, **found})
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


def for_the_cpu(batch_sizes: Sequence[int], largest: int) -> list[int]:
    """Return the batch sizes for the CPU: those up to `largest`, or the smallest."""
    return [images for images in batch_sizes if images <= largest] or [min(batch_sizes)]


def batches_of(sizes: Sequence[int], classes: int) -> dict[int, tuple[np.ndarray, np.ndarray]]:
    """Return a batch of each size."""
    return {images: random_batch(images, classes) for images in sizes}
