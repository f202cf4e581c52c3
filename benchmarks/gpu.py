"""How much faster than on the CPU is AlexNet on a GPU, beside torch on both?

The forward pass in eval mode and the training step, in strict float32 (no TF32) on both sides, with the batch on the
device already; what it takes to copy a batch there is measured apart. Before anything is timed, logits, loss and
gradients, without dropout, must agree. Where no GPU is usable it says why, and measures the CPU alone.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from benchmarks import charts, floor, machine, network, turns
from benchmarks.npalexnet_rival import NpalexnetRival
from benchmarks.torch_twin import torch_flags
from benchmarks.workload import Trainer, random_batch, settings
from npalexnet.backend.cuda import probe
from npalexnet.backend.launcher import cuda_kernels_enabled
from npalexnet.table import table

if TYPE_CHECKING:
    from matplotlib.figure import Figure

BATCH_SIZES, ROUNDS = [1, 32, 128], 5
TITLE = "AlexNet on CPU and GPU"
TASKS = ("forward", "step")
COPY = "copy to the GPU"


def run(arguments: argparse.Namespace, say: network.Say) -> dict[str, Any]:
    """Answer the question."""
    found = machine.environment()
    ours, others = network.trainers(arguments, say)
    there = on_gpu(ours, arguments, say)
    rivals: list[Trainer] = [ours, *others, *there]
    rows: list[dict[str, Any]] = []
    firsts = {}
    batches = {images: random_batch(images, arguments.classes) for images in arguments.batch_sizes}
    for images, batch in batches.items():  # all before any is timed: training steps change the weights
        say(f"first pass, batch of {images}")
        for rival in rivals:
            rival.take(*batch)
        firsts[images] = network.agree(rivals, lambda r: network.first_logits(r) | network.first_training_pass(r))
    for images, batch in batches.items():
        for rival in rivals:
            rival.take(*batch)
        flops = {"forward": floor.forward_flops(ours.model, images), "step": floor.step_flops(ours.model, images)}
        for task in (*TASKS, COPY):
            contest = {
                rival.name: turns.timed(work(rival, task, batch)) for rival in (there if task == COPY else rivals)
            }
            if not contest:
                continue
            say(f"{task}, batch of {images}")
            times = turns.take_turns(contest, arguments.rounds, arguments.warmup, arguments.pause, say)
            rows += [
                {"batch": images, "task": task, "rival": name, "seconds": seconds, **turns.spread(seconds)}
                | ({"gflops_per_second": flops[task] / turns.spread(seconds)["median"] / 1e9} if task in flops else {})
                for name, seconds in times.items()
            ]
    return {
        "question": "gpu",
        **found,
        "gpu": {"found": probe().reason, "kernels": cuda_kernels_enabled(), "rivals": [r.name for r in there]},
        "settings": settings(arguments),
        "torch_flags": torch_flags(),
        "first": firsts,
        "results": rows,
    }


def on_gpu(ours: NpalexnetRival, arguments: argparse.Namespace, say: network.Say) -> list[Trainer]:
    """Return the rivals on the first GPU, with the weights of `ours`."""
    rivals: list[Trainer] = []
    rest, state = (arguments.threads, arguments.classes, arguments.dropout), ours.model.state_dict()
    if probe().usable:
        mine = NpalexnetRival(*rest, device="cuda")
        mine.model.load_state_dict(state)
        rivals.append(mine)
    else:
        say(f"no GPU for npalexnet: {probe().reason} (stage: {probe().stage})")
    try:
        import torch

        from benchmarks.torch_rival import TorchRival
    except ImportError:
        return rivals
    if torch.cuda.is_available():
        rivals += [TorchRival(*rest, channels_last=last, state=state, device="cuda") for last in (False, True)]
    else:
        say(f"no GPU for torch {torch.__version__}: it finds none that it can use")
    return rivals


def work(rival: Trainer, task: str, batch: tuple[Any, Any]) -> Callable[[], object]:
    """Return what is timed: it returns when the device is done."""
    run = (lambda: rival.take(*batch)) if task == COPY else getattr(rival, task)

    def finished() -> None:
        run()
        rival.synchronize()

    return finished


def show(result: dict[str, Any]) -> str:
    """Return the table."""
    medians = {(row["batch"], row["task"], row["rival"]): row["median"] for row in result["results"]}
    cells = []
    for row in result["results"]:
        cpu = medians.get((row["batch"], row["task"], network.OURS))
        cells.append(
            (
                *(row["task"], str(row["batch"]), row["rival"], f"{1e3 * row['median']:.2f}"),
                f"{1e3 * row['min']:.2f}..{1e3 * row['max']:.2f}",
                *(f"{row['batch'] / row['median']:.0f}", f"{row.get('gflops_per_second', 0):.0f}" if cpu else "-"),
                f"{cpu / row['median']:.2f}" if cpu else "-",
            )
        )
    header = ("task", "batch", "rival", "median ms", "min..max", "images/s", "GFLOP/s", "times npalexnet on the CPU")
    gpu = result["gpu"]
    kernels = f"npalexnet's kernels {'on' if gpu['kernels'] else 'off'}"
    about = f"GPU: {gpu['found']}; strict float32; {kernels if gpu['rivals'] else 'the CPU alone was measured'}"
    lines = network.agreement_lines(result["first"])
    return "\n".join([network.preamble(TITLE, result), about, *lines, "", table(header, cells)])


def chart(result: dict[str, Any]) -> Figure:
    """Draw a panel of bars for each task and batch size."""
    rows = result["results"]
    panels_of = list(dict.fromkeys((row["task"], row["batch"]) for row in rows))
    figure, panels = charts.sheet(TITLE, result, rows=len(panels_of), columns=1, height=1.9)
    for axes, (task, batch) in zip(panels[:, 0], panels_of, strict=True):
        here = [row for row in rows if (row["task"], row["batch"]) == (task, batch)]
        bars = [charts.Bar(row["rival"], *(1e3 * row[key] for key in ("median", "min", "max"))) for row in here]
        charts.bars(axes, bars, [f"{charts.short(bar.median)} ms" for bar in bars])
        axes.set_title(f"{task}, batch of {batch}", loc="left", size=10)
    panels[-1, 0].set_xlabel("milliseconds, median and min..max (less is better)")
    return figure
