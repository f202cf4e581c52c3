"""What ``npalexnet train`` prints before and after training."""

from __future__ import annotations

import argparse
import shlex
from typing import Any

from npalexnet import backend
from npalexnet.data import Data
from npalexnet.terminal import shown
from npalexnet.training.run import Run
from npalexnet.training.trainer import Trainer

KEPT_FILES = 5  # times the parameters' size is what stays: 2 checkpoints, 1 file of weights


def announce(options: argparse.Namespace, data: Data, trainer: Trainer, output: Run) -> None:
    """Print which data and which steps, and where the run goes."""
    state = trainer.state
    for line in filter(None, [data.found, *data.notes]):
        print(shown(line))
    counts = f"{len(data.train):,} training and {len(data.validation):,} validation images"
    print(f"{shown(data.name)}: {counts} of {len(data.classes)} classes")
    device, threads = backend.get_device(options.device), backend.get_num_threads()
    place = f"{threads} CPU thread{'s' * (threads > 1)}" if device is backend.CPU else device.name
    steps = f"{state.steps} step{'s' * (state.steps != 1)}, {trainer.steps_per_epoch} an epoch"
    print(f"{steps}, on {place} in {options.precision}; the run is {shown(str(output.folder))}/")
    if not state.step:
        size = sum(parameter.data.nbytes for parameter in trainer.model.parameters()) / 1e9
        alone = "at the end the weights alone stay" if options.keep == "weights" else "--keep weights keeps them alone"
        print(
            f"It takes {KEPT_FILES * size:.2f} GB of disk: two checkpoints to resume from, and the weights "
            f"({alone}, {size:.2f} GB)."
        )
    if state.finished and state.step < state.steps:
        print(f"It is complete: its patience ended after step {state.step}.")
    elif state.finished:
        print(f"It is complete: all of its {state.step} steps were taken.")
    elif state.step:
        print(f"It goes on after step {state.step}.")
    elif options.resume is not None:
        print("It begins again: it was stopped before its first checkpoint.")


def conclude(trainer: Trainer, output: Run, seconds: float) -> None:
    """Print what was written, and which weights are kept; `seconds` is how long training took."""
    folder = shlex.quote(shown(str(output.folder)))
    if not trainer.state.finished:
        print(f"Stopped after step {trainer.state.step} of {trainer.state.steps}; what was learned is kept.")
        print(f"Go on: npalexnet train --resume {folder}")
    waited = trainer.train.waited
    print(f"The steps waited {waited:.1f} s for images, {100 * waited / max(seconds, 1e-9):.1f} % of the time.")
    written = ("weights.safetensors", "last.safetensors", "metrics.jsonl", "curves.png", "filters.png", "confusion.png")
    there = ", ".join(name for name in written if (output.folder / name).exists())
    print(f"Wrote {there} to {shown(str(output.folder))}/")
    if output.has_weights():
        print(_which_weights(output, trainer.state.step))
        print(f"Use it: npalexnet predict {folder} IMAGE...")
        print(f"Look inside: npalexnet look {folder}")
        print(f"Number by number: npalexnet explain {folder}")


def _which_weights(output: Run, step: int) -> str:
    """Return a line that says which weights were kept, and why."""
    validations = [record for record in output.records if record.get("test_accuracy") is not None]
    if not validations:
        return f"The weights are those after step {step}: there was no validation to choose by."

    def result(record: dict[str, Any]) -> str:
        return f"accuracy {100 * record['test_accuracy']:.1f} %, loss {record['test_loss']:.3f}"

    best = min(validations, key=lambda record: (1 - record["test_accuracy"], record["test_loss"]))
    line = f"The weights are those of epoch {best['epoch']:.4g}, step {best['step']} of {step} ({result(best)})"
    if len(validations) == 1:
        return f"{line}: there was one validation."
    last = "" if best is validations[-1] else f"; the last one had {result(validations[-1])}"
    return f"{line}: the best of {len(validations)} validations by accuracy, then by loss{last}."
