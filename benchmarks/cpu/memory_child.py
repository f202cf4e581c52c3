"""One rival trains for a few steps in a process of its own, which then reports how much memory it took.

`python -m benchmarks.cpu.memory_child '{"rival": "torch", ...}'` prints a line of JSON. It imports that rival's
library, and none of the others.
"""

from __future__ import annotations

import importlib
import json
import resource
import sys
from pathlib import Path
from typing import Any

from benchmarks.workload import random_batch

MODULES = {"npalexnet": "npalexnet_rival", "torch": "torch_rival", "torch.compile": "compiled_rival"}
LIBRARIES = ("npalexnet", "torch", "onnxruntime", "matplotlib")


def measure(rival: str, threads: int, classes: int, dropout: float, images: int, steps: int) -> dict[str, Any]:
    """Train, and return the bytes of memory with the imports, with the model, and at the peak."""
    library, _, variant = rival.partition(", ")
    imported = importlib.import_module(f"benchmarks.rivals.{MODULES[library]}")
    imports = resident()
    if library == "npalexnet":
        trainer: Any = imported.NpalexnetRival(threads, classes, dropout, algorithm=variant or None)
    elif library == "torch.compile":
        trainer = imported.CompiledRival(threads, classes, dropout)
    else:
        trainer = imported.TorchRival(threads, classes, dropout, channels_last=variant == "channels_last")
    model = resident()
    trainer.take(*random_batch(images, classes))
    step = trainer.runner("step")
    for _ in range(steps):
        step()
    libraries = [name for name in LIBRARIES if name in sys.modules]
    return {"imports": imports, "model": model, "peak": peak(), "threads": trainer.threads, "libraries": libraries}


def peak() -> int:
    """Return the most bytes of memory that this process has had.

    On Linux this is not getrusage's `ru_maxrss`, which a process inherits from the one that started it.
    """
    return _kernel_says("VmHWM") or resource.getrusage(resource.RUSAGE_SELF).ru_maxrss  # macOS: in bytes


def resident() -> int:
    """Return the bytes of memory that this process has now, or the most where nothing else is known."""
    return _kernel_says("VmRSS") or peak()


def _kernel_says(field: str) -> int | None:
    try:
        lines = Path("/proc/self/status").read_text(encoding="utf-8").splitlines()
    except OSError:
        return None
    return next((1024 * int(line.split()[1]) for line in lines if line.startswith(f"{field}:")), None)


if __name__ == "__main__":
    print(json.dumps(measure(**json.loads(sys.argv[1]))))
