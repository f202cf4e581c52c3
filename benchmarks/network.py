"""How long do AlexNet's forward pass and training step take, on the CPU, beside torch?

Forward is in eval mode and keeps nothing for a backward. A training step is: forward with dropout, loss, backward, and
SGD with momentum and weight decay. The rivals start from the same weights and get the same images, as ordinary
(N, 3, 227, 227) arrays, and the same number of threads; before anything is timed, their losses and gradients, without
dropout, must agree.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from dataclasses import dataclass
from math import isclose, sqrt
from typing import Any

import numpy as np

import npalexnet as na
from benchmarks import harness
from benchmarks.torch_twin import torch_alexnet, torch_flags
from npalexnet.table import table

IMAGE_SIZE = 227
LEARNING_RATE, MOMENTUM, WEIGHT_DECAY = 1e-3, 0.9, 5e-4
AGREEMENT = 1e-4  # relative: rounding of float32 through eight layers is far below, another computation far above
FORWARD, STEP = "forward", "training step"


@dataclass
class Rival:
    """One implementation, ready to run.

    Attributes
    ----------
    name : str
        As in the table.
    threads : int
        As it reports them itself.
    forward, step : callable
        The two tasks.
    first_pass : callable
        Returns the loss and the norm of all parameters' gradients, without dropout.
    """

    name: str
    threads: int
    forward: Callable[[], object]
    step: Callable[[], object]
    first_pass: Callable[[], tuple[float, float]]


def run(arguments: argparse.Namespace, say: Callable[[str], None]) -> dict[str, Any]:
    """Answer the question.

    Parameters
    ----------
    arguments : argparse.Namespace
        ``batch_size``, ``rounds``, ``warmup``, ``threads``, ``classes``, ``dropout``.
    say : callable
        Receives lines on the progress.

    Returns
    -------
    dict
        What goes into the file; `show` makes a table of it.

    Raises
    ------
    RuntimeError
        If the rivals don't compute the same.
    """
    threads = arguments.threads or na.get_num_threads()
    found = harness.environment()
    rng = np.random.default_rng(0)
    images = rng.standard_normal((arguments.batch_size, 3, IMAGE_SIZE, IMAGE_SIZE), dtype="float32")
    labels = rng.integers(arguments.classes, size=arguments.batch_size)
    model = na.AlexNet(num_classes=arguments.classes, dropout=arguments.dropout, seed=0)
    state = model.state_dict()
    rivals = [_npalexnet(model, images, labels, threads)]
    try:
        import torch
    except ImportError:
        say("torch is not installed: npalexnet runs alone (pip install 'npalexnet[bench]')")
    else:
        rivals += [_torch(torch, state, images, labels, threads, arguments.dropout, last) for last in (False, True)]

    first_passes = {rival.name: rival.first_pass() for rival in rivals}
    _check_agreement(first_passes)
    timings: list[harness.Timing] = []
    for task, work in ((FORWARD, "forward"), (STEP, "step")):
        say(task)
        contenders = {rival.name: getattr(rival, work) for rival in rivals}
        seconds = harness.take_turns(contenders, arguments.rounds, arguments.warmup, say=say)
        timings += [harness.Timing(task, r.name, r.threads, arguments.batch_size, seconds[r.name]) for r in rivals]
    return {
        "question": "network",
        **found,
        "settings": {
            "batch_size": arguments.batch_size,
            "rounds": arguments.rounds,
            "warmup": arguments.warmup,
            "threads": threads,
            "classes": arguments.classes,
            "dropout": arguments.dropout,
            "dtype": "float32",
            "sgd": {"lr": LEARNING_RATE, "momentum": MOMENTUM, "weight_decay": WEIGHT_DECAY},
        },
        "torch_flags": torch_flags(),
        "first_pass_without_dropout": {
            name: {"loss": loss, "gradient_norm": norm} for name, (loss, norm) in first_passes.items()
        },
        "results": _with_ratios([timing.as_dict() for timing in timings]),
    }


def show(result: dict[str, Any]) -> str:
    """Return the table of what `run` found."""
    settings = result["settings"]
    rows: list[tuple[str, ...]] = [
        (
            found["task"],
            found["rival"],
            str(found["threads"]),
            f"{found['median']:.3f} s",
            f"{found['min']:.3f}..{found['max']:.3f}",
            f"{found['images_per_second']:.1f}",
            f"{found['time_over_npalexnet']:.2f}",
        )
        for found in result["results"]
    ]
    losses = ", ".join(f"{name} {first['loss']:.6f}" for name, first in result["first_pass_without_dropout"].items())
    norms = ", ".join(f"{first['gradient_norm']:.6f}" for first in result["first_pass_without_dropout"].values())
    header = ("task", "rival", "threads", "median", "min..max", "images/s", "time / npalexnet's")
    return "\n".join(
        [
            f"AlexNet, batch of {settings['batch_size']}, {settings['dtype']}, {settings['classes']} classes, dropout "
            f"{settings['dropout']} in the training step, {settings['rounds']} rounds after {settings['warmup']} "
            f"to warm up",
            harness.describe(result),
            *([f"torch: {result['torch_flags']}"] if result["torch_flags"] else []),
            f"same weights, first loss without dropout: {losses}; norm of its gradients: {norms}",
            "",
            table(header, rows, left=2),
        ]
    )


def _npalexnet(model: na.AlexNet, images: np.ndarray, labels: np.ndarray, threads: int) -> Rival:
    na.set_num_threads(threads)
    criterion = na.CrossEntropyLoss()
    optimizer = na.SGD(model.parameters(), LEARNING_RATE, momentum=MOMENTUM, weight_decay=WEIGHT_DECAY)

    def backward() -> float:
        optimizer.zero_grad()
        loss = criterion(model(images), labels)
        model.backward(criterion.backward(), input_gradient=False)  # nor does torch compute that of its inputs
        return float(loss)

    def forward() -> None:
        model.eval()(images)

    def step() -> None:
        model.train()
        backward()
        optimizer.step()

    def first_pass() -> tuple[float, float]:
        model.eval()
        loss = backward()
        norm = sqrt(sum(float((p.grad.astype("float64") ** 2).sum()) for p in model.parameters() if p.grad is not None))
        optimizer.zero_grad()
        return loss, norm

    return Rival("npalexnet", na.get_num_threads(), forward, step, first_pass)


def _torch(
    torch: Any,
    state: dict[str, np.ndarray],
    images: np.ndarray,
    labels: np.ndarray,
    threads: int,
    dropout: float,
    channels_last: bool,
) -> Rival:
    torch.set_num_threads(threads)
    layout = torch.channels_last if channels_last else torch.contiguous_format
    with torch.device("meta"):  # no weights of its own
        model = torch_alexnet(torch.nn, len(state["classifier.6.bias"]), dropout)
    # A copy: torch takes NumPy's memory over, and the optimizers of both would write into it.
    model.load_state_dict({name: torch.from_numpy(value.copy()) for name, value in state.items()}, assign=True)
    model.to(memory_format=layout).requires_grad_(True)
    inputs, targets = torch.from_numpy(images).contiguous(memory_format=layout), torch.from_numpy(labels)
    criterion = torch.nn.CrossEntropyLoss()
    optimizer = torch.optim.SGD(model.parameters(), LEARNING_RATE, momentum=MOMENTUM, weight_decay=WEIGHT_DECAY)

    def backward() -> float:
        optimizer.zero_grad()
        loss = criterion(model(inputs), targets)
        loss.backward()
        return float(loss.detach())

    def forward() -> None:
        model.eval()
        with torch.inference_mode():
            model(inputs)

    def step() -> None:
        model.train()
        backward()
        optimizer.step()

    def first_pass() -> tuple[float, float]:
        model.eval()
        loss = backward()
        norm = sqrt(sum(float((parameter.grad.double() ** 2).sum()) for parameter in model.parameters()))
        optimizer.zero_grad()
        return loss, norm

    name = "torch, channels_last" if channels_last else "torch"
    return Rival(name, torch.get_num_threads(), forward, step, first_pass)


def _check_agreement(first_passes: dict[str, tuple[float, float]]) -> None:
    ours, *theirs = first_passes.values()
    for name, other in zip(list(first_passes)[1:], theirs, strict=True):
        for what, mine, its in zip(("loss", "gradients' norm"), ours, other, strict=True):
            if not isclose(mine, its, rel_tol=AGREEMENT):
                raise RuntimeError(f"nothing was timed: npalexnet's first {what} is {mine}, that of {name} {its}")


def _with_ratios(results: list[dict[str, Any]]) -> list[dict[str, Any]]:
    ours = {found["task"]: found["median"] for found in results if found["rival"] == "npalexnet"}
    return [{**found, "time_over_npalexnet": found["median"] / ours[found["task"]]} for found in results]
