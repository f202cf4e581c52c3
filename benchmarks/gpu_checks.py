"""Everything that the first minutes on a machine with a GPU should do: `python -m benchmarks.gpu_checks`.

Each check is a command of its own, with eight minutes at the most. What it prints goes to the terminal and, with its
exit status, to a small file; one that fails does not stop the others.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path

from benchmarks.precisions import PRECISIONS
from npalexnet.files import atomic_write

LIMIT = 480.0  # seconds
OFF = {"NPALEXNET_CUDA_KERNELS": "0"}
NETWORK = ("-m", "benchmarks", "gpu")
OUTPUT = ("--output", "{name}")
TRAINING = ("-m", "npalexnet", "train", "--device", "cuda", "--train-images", "480", "--validation-images", "160")


@dataclass(frozen=True)
class Check:
    """A command of Python. In its arguments, ``{name}`` is where results may be written."""

    name: str  # part of the file's name
    arguments: tuple[str, ...]
    variables: Mapping[str, str] = field(default_factory=dict)  # added to the environment

    def command(self, name: Path) -> list[str]:
        """Return the arguments with the name of the results in them."""
        return [argument.format(name=name) for argument in self.arguments]

    def line(self, name: Path) -> str:
        """Return the command as one would type it."""
        settings = [f"{variable}={value}" for variable, value in self.variables.items()]
        return " ".join([*settings, "python", *self.command(name)])


CHECKS = (
    Check("info", ("-m", "npalexnet", "info")),
    Check("tests", ("-m", "pytest", "-q", "-m", "gpu")),
    Check("gradcheck", ("-m", "npalexnet", "gradcheck", "--device", "cuda")),
    Check("network", (*NETWORK, *OUTPUT)),
    *(
        Check(f"layers-{name}", ("-m", "benchmarks", "gpu-layers", "--precisions", name, *OUTPUT))
        for name in PRECISIONS
    ),
    Check("no-kernels", (*NETWORK, "--precisions", "fp32", "--batch-sizes", "1", "128", *OUTPUT), OFF),
    Check("training", TRAINING),
    Check("training-no-kernels", TRAINING, OFF),
    Check("training-bf16", (*TRAINING, "--precision", "bfloat16")),
    Check("training-fp16", (*TRAINING, "--precision", "float16")),
)


def main(argv: Sequence[str] | None = None) -> int:
    """Run all checks; returns how many failed."""
    parser = argparse.ArgumentParser("python -m benchmarks.gpu_checks", description="Run the checks that need a GPU.")
    folder = Path(__file__).parent / "results"
    parser.add_argument(
        "--output", type=Path, default=folder, metavar="FOLDER", help="where the files go (default: %(default)s)"
    )
    output = parser.parse_args(argv).output
    if not output.is_dir():
        parser.error(f"--output must be a folder that exists, got {output}")
    failed = 0
    for check in CHECKS:
        name = output / f"{date.today()}-gpu-{check.name}"
        print(f"== {check.line(name)}", flush=True)
        status, printed = run(check, name)
        failed += status != "exit status 0"
        print(f"{printed.rstrip()}\n== {check.name}: {status}\n", flush=True)
    print(f"{failed} of {len(CHECKS)} failed")
    return failed


def run(check: Check, name: Path) -> tuple[str, str]:
    """Return how a check ended and what it printed; both are in ``NAME.txt``, too."""
    try:
        done = subprocess.run(
            [sys.executable, *check.command(name)],
            env={**os.environ, **check.variables},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=LIMIT,
            check=False,
        )
        status, printed = f"exit status {done.returncode}", done.stdout
    except subprocess.TimeoutExpired as error:
        status, printed = f"stopped after {LIMIT:.0f} s", error.stdout or b""
    text = printed.decode(errors="replace")
    with atomic_write(name.with_name(f"{name.name}.txt")) as path:
        path.write_text(f"{check.line(name)}\n\n{text.rstrip()}\n\n{status}\n", encoding="utf-8")
    return status, text


if __name__ == "__main__":
    sys.exit(main())
