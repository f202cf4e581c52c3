"""Layers alone, npalexnet's beside torch's: their times, pairs of them, and the chart."""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from typing import Any

from benchmarks import charts, rounds
from benchmarks.attempts import Attempts
from benchmarks.layer_cases import PASSES, Case, layer_cases
from benchmarks.precisions import Precision
from benchmarks.rivals import gemm_lower_bound
from benchmarks.rivals.rival import HELD, OURS, LayerAdapter, is_ours

BARS = {"ours": OURS, "im2col": HELD, "torch": "torch"}  # whose colours they have
Pairs = dict[tuple[str, int, str, str], dict[str, Any]]


def layer_times(
    rivals: Sequence[Any],
    precision: Precision,
    images: int,
    arguments: argparse.Namespace,
    attempts: Attempts,
    lowest: gemm_lower_bound.GemmLowerBound | None = None,
) -> Iterator[tuple[Case, list[dict[str, Any]], float | None]]:
    """Yield each layer, the times of its passes in each library, and the best sgemm rate in the same rounds.

    npalexnet is the first rival. The rate, in operations a second, is None for a layer without matrix products, and
    without `lowest`. What fails or disagrees is left out.
    """
    clocks = {rival.name: rival.clock for rival in rivals}
    for case in layer_cases(rivals[0].model, rivals, images, arguments.classes):
        attempts.say(f"{precision.name}, {case.name}, batch of {images}")
        measurements = {
            (name, which): clocks[name].cold(*_run_and_prepare(adapter, which))
            for name, adapter in agreeing(case, precision, images, attempts).items()
            for which in case.flops
        }
        most = max(case.flops.values())
        if lowest and most:
            measurements[gemm_lower_bound.DIRECT, ""] = partial(lowest.seconds, most)
        times = rounds.interleaved(measurements, arguments)
        best = times.pop((gemm_lower_bound.DIRECT, ""), None)
        about = {"precision": precision.name, "batch": images, "layer": case.name, "input_shape": case.input_shape}
        rows = [
            {**about, "pass": which, "rival": name, "flops": case.flops[which], **rounds.summary(seconds)}
            for (name, which), seconds in times.items()
        ]
        yield case, rows, most / rounds.spread(best)["median"] if best else None


def agreeing(case: Case, precision: Precision, images: int, attempts: Attempts) -> dict[str, LayerAdapter]:
    """Return the adapters that work, and find what the first of them finds."""
    first: list[Any] = []

    def check(name: str, adapter: LayerAdapter) -> None:
        adapter.forget()
        adapter.forward()
        adapter.backward()
        found = adapter.found()
        adapter.forget()
        what, tolerance = f"{case.name}'s output or gradient", precision.layer_tolerance
        for ours, theirs in zip(*first or [found], found, strict=True):
            if case.comparable:
                rounds.check_agreement(name, what, ours, theirs, tolerance)
        first[:] = first or [found]

    return {
        name: adapter
        for name, adapter in case.adapters.items()
        if attempts.worked(f"{name}, {case.name}", precision.name, images, partial(check, name, adapter))
    }


def _run_and_prepare(adapter: LayerAdapter, which: str) -> tuple[Any, Any]:
    """Return what is timed, and what comes before it: a forward before each backward."""

    def forward_again() -> None:
        adapter.forget()
        adapter.forward()

    return (adapter.forward, adapter.forget) if which == "forward" else (adapter.backward, forward_again)


def pairs_of(rows: Sequence[Mapping[str, Any]]) -> Pairs:
    """Return the rows by precision, batch, layer and pass.

    Of each: npalexnet's as "ours", that held to im2col, if there is one, as "im2col", and as "torch" torch's, in its
    faster layout.
    """
    found: Pairs = {}
    for row in rows:
        key = (row["precision"], row["batch"], row["layer"], row["pass"])
        pair = found.setdefault(key, {"ours": None, "torch": None})
        if row["rival"] == HELD:
            pair["im2col"] = row
        elif is_ours(row["rival"]):
            pair["ours"] = row
        elif pair["torch"] is None or row["median"] < pair["torch"]["median"]:
            pair["torch"] = row
    return found


def draw(what: str, result: Mapping[str, Any], more: int = 0) -> tuple[charts.Figure, Any]:
    """Draw bars, forward on the left, backward on the right, a row for each precision and batch size.

    `more` rows of panels stay empty below.
    """
    pairs = pairs_of(result["results"])
    lines = list(dict.fromkeys(key[:2] for key in pairs))
    layers = list(dict.fromkeys(key[2] for key in pairs))
    figure, panels = charts.sheet(what, result, len(lines) + more, 2, height=0.36 * len(layers), width=13)
    for line, (precision, batch) in zip(panels, lines, strict=False):
        for axes, which in zip(line, PASSES, strict=True):
            here = {layer: pairs.get((precision, batch, layer, which), {}) for layer in layers}
            charts.bars(axes, {layer: _bars(**pair) for layer, pair in here.items()})
            charts.title(axes, f"{precision}, {which} of {batch}: ms, and their ratio (less is better)")
    there = {which for pair in pairs.values() for which, row in pair.items() if row}
    rivals = [rival for which, rival in BARS.items() if which in there]
    charts.legend_below(figure, {rival: charts.look(rival) for rival in rivals})
    return figure, panels


def _bars(ours: Any = None, im2col: Any = None, torch: Any = None) -> list[charts.Bar]:
    """Return npalexnet's bar, with its ratio to torch's beside it, and the others'."""
    ratio = f"  ({ours['median'] / torch['median']:.2f} x)" if ours and torch else ""
    rows = {"ours": ours, "im2col": im2col, "torch": torch}
    return [charts.bar(row, BARS[which], more=ratio if which == "ours" else "") for which, row in rows.items() if row]
