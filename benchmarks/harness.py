"""What every benchmark needs: taking turns on the clock, naming the machine, writing the file."""

from __future__ import annotations

import json
import os
import platform
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from statistics import median, quantiles
from typing import Any

import numpy as np
from threadpoolctl import threadpool_info

from npalexnet.files import written_whole

PAUSE = 0.25  # seconds before each measurement: OpenMP's idle threads keep a core busy for a while after their work


@dataclass(frozen=True)
class Timing:
    """The times that one rival took for one task.

    Attributes
    ----------
    task, rival : str
        What was done, and by whom.
    threads : int
        How many threads the rival was allowed.
    images : int
        How many images each run works on.
    seconds : list of float
        Of each run, in the order of the rounds.
    """

    task: str
    rival: str
    threads: int
    images: int
    seconds: list[float]

    @property
    def median(self) -> float:
        """Median of the times."""
        return median(self.seconds)

    def as_dict(self) -> dict[str, Any]:
        """What goes into the file: the times themselves, and what the table shows of them."""
        low, _, high = quantiles(self.seconds, n=4) if len(self.seconds) > 1 else self.seconds * 3
        return {
            "task": self.task,
            "rival": self.rival,
            "threads": self.threads,
            "images": self.images,
            "seconds": self.seconds,
            "median": self.median,
            "quartiles": [low, high],
            "min": min(self.seconds),
            "max": max(self.seconds),
            "images_per_second": self.images / self.median,
        }


def take_turns(
    rivals: Mapping[str, Callable[[], object]],
    rounds: int,
    warmup: int,
    pause: float = PAUSE,
    say: Callable[[str], None] = lambda line: None,
) -> dict[str, list[float]]:
    """Time each rival once a round, so that whatever else the machine does meanwhile meets all of them alike.

    Parameters
    ----------
    rivals : mapping of str to callable
        What to time. A call must return when the work is done: on a GPU, it synchronises.
    rounds, warmup : int
        How often each is timed, and how often each runs before that without being timed.
    pause : float
        Seconds of rest before each run.
    say : callable
        Receives a line on each round.

    Returns
    -------
    dict of str to list of float
        Seconds of each rival's runs.
    """
    seconds: dict[str, list[float]] = {name: [] for name in rivals}
    order = list(rivals)
    for number in range(-warmup, rounds):
        for name in order:
            time.sleep(pause)
            start = time.perf_counter()
            rivals[name]()
            elapsed = time.perf_counter() - start
            if number >= 0:
                seconds[name].append(elapsed)
        times = ", ".join(f"{name}: {seconds[name][-1]:.3f} s" for name in rivals if seconds[name])
        say(f"  round {number + 1} of {rounds}: {times}" if number >= 0 else "  warm-up")
        order = order[1:] + order[:1]  # nobody always comes first
    return seconds


def environment() -> dict[str, Any]:
    """Machine and versions."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    blas = [library for library in threadpool_info() if library["user_api"] == "blas"]
    return {
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "machine": {
            "cpu": _cpu_model(),
            "cores": cores,
            "system": f"{platform.system()} {platform.machine()}",
            "load_average_at_start": os.getloadavg()[0] if hasattr(os, "getloadavg") else None,
        },
        "versions": {
            "npalexnet": _version("npalexnet"),
            "python": platform.python_version(),
            "numpy": np.__version__,
            "numpy_blas": [f"{lib['internal_api']} {lib['version']} ({lib.get('architecture')})" for lib in blas],
            "torch": _version("torch"),
        },
    }


def describe(found: Mapping[str, Any]) -> str:
    """`environment`, to be read."""
    machine, versions = found["machine"], found["versions"]
    load = machine["load_average_at_start"]
    return "\n".join(
        [
            f"{found['date']}, {machine['cpu']}, {machine['cores']} cores, {machine['system']}"
            + (f", load average {load:.1f} at the start" if load is not None else ""),
            f"npalexnet {versions['npalexnet']}, Python {versions['python']}, NumPy {versions['numpy']} with "
            f"{', '.join(versions['numpy_blas'])}, torch {versions['torch'] or 'not installed'}",
        ]
    )


def check_writable(path: Path) -> None:
    """Refuse a file that could not be written in the end, before any time is spent."""
    if path.is_dir() or not os.access(path.parent, os.W_OK):
        raise OSError(f"can't write {path}: it is a folder, or in one that is not there or not writable")


def write_json(path: Path, result: Mapping[str, Any]) -> None:
    """Write the file whole or not at all."""
    with written_whole(path) as temporary:
        temporary.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")


def _cpu_model() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        lines = []
    models = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return models[0] if models else platform.processor() or "unknown CPU"


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None
