"""How far are AlexNet's logits and gradients in float32 from those in float64, by algorithm, and torch's beside them?

For each of several random batches: the network's logits, and the gradients of all parameters as one vector, without
dropout. The reference is npalexnet in float64 with im2col; the error is ``|actual - expected| / |expected|`` in the
Euclidean norm. A batch in which two numbers of a pooling window, or a ReLU's input and 0, are closer than float32 can
tell has a far larger error of the gradients, with any algorithm: hence the median, and the largest beside it.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from functools import partial
from statistics import median
from typing import Any

import numpy as np

import npalexnet as na
from benchmarks import charts
from benchmarks.rivals import torch_network
from benchmarks.rivals.rival import OURS
from benchmarks.rounds import Say
from benchmarks.workload import IMAGE_SIZE
from npalexnet.terminal import table

BATCH_SIZES, ROUNDS = [1], 10  # a round is a batch
TITLE = "AlexNet in float32 against float64"
ALGORITHMS = {OURS: "auto", f"{OURS}, im2col": "im2col", f"{OURS}, Winograd": "winograd"}
KINDS = ("logits", "gradients")
Vectors = tuple[np.ndarray, np.ndarray]  # logits, gradients


def run(arguments: argparse.Namespace, say: Say) -> dict[str, Any]:
    na.set_num_threads(arguments.threads)
    network = na.AlexNet(arguments.classes, dropout=0, init="torch")
    rivals: dict[str, Callable[[np.ndarray, np.ndarray], Vectors]] = {
        name: partial(ours, network, algorithm) for name, algorithm in ALGORITHMS.items()
    }
    try:
        rivals["torch"] = _torch(network, arguments)
    except ImportError:
        say("torch is not installed: left out")
    exact = na.AlexNet(arguments.classes, dropout=0, init="torch", dtype="float64")
    for there, here in zip(exact.parameters(), network.parameters(), strict=True):
        there.data[...] = here.data
    rows = []
    for images in arguments.batch_sizes:
        errors: dict[tuple[str, str], list[float]] = {(name, kind): [] for name in rivals for kind in KINDS}
        for seed in range(arguments.rounds):
            say(f"batch {seed + 1} of {arguments.rounds}, {images} images")
            rng = np.random.default_rng(seed)
            x = rng.standard_normal((images, 3, IMAGE_SIZE, IMAGE_SIZE), dtype="float32")
            labels = rng.integers(arguments.classes, size=images)
            expected = ours(exact, "im2col", x.astype("float64"), labels)
            for name, compute in rivals.items():
                found = compute(x, labels)
                for i, kind in enumerate(KINDS):
                    error = np.linalg.norm(found[i] - expected[i]) / np.linalg.norm(expected[i])
                    errors[name, kind].append(float(error))
        for (name, kind), each in errors.items():
            which = {"batch": images, "rival": name, "task": kind}
            rows.append({**which, "median": median(each), "min": min(each), "max": max(each), "errors": each})
    return {"results": rows}


def ours(network: na.AlexNet, algorithm: str, x: np.ndarray, labels: np.ndarray) -> Vectors:
    """Return the logits and the gradients of `network`."""
    criterion = na.CrossEntropyLoss()
    with na.convolution_algorithm(algorithm):
        logits = network(x)
        criterion(logits, labels)
        network.backward(criterion.backward(), input_gradient=False)
    gradients: list[np.ndarray] = []
    for parameter in network.parameters():
        gradients.append(np.asarray(parameter.grad).ravel())
        parameter.grad = None
    return logits, np.concatenate(gradients)


def _torch(network: na.AlexNet, arguments: argparse.Namespace) -> Any:
    import torch

    torch.set_num_threads(arguments.threads)
    twin = torch_network.torch_alexnet(torch.nn, arguments.classes, 0)
    twin.load_state_dict({name: torch.from_numpy(value) for name, value in network.state_dict().items()})

    def compute(x: np.ndarray, labels: np.ndarray) -> Vectors:
        twin.zero_grad()
        logits = twin(torch.from_numpy(x))
        torch.nn.functional.cross_entropy(logits, torch.from_numpy(labels)).backward()
        return logits.detach().numpy(), np.concatenate([p.grad.numpy().ravel() for p in twin.parameters()])

    return compute


def show(result: dict[str, Any]) -> str:
    header = ("batch", "of the", "rival", "median error", "min..max")
    rows = [
        (str(row["batch"]), row["task"], row["rival"], f"{row['median']:.1e}", f"{row['min']:.1e}..{row['max']:.1e}")
        for row in result["results"]
    ]
    return "\n" + table(header, rows, left=3)


def chart(result: dict[str, Any]) -> charts.Figure:
    figure, panels = charts.panel_each(TITLE, result, 1.8, "relative error in the norm, in millionths (less is better)")
    for axes, rows in panels:
        charts.bars(axes, {row["rival"]: [charts.bar({**row, "max": row["median"]}, OURS, scale=1e6)] for row in rows})
    return figure
