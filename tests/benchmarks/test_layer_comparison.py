"""Layers are compared with those of the first library: who disagrees is refused, or left out."""

from types import SimpleNamespace

import numpy as np
import pytest

from benchmarks.attempts import Attempts
from benchmarks.layer_cases import Case
from benchmarks.layer_comparison import agreeing
from benchmarks.precisions import FP32, PRECISIONS


def adapter(value, fails=False):
    def forward():
        if fails:
            raise TypeError("no bfloat16 here")

    nothing = dict.fromkeys(("backward", "forget"), lambda: None)
    return SimpleNamespace(forward=forward, found=lambda: [np.array([value])], **nothing)


def test_a_layer_that_fails_or_disagrees_is_left_out_and_the_others_are_measured():
    adapters = {"ours": adapter(1.0, fails=True), "torch": adapter(3.0), "other": adapter(3.02), "far": adapter(4.0)}
    attempts = Attempts(lambda line: None)
    found = agreeing(Case("conv1", (1,), {}, adapters), PRECISIONS["bf16"], 8, attempts)
    assert list(found) == ["torch", "other"]  # 0.02 of 3 is within 2^-7
    assert [row["rival"] for row in attempts.left_out] == ["ours, conv1", "far, conv1"]


def test_on_the_cpu_layers_that_disagree_are_refused_but_for_dropout():
    adapters = {"npalexnet": adapter(1.0), "torch": adapter(1.1)}
    strict = Attempts(lambda line: None, strict=True)
    with pytest.raises(RuntimeError, match="conv1's output or gradient of torch"):
        agreeing(Case("conv1", (1,), {}, adapters), FP32, 1, strict)
    assert agreeing(Case("dropout1", (1,), {}, adapters, comparable=False), FP32, 1, strict) == adapters
