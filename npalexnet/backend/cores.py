"""How many cores this process may use."""

from __future__ import annotations

import os
from collections.abc import Iterator
from math import ceil
from pathlib import Path, PurePosixPath

PROC = Path("/proc/self")


def usable_cores(proc: Path = PROC) -> int:
    """Return the number of cores that this process may use, at least 1.

    It is the smallest of: the machine's cores; those that it was given (``taskset``); in Python 3.13 and later,
    ``PYTHON_CPU_COUNT``; and, on Linux, the time that its control group may use of them, rounded up
    (``docker run --cpus``, Kubernetes' limits), below which more threads would only be made to wait for each other.

    Parameters
    ----------
    proc : Path
        What Linux says of this process.
    """
    if hasattr(os, "process_cpu_count"):  # from Python 3.13 on: what was given, or PYTHON_CPU_COUNT
        cores = os.process_cpu_count()
    else:
        cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return max(1, min([cores or 1, *map(ceil, _quotas(proc))]))


def _quotas(proc: Path) -> Iterator[float]:
    """Yield how many cores' time this process's control groups may use: its own, and all that it is inside of."""
    try:
        groups = [line.split(":", 2) for line in (proc / "cgroup").read_text().splitlines()]
        mounts = [line.split() for line in (proc / "mountinfo").read_text().splitlines()]
    except (OSError, ValueError):  # not on Linux
        return
    for _, controllers, group in (fields for fields in groups if len(fields) == 3):
        for mount in mounts:
            if _holds(mount, controllers.split(",")):
                root, top = mount[3], Path(mount[4].replace("\\040", " "))
                # Of a container's own view, the group may lie outside; then its limits are those of the mount itself.
                inside = group[len(root.rstrip("/")) :] if f"{group}/".startswith(f"{root.rstrip('/')}/") else ""
                folder = top / PurePosixPath(inside.lstrip("/"))
                while folder.is_relative_to(top):
                    yield from _quota_of(folder)
                    folder = folder.parent


def _holds(mount: list[str], controllers: list[str]) -> bool:
    """Whether a line of mountinfo is about the groups with these controllers: [""] are those of version 2."""
    if "-" not in mount[6:]:
        return False
    kind, _, options = mount[mount.index("-", 6) + 1 :][:3]
    if controllers == [""]:
        return kind == "cgroup2"
    return kind == "cgroup" and "cpu" in controllers and "cpu" in options.split(",")


def _quota_of(folder: Path) -> Iterator[float]:
    """Yield the quota of a group, in cores, if it has one: time in each period, divided by the period."""
    for names in (("cpu.max",), ("cpu.cfs_quota_us", "cpu.cfs_period_us")):  # version 2, version 1
        try:
            quota, period = " ".join((folder / name).read_text() for name in names).split()
            if quota not in ("max", "-1") and int(quota) > 0 and int(period) > 0:
                yield int(quota) / int(period)
        except (OSError, ValueError):  # no such file, or of another kind: no limit that could be understood
            continue
