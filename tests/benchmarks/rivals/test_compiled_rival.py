"""torch.compile: what is asked for is compiled before it is timed; where it can't be, it is left out, and it is said.

Its own compiler, which takes half a minute, is not used here: the graphs that it would get are run eagerly.
"""

from functools import partial
from types import SimpleNamespace

import numpy as np
import pytest
import torch

import npalexnet as na
from benchmarks.cpu import memory
from benchmarks.rivals import lineup
from benchmarks.rivals.compiled_rival import CompiledRival
from benchmarks.rivals.torch_rival import TorchRival
from benchmarks.workload import random_batch

ARGUMENTS = SimpleNamespace(threads=1, classes=3, dropout=0.5)


@pytest.fixture
def ours(narrow_rivals):
    return SimpleNamespace(model=na.AlexNet(num_classes=3, seed=0))


@pytest.fixture
def graphs(monkeypatch):
    """The graphs that were compiled."""
    found = []

    def backend(graph, inputs):
        found.append(graph)
        return graph.forward

    monkeypatch.setattr(torch, "compile", partial(torch.compile, backend=backend))
    torch.compiler.reset()
    yield found
    torch.compiler.reset()


def test_it_computes_what_torch_does_from_graphs_that_were_there_before(ours, graphs):
    said = []
    (rival,) = lineup.compiled(ARGUMENTS, ours, ["forward", "step"], said.append)
    assert rival.name == "torch.compile"
    eager = TorchRival(1, 3, 0.5, True, "cpu", ours.model.state_dict())
    for each in (rival, eager):
        each.take(*random_batch(2, 3))
    np.testing.assert_allclose(rival.logits(), eager.logits(), rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(rival.first_pass(), eager.first_pass(), rtol=1e-4)
    for task in ("forward", "step"):
        run = rival.runner(task)
        before = len(graphs)
        run()
        assert len(graphs) == before > 0


def test_without_a_compiler_it_is_left_out_and_it_is_said(ours, monkeypatch):
    def refuse(self, tasks):
        raise RuntimeError("no working\nC++ compiler")

    monkeypatch.setattr(CompiledRival, "try_out", refuse)
    said = []
    assert lineup.compiled(ARGUMENTS, ours, ["step"], said.append) == []
    assert said[-1] == "torch.compile is left out: RuntimeError: no working C++ compiler"


def test_a_process_that_cannot_compile_is_left_out_of_the_memory_too(monkeypatch):
    def child(rival, images, steps, arguments):
        def measure():
            raise RuntimeError(f"{rival} did not get through")

        return measure

    monkeypatch.setattr(memory, "child", child)
    said = []
    assert memory.compiled(ARGUMENTS, said.append) == []
    assert said == ["torch.compile is left out: torch.compile did not get through"]
