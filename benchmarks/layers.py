"""How long does each layer of AlexNet take alone, forward and backward, beside torch's?

In training mode, with inputs laid out in memory as each library's network hands them on. Before a layer is timed,
outputs and gradients must agree (Dropout's can't: each library draws masks of its own).
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from statistics import median
from typing import TYPE_CHECKING, Any

from benchmarks import charts, floor, machine, network, turns
from benchmarks.layer_cases import Case, layer_cases
from benchmarks.layer_sides import PASSES, Library, Side
from benchmarks.npalexnet_layers import NpalexnetLayers
from benchmarks.torch_twin import torch_flags
from benchmarks.workload import settings
from npalexnet.terminal import table

if TYPE_CHECKING:
    from matplotlib.figure import Figure

BATCH_SIZES, ROUNDS = [32], 7
TITLE = "AlexNet's layers, each alone"


def run(arguments: argparse.Namespace, say: network.Say) -> dict[str, Any]:
    """Answer the question."""
    found = machine.environment()
    ours, others = network.trainers(arguments, say)
    libraries: list[Library] = [NpalexnetLayers(ours)]
    if others:
        from benchmarks.torch_layers import TorchLayers

        libraries.append(TorchLayers(others[0]))
    say("looking for the fastest sgemm")
    lowest = floor.Floor(arguments.threads, floor.products(ours.model))
    threads = {library.name: library.threads for library in libraries}
    rows: list[dict[str, Any]] = []
    for images in arguments.batch_sizes:
        for case in layer_cases(ours.model, libraries, images, arguments.classes):
            say(f"{case.name}, batch of {images}")
            check(case)
            measured = measure(case, lowest, arguments, say)
            rows += [{"batch": images, "threads": threads[row["rival"]], **row} for row in measured]
    return {
        "question": "layers",
        **found,
        "settings": settings(arguments),
        "torch_flags": torch_flags(),
        "sgemm": lowest.label,
        "results": rows,
    }


def check(case: Case) -> None:
    """Refuse sides that don't find the same."""
    outcomes = {}
    for name, side in case.sides.items():
        side.forget()
        side.forward()
        side.backward()
        outcomes[name] = side.found()
        side.forget()
    for name, outcome in outcomes.items():
        for ours, theirs in zip(outcomes[network.OURS], outcome, strict=True):
            if case.comparable:
                turns.check_agreement(name, f"{case.name}'s output or gradient", ours, theirs)


def measure(case: Case, lowest: floor.Floor, arguments: argparse.Namespace, say: network.Say) -> list[dict[str, Any]]:
    """Time the passes of one layer on all sides, with the floor's sgemm among them where there are matrix products."""
    contest = {f"{which} {name}": _turn(side, which) for name, side in case.sides.items() for which in case.flops}
    most = max(case.flops.values())
    if most:
        contest[floor.NAME] = lowest.turn(most)
    seconds = turns.take_turns(contest, arguments.rounds, arguments.warmup, arguments.pause, say)
    sgemm = most / median(seconds[floor.NAME]) if most else None  # operations a second
    rows = []
    for name in case.sides:
        for which, flops in case.flops.items():
            times = seconds[f"{which} {name}"]
            row = {"layer": case.name, "input_shape": case.input_shape, "pass": which, "rival": name, "flops": flops}
            rate = flops / median(times)
            gflops = {"gflops_per_second": rate / 1e9, "sgemm_gflops_per_second": sgemm / 1e9} if sgemm else {}
            torch = seconds.get(f"{which} torch")
            ratio = {"time_over_torch": median(times) / median(torch)} if torch else {}
            rows.append({**row, "seconds": times, **turns.spread(times), **gflops, **ratio})
    return rows


def _turn(side: Side, which: str) -> Callable[[], float]:
    def forward_again() -> None:
        side.forget()
        side.forward()

    return turns.timed(side.forward, side.forget) if which == "forward" else turns.timed(side.backward, forward_again)


def show(result: dict[str, Any]) -> str:
    """Return a table for each batch size."""
    columns = ("torch's", "ratio", "GFLOP/s", "of sgemm")
    header = ("layer", "input", *(cell for which in PASSES for cell in (f"{which} ms", *columns)))
    parts = [network.preamble(TITLE, result), result["sgemm"]]
    for batch, layers in by_layer(result).items():
        rows = [
            (name, " x ".join(map(str, found["shape"])), *(cell for which in PASSES for cell in _cells(found, which)))
            for name, found in layers.items()
        ]
        parts += [f"\nbatch of {batch}\n", table(header, rows, left=2)]
    return "\n".join(parts)


def by_layer(result: dict[str, Any]) -> dict[int, dict[str, dict[Any, Any]]]:
    """Return the rows by batch size, layer, and (rival, pass); under "shape" the input's."""
    found: dict[int, dict[str, dict[Any, Any]]] = {}
    for row in result["results"]:
        layer = found.setdefault(row["batch"], {}).setdefault(row["layer"], {"shape": row["input_shape"]})
        layer[row["rival"], row["pass"]] = row
    return found


def _cells(found: dict[Any, Any], which: str) -> tuple[str, ...]:
    ours, torch = found.get(("npalexnet", which)), found.get(("torch", which))
    if ours is None:
        return ("-",) * 5
    products = ours["flops"] > 0
    return (
        f"{1e3 * ours['median']:.3f}",
        f"{1e3 * torch['median']:.3f}" if torch else "-",
        f"{ours['time_over_torch']:.2f}" if torch else "-",
        f"{ours['gflops_per_second']:.1f}" if products else "-",
        f"{ours['gflops_per_second'] / ours['sgemm_gflops_per_second']:.0%}" if products else "-",
    )


def chart(result: dict[str, Any]) -> Figure:
    """Draw paired bars, a row of panels for each batch size, forward on the left and backward on the right."""
    batches = by_layer(result)
    layers = max(len(found) for found in batches.values())
    figure, panels = charts.sheet(TITLE, result, len(batches), 2, height=0.36 * layers, width=13)
    for row, (batch, found) in zip(panels, batches.items(), strict=True):
        for axes, which in zip(row, PASSES, strict=True):
            pairs = {
                name: {rival: 1e3 * values[rival, which]["median"] for rival, p in list(values)[1:] if p == which}
                for name, values in found.items()
            }
            charts.paired_bars(axes, pairs)
            axes.set_title(f"{which}, batch of {batch}: ms, and their ratio (less is better)", loc="left", size=10)
    charts.legend_below(figure, {row["rival"]: charts.COLOURS[row["rival"]] for row in result["results"]})
    return figure
