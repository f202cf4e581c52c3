"""AlexNet as a whole: who takes part, and a task at several batch sizes. `step` and `forward` are made of this."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from benchmarks import charts, floor, machine, turns
from benchmarks.npalexnet_rival import NpalexnetRival
from benchmarks.torch_twin import torch_flags
from benchmarks.workload import Rival, Trainer, random_batch, settings
from npalexnet.terminal import table

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from benchmarks.torch_rival import TorchRival

OURS = NpalexnetRival.name
Say = Callable[[str], None]


def trainers(arguments: argparse.Namespace, say: Say) -> tuple[NpalexnetRival, list[TorchRival]]:
    """Return npalexnet, and torch in both layouts where it is installed, all with the same weights."""
    ours = NpalexnetRival(arguments.threads, arguments.classes, arguments.dropout)
    try:
        from benchmarks.torch_rival import TorchRival
    except ImportError:
        say("torch is not installed: npalexnet runs without it (pip install 'npalexnet[bench]')")
        return ours, []
    state = ours.model.state_dict()
    rest = (arguments.threads, arguments.classes, arguments.dropout)
    return ours, [TorchRival(*rest, channels_last=last, state=state) for last in (False, True)]


def onnx_runtime(ours: NpalexnetRival, say: Say) -> list[Rival]:
    """Return ONNX Runtime where it is installed, with npalexnet's weights and threads."""
    try:
        from benchmarks.onnx_rival import OnnxRival
    except ImportError:
        say("onnx or onnxruntime is not installed: ONNX Runtime is left out (pip install 'npalexnet[bench]')")
        return []
    return [OnnxRival(ours.threads, ours.model)]


def first_training_pass(rival: Trainer) -> dict[str, Any]:
    """What the rivals must agree on before their training steps are timed."""
    loss, norm = rival.first_pass()
    return {"loss": loss, "norm of the gradients": norm}


def first_logits(rival: Rival) -> dict[str, Any]:
    """What they must agree on before their forward passes are timed."""
    return {"logits": rival.logits()}


def agree(rivals: list[Any], first: Callable[[Any], Mapping[str, Any]]) -> dict[str, dict[str, float]]:
    """Return what each computed first, arrays as their norm, and refuse rivals that compute something else."""
    found = {rival.name: first(rival) for rival in rivals}
    for name, values in found.items():
        for what, value in values.items():
            turns.check_agreement(name, f"the first {what}", found[OURS][what], value)
    return {name: {what: float(np.linalg.norm(v)) for what, v in values.items()} for name, values in found.items()}


def answer(
    question: str,
    rivals: list[Any],
    first: Callable[[Any], Mapping[str, Any]],
    flops: Callable[[int], int],
    arguments: argparse.Namespace,
    say: Say,
) -> dict[str, Any]:
    """Time a task of all rivals, and the floor, at every batch size.

    Parameters
    ----------
    question : str
        Also the name of the rivals' method that is timed.
    rivals : list of Rival
        npalexnet is the first.
    first : callable
        Maps a rival to what it computes first, which must agree.
    flops : callable
        Maps the number of images to the operations in the task's matrix products.
    arguments : argparse.Namespace
        ``batch_sizes``, ``rounds``, ``warmup``, ``threads``, ``classes``, ``dropout``.
    say : callable
        Receives lines on the progress.
    """
    found = machine.environment()
    batches = {images: random_batch(images, arguments.classes) for images in arguments.batch_sizes}
    firsts = {}
    for images, batch in batches.items():  # all before any is timed: training steps change the weights
        say(f"first pass, batch of {images}")
        for rival in rivals:
            rival.take(*batch)
        firsts[images] = agree(rivals, first)
    say("looking for the fastest sgemm")
    lowest = floor.Floor(arguments.threads, floor.products(rivals[0].model))
    rows: list[dict[str, Any]] = []
    for images, batch in batches.items():
        say(f"{question}, batch of {images}")
        for rival in rivals:
            rival.take(*batch)
        lowest.winners.clear()
        contest = {rival.name: turns.timed(getattr(rival, question)) for rival in rivals}
        contest[floor.NAME] = lowest.turn(flops(images))
        seconds = turns.take_turns(contest, arguments.rounds, arguments.warmup, arguments.pause, say)
        threads = {rival.name: rival.threads for rival in rivals} | {floor.NAME: lowest.threads}
        for name, times in seconds.items():
            label = lowest.label if name == floor.NAME else name
            row = {"batch": images, "rival": name, "label": label, "threads": threads[name], "flops": flops(images)}
            rows.append({**row, "seconds": times, **turns.spread(times)})
    return {
        "question": question,
        **found,
        "settings": settings(arguments),
        "torch_flags": torch_flags(),
        "first": firsts,
        "results": with_ratios(rows),
    }


def with_ratios(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Add what follows from the medians: rates, and the ratios to the floor's and npalexnet's of the same batch."""
    medians = {(row["batch"], row["rival"]): row["median"] for row in rows}
    return [
        {
            **row,
            "images_per_second": row["batch"] / row["median"],
            "gflops_per_second": row["flops"] / row["median"] / 1e9,
            "time_over_floor": row["median"] / medians[row["batch"], floor.NAME],
            "time_over_npalexnet": row["median"] / medians[row["batch"], OURS],
        }
        for row in rows
    ]


def show(what: str, result: dict[str, Any]) -> str:
    """Return the table, below all that a reader needs to know."""
    header = (
        *("rival", "batch", "threads", "median ms", "min..max", "images/s", "GFLOP/s"),
        *("time / floor", "time / npalexnet's"),
    )
    rows = [
        (
            *(row["label"], str(row["batch"]), str(row["threads"]), f"{1e3 * row['median']:.1f}"),
            f"{1e3 * row['min']:.1f}..{1e3 * row['max']:.1f}",
            *(f"{row['images_per_second']:.1f}", f"{row['gflops_per_second']:.1f}"),
            *(f"{row['time_over_floor']:.2f}", f"{row['time_over_npalexnet']:.2f}"),
        )
        for row in result["results"]
    ]
    return "\n".join([preamble(what, result), *agreement_lines(result["first"]), "", table(header, rows)])


def preamble(what: str, result: dict[str, Any]) -> str:
    """Return what was measured, on which machine, with which settings."""
    given = result["settings"]
    return "\n".join(
        [
            f"{what}, {given['dtype']}, {given['classes']} classes, dropout {given['dropout']} in training, "
            f"{given['rounds']} rounds after {given['warmup']} to warm up",
            machine.describe(result),
            *([f"torch: {result['torch_flags']}"] if result.get("torch_flags") else []),
        ]
    )


def agreement_lines(firsts: Mapping[int, Mapping[str, Mapping[str, float]]]) -> list[str]:
    """Return a line on each batch size and each of what the rivals computed first."""
    return [
        f"same weights, batch of {images}, first {what}: "
        + ", ".join(f"{name} {values[what]:.6f}" for name, values in found.items())
        for images, found in firsts.items()
        for what in found[OURS]
    ]


def chart(what: str, result: dict[str, Any]) -> Figure:
    """Draw a panel of bars for each batch size, with the floor as a line through it."""
    by_batch = charts.by_batch(result["results"])
    figure, panels = charts.sheet(what, result, rows=len(by_batch), columns=1, height=2.2)
    for axes, (images, rows) in zip(panels[:, 0], by_batch.items(), strict=True):
        charts.bars(
            axes,
            [charts.Bar(row["rival"], *(1e3 * row[key] for key in ("median", "min", "max"))) for row in rows],
            [f"{charts.short(1e3 * row['median'])} ms  ({row['time_over_floor']:.2f} x floor)" for row in rows],
        )
        axes.axvline(1e3 * rows[-1]["median"], color=charts.COLOURS[floor.NAME], linestyle="--", zorder=0)
        axes.set_title(f"batch of {images}", loc="left", size=10)
    panels[-1, 0].set_xlabel(
        "milliseconds, median and min..max (less is better); floor: the best sgemm rate, nothing else"
    )
    return figure
