"""AlexNet as a whole in several libraries: first results must agree, then the tasks are timed in interleaved rounds."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np

from benchmarks import rounds
from benchmarks.attempts import Attempts
from benchmarks.clocks import Timing
from benchmarks.precisions import FP32, Precision
from benchmarks.rivals import gemm_lower_bound
from benchmarks.rivals.gemm_lower_bound import DIRECT, WINOGRAD, GemmLowerBound, forward_flops, step_flops
from benchmarks.rivals.rival import TASKS, first_results, flags_of

Rows = list[dict[str, Any]]
Batches = Mapping[int, tuple[np.ndarray, np.ndarray]]
FLOPS = {"forward": forward_flops, "step": step_flops}


class Comparison:
    """Measures rivals at several batch sizes, after a check that their first results agree.

    `arguments` have ``rounds``, ``warmup`` and ``pause``; `model` is the one whose operations are counted; `tasks` are
    "forward", "step" or both.

    Attributes
    ----------
    rows : list of dict
        The times.
    first : dict
        By batch size and rival, the norms of the first results.
    differences : dict
        By precision and by what was compared, the largest difference from the reference, relative to its norm.
    """

    def __init__(
        self, arguments: argparse.Namespace, model: Any, say: rounds.Say, tasks: Sequence[str] = TASKS
    ) -> None:
        self.arguments, self.model, self.say, self.tasks = arguments, model, say, tasks
        self.rows: Rows = []
        self.first: dict[int, dict[str, dict[str, float]]] = {}
        self.differences: dict[str, dict[str, float]] = {}
        self._reference: dict[int, Mapping[str, Any]] = {}  # by batch size: what its first rival computed first

    def measure(
        self,
        rivals: Sequence[Any],
        batches: Batches,
        lower_bound: Callable[[], GemmLowerBound] | None = None,
        precision: Precision = FP32,
        on_gpu: Attempts | None = None,
    ) -> list[str]:
        """Compare the rivals, and both floors, at each batch size; returns the flags of each library on a GPU.

        There, whatever fails or disagrees is left out; on the CPU it ends the run.
        """
        attempts = on_gpu or Attempts(self.say, strict=True)

        def able(rivals: Iterable[Any], images: int | None, what: Callable[[Any], object]) -> list[Any]:
            found = []
            for rival in rivals:
                if attempts.worked(rival.name, precision.name, images, partial(what, rival)):
                    found.append(rival)
                else:
                    rival.free()  # memory may be what it lacked
            return found

        ready = able(rivals, None, lambda rival: rival.use(precision)) if on_gpu else rivals
        flags = flags_of(ready) if on_gpu else []
        agreeing: dict[int, list[Any]] = {}
        for images, batch in batches.items():  # all before any is timed: training steps change the weights
            self.say(f"{precision.name}, first pass, batch of {images}")
            there = able(ready, images, partial(_take, batch))
            agreeing[images] = able(there, images, partial(self.agree, images, precision=precision))
        lowest = lower_bound() if lower_bound else None
        for images, batch in batches.items():
            there = able(agreeing[images], images, partial(_take, batch))
            for task in self.tasks:
                doing = [rival for rival in there if task in rival.tasks]
                if on_gpu:
                    doing = able(doing, images, partial(_once, task))
                if doing:
                    self.rows += self.time(images, task, doing, lowest, precision, "GPU" if on_gpu else "CPU")
        return flags

    def agree(self, images: int, rival: Any, precision: Precision = FP32) -> None:
        """Refuse a rival that computes something else than the first one of this batch size."""
        found = first_results(rival, [task for task in self.tasks if task in rival.tasks])
        reference = self._reference.get(images, found)
        worst, tolerance = self.differences.setdefault(precision.name, {}), precision.tolerance
        for what, value in found.items():
            difference = rounds.check_agreement(rival.name, f"the first {what}", reference[what], value, tolerance)
            worst[what] = max(worst.get(what, 0.0), difference)
        self.first.setdefault(images, {})[rival.name] = {what: float(np.linalg.norm(v)) for what, v in found.items()}
        self._reference[images] = reference

    def time(
        self,
        images: int,
        task: str,
        rivals: Sequence[Any],
        lowest: GemmLowerBound | None = None,
        precision: Precision = FP32,
        place: str = "CPU",
    ) -> Rows:
        """Return the times of a task, of each rival that has its batch."""
        self.say(f"{place}, {precision.name}, {task}, batch of {images}")
        flops = FLOPS[task](self.model, images)
        measurements = {rival.name: rival.clock.warm(rival.runner(task)) for rival in rivals}
        threads = {rival.name: rival.threads for rival in rivals}
        if lowest:
            lowest.fastest.clear()
            measurements[DIRECT] = lambda: Timing(lowest.seconds(flops))
            threads[DIRECT] = lowest.threads
        arguments = self.arguments if place == "CPU" else rounds.replaced(self.arguments, pause=0.0)
        show = lambda timing: f"{1e3 * timing.seconds:.3f} ms"  # noqa: E731
        rows = []
        for name, timings in rounds.interleaved(measurements, arguments, self.say, show).items():
            found = rounds.summary([timing.seconds for timing in timings])
            row = {"place": place, "precision": precision.name, "batch": images, "task": task, "rival": name}
            row["label"] = lowest.label if lowest and name == DIRECT else name
            row |= {"threads": threads[name], "flops": flops, **found}
            row["until_done"] = rounds.spread([timing.host for timing in timings])["median"]
            row["gflops_per_second"] = flops / found["median"] / 1e9
            rows.append(row)
        return [*rows, *([self._winograd_floor(rows[-1])] if lowest else [])]

    def _winograd_floor(self, direct: Mapping[str, Any]) -> dict[str, Any]:
        """Return the row of the same rounds and rates as the direct floor's, with fewer operations."""
        flops = gemm_lower_bound.winograd_flops(self.model, direct["batch"], direct["task"])
        found = rounds.summary([seconds * flops / direct["flops"] for seconds in direct["seconds"]])
        about = {"rival": WINOGRAD, "label": f"{WINOGRAD}: fewer multiply-adds at that rate", "flops": flops}
        return {**direct, **about, **found, "until_done": found["median"]}


def _take(batch: tuple[np.ndarray, np.ndarray], rival: Any) -> None:
    rival.take(*batch)


def _once(task: str, rival: Any) -> None:
    """Do a task once, and wait for it."""
    rival.runner(task)()
    rival.synchronize()
