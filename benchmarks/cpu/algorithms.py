"""When is Winograd's convolution faster than im2col, and does npalexnet's "auto" choose the faster one?

Convolutions alone, as in a network's pass over a batch: a few shards, each on one thread with a single-threaded BLAS,
with the transformed weights made once for all shards. `--batch-sizes` are the images in a shard.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import product
from math import exp, log
from statistics import mean
from typing import Any
from unittest.mock import patch

import numpy as np

import npalexnet as na
from benchmarks import charts, rounds
from benchmarks.rounds import Say
from npalexnet.backend import device_of
from npalexnet.layers import algorithm_choice
from npalexnet.layers.algorithm_choice import IM2COL, WINOGRAD, choose_algorithm
from npalexnet.layers.im2col_gemm import ConvolutionAlgorithm
from npalexnet.terminal import table
from npalexnet.windows import Windows

BATCH_SIZES, ROUNDS = [1, 2, 4, 8, 16], 3  # of the former: images in a shard
TITLE = "Convolutions, im2col against Winograd's algorithm"
KERNELS, SIZES, CHANNELS = (3, 5), (6, 13, 27, 56, 112), (16, 32, 64, 128, 256)
RARE_KERNELS, RARE_SIZES, RARE_CHANNELS = (2, 4), (13, 27), (32, 64, 128)  # fewer cases of these
SHARDS = 4  # as many as npalexnet makes of a small batch: the weights are transformed once for all of them
MOST = 1_500_000_000  # multiply-adds of a pass over all shards: what takes more is left out
AT_LEAST = 0.008  # seconds: what takes less is run several times in a measurement
SAME = 1.05  # times that differ by less count as equal
TASKS = {"forward": "forward", "training": "forward and backward"}
TRIED = {  # other values of the rule's constants
    "LEAST_KERNEL": (2, 3),
    "LEAST_CHANNELS": (16, 32, 64, 128),
    "LEAST_WINDOWS": (0, 150, 300, 600, 1200),
    "LEAST_SIZE": (0, 8, 16),
    "MOST_SIZE": (32, 64, 1 << 30),
}


@dataclass(frozen=True)
class Case:
    """A convolution with as many output as input channels, padded to the size of its input."""

    kernel: int
    size: int  # of the images and of the output, along both axes
    channels: int
    images: int  # of a shard

    @property
    def multiply_adds(self) -> int:
        """Of a forward pass over all shards, by the definition."""
        return SHARDS * self.images * self.size**2 * self.channels**2 * self.kernel**2

    def windows(self) -> Windows:
        """Return the windows over an image."""
        layer = na.Conv2d(1, 1, self.kernel, padding="same", seed=0)
        return layer.geometry.windows("Conv2d", (self.images, 1, self.size, self.size))

    def chosen(self) -> str:
        """Return "winograd" or "im2col": what "auto" chooses."""
        zero = np.float32(0)
        x = np.broadcast_to(zero, (self.images, self.size, self.size, self.channels))
        weight = np.broadcast_to(zero, (self.kernel, self.kernel, self.channels, self.channels))
        with na.convolution_algorithm("auto"):
            return "winograd" if choose_algorithm(None, x, weight, self.windows()) is WINOGRAD else "im2col"


def run(arguments: argparse.Namespace, say: Say) -> dict[str, Any]:
    na.set_num_threads(arguments.threads)
    arguments = rounds.replaced(arguments, pause=0.0)  # nobody else's threads are there to be waited for
    rows = []
    for case in cases(arguments.batch_sizes):
        passes = _passes(case, dict(_ALGORITHMS))
        measurements = {key: rounds.timed(run, at_least=AT_LEAST) for key, run in passes.items()}
        times = rounds.interleaved(measurements, arguments)
        for task in TASKS:
            row = {**vars(case), "windows": case.images * case.size**2, "task": task, "chosen": case.chosen()}
            row |= {name: rounds.summary(times[name, task]) for name, _ in _ALGORITHMS}
            row["im2col_over_winograd"] = row["im2col"]["median"] / row["winograd"]["median"]
            rows.append(row)
        ratios = ", ".join(f"{row['task']} {row['im2col_over_winograd']:.2f}" for row in rows[-len(TASKS) :])
        say(f"{case}: im2col / Winograd: {ratios}, auto: {rows[-1]['chosen']}")
    return {"rules": rules(rows), "results": rows}


_ALGORITHMS: tuple[tuple[str, ConvolutionAlgorithm], ...] = (("im2col", IM2COL), ("winograd", WINOGRAD))


def cases(images: Sequence[int]) -> Iterator[Case]:
    """Yield all cases that are not too large."""
    shapes = [*product(KERNELS, SIZES, CHANNELS), *product(RARE_KERNELS, RARE_SIZES, RARE_CHANNELS)]
    for shape, count in product(shapes, images):
        if (case := Case(*shape, count)).multiply_adds <= MOST:
            yield case


def _passes(case: Case, algorithms: Mapping[str, ConvolutionAlgorithm]) -> dict[tuple[str, str], Callable[[], None]]:
    """Return, by algorithm and task, what goes through all shards; each shard has images of its own."""
    rng = np.random.default_rng(0)
    shape = (SHARDS, case.images, case.size, case.size, case.channels)
    x, grad_y = (rng.standard_normal(shape, dtype="float32") for _ in range(2))
    weight = rng.standard_normal((case.kernel, case.kernel, case.channels, case.channels), dtype="float32")
    bias, windows = np.zeros(case.channels, "float32"), case.windows()
    groups = [(slice(0, case.channels), slice(0, case.channels))]

    def shard(computing: ConvolutionAlgorithm, number: int) -> None:
        computing.output(x[number], weight, bias, windows, groups)

    def shard_back(computing: ConvolutionAlgorithm, number: int) -> None:
        computing.gradients(grad_y[number], x[number], weight, windows, groups)

    def run(algorithm: ConvolutionAlgorithm, task: str) -> None:
        computing = algorithm.for_pass()
        for what in (shard, shard_back) if task == "training" else (shard,):
            for _ in device_of(x).map(partial(what, computing), range(SHARDS)):
                pass

    return {(name, task): partial(run, algorithm, task) for name, algorithm in algorithms.items() for task in TASKS}


# --- the rule: what it costs where it chooses the slower one ----------------------------------------------------------


def rules(rows: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Return how good the rule is, with its constants and with others, beside no rule at all."""
    found = [_quality("auto", rows, lambda row: row["chosen"])]
    found += [_quality(f"always {name}", rows, partial(_always, name)) for name, _ in _ALGORITHMS]
    for name, values in TRIED.items():
        for value in values:
            if value != getattr(algorithm_choice, name):
                with patch.object(algorithm_choice, name, value):
                    found.append(_quality(f"{name} = {value}", rows, lambda row: _case(row).chosen()))
    return found


def _always(name: str, row: Mapping[str, Any]) -> str:
    return name


def _case(row: Mapping[str, Any]) -> Case:
    return Case(row["kernel"], row["size"], row["channels"], row["images"])


def _quality(
    rule: str, rows: Sequence[Mapping[str, Any]], choose: Callable[[Mapping[str, Any]], str]
) -> dict[str, Any]:
    """Return of each task in how many cases a rule is wrong, and what that costs.

    The loss is the geometric mean of chosen over faster, of the wrong cases, in which that is above `SAME`, and of all.
    """
    quality: dict[str, Any] = {"rule": rule}
    for task in TASKS:
        losses = [_loss(row, choose(row)) for row in rows if row["task"] == task]
        wrong = [loss for loss in losses if loss > SAME]
        quality[task] = {"cases": len(losses), "wrong": len(wrong), "loss_of_all": geometric_mean(losses)}
        quality[task] |= {"loss_of_wrong": geometric_mean(wrong), "worst": max(losses, default=1.0)}
    return quality


def _loss(row: Mapping[str, Any], chosen: str) -> float:
    return row[chosen]["median"] / min(row[name]["median"] for name, _ in _ALGORITHMS)


def geometric_mean(values: Sequence[float]) -> float:
    """Return the geometric mean; 1 of none."""
    return exp(mean(log(value) for value in values)) if values else 1.0


# --- tables and chart -------------------------------------------------------------------------------------------------


def show(result: dict[str, Any]) -> str:
    """Return the times' ratios by shape, then the quality of the rule."""
    images = result["settings"]["batch_sizes"]
    by_shape: dict[tuple[int, int, int], dict[tuple[int, str], Mapping[str, Any]]] = {}
    for row in result["results"]:
        shape = row["kernel"], row["size"], row["channels"]
        by_shape.setdefault(shape, {})[row["images"], row["task"]] = row
    cells = [(*map(str, shape), *(_cell(rows, count) for count in images)) for shape, rows in by_shape.items()]
    header = ("kernel", "size", "channels", *(f"{count} image{'s' * (count > 1)}" for count in images))
    return "\n".join(
        [
            "time of im2col / Winograd's, forward and training; W: auto chooses Winograd's; !: wrongly",
            *("", table(header, cells, left=0)),
            *("", table(_RULE_HEADER, [_rule_cells(rule) for rule in result["rules"]])),
        ]
    )


def _cell(rows: Mapping[tuple[int, str], Mapping[str, Any]], images: int) -> str:
    if (images, "forward") not in rows:
        return "-"
    texts = []
    for task in TASKS:
        row = rows[images, task]
        slower = _loss(row, row["chosen"]) > SAME
        texts.append(f"{row['im2col_over_winograd']:.2f}{'!' * slower}")
    return " ".join([*texts, "W" if rows[images, "forward"]["chosen"] == "winograd" else "i"])


_RULE_HEADER = ("rule", *(cell for task in TASKS for cell in (f"{task}: wrong", "cost of these", "of all", "worst")))


def _rule_cells(rule: Mapping[str, Any]) -> tuple[str, ...]:
    cells = [rule["rule"]]
    for task in TASKS:
        found = rule[task]
        cells += [f"{found['wrong']} of {found['cases']}", f"{found['loss_of_wrong']:.3f} x"]
        cells += [f"{found['loss_of_all']:.3f} x", f"{found['worst']:.2f} x"]
    return tuple(cells)


def chart(result: dict[str, Any]) -> charts.Figure:
    """Draw the ratio by the windows of a shard, a panel for each task and kernel, filled where auto has Winograd's."""
    from matplotlib import colormaps
    from matplotlib.ticker import FuncFormatter

    kernels = list(dict.fromkeys(row["kernel"] for row in result["results"]))
    channels = sorted({row["channels"] for row in result["results"]})
    shades = {count: colormaps["viridis"](i / max(1, len(channels))) for i, count in enumerate(channels)}
    figure, panels = charts.sheet(TITLE, result, len(kernels), len(TASKS), height=2.8, width=10)
    for line, kernel in zip(panels, kernels, strict=True):
        for axes, (task, what) in zip(line, TASKS.items(), strict=True):
            for row in result["results"]:
                if (row["kernel"], row["task"]) == (kernel, task):
                    colour = shades[row["channels"]]
                    face = colour if row["chosen"] == "winograd" else "none"
                    point = row["windows"], row["im2col_over_winograd"]
                    axes.scatter(*point, s=22, facecolors=[face], edgecolors=[colour])
            axes.axhline(1, color="#999999", linestyle="--", zorder=0)
            axes.set_xscale("log")
            axes.set_yscale("log", base=2)
            axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: charts.short(value)))
            charts.title(axes, f"{kernel} x {kernel}, {what}: im2col / Winograd's")
            axes.set_xlabel("windows of a shard; filled: auto chooses Winograd's")
            charts.tidy(axes)
    looks = {f"{count} channels": {"facecolor": colour} for count, colour in shades.items()}
    charts.legend_below(figure, looks)
    return figure
