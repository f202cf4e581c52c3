"""The GPU question, with a stand-in in the GPU's place."""

import json

import numpy as np
import pytest
import torch

from benchmarks import gpu
from benchmarks.__main__ import main
from benchmarks.npalexnet_rival import NpalexnetRival
from benchmarks.torch_rival import TorchRival
from npalexnet.backend.cuda import probe
from tests.support import assert_close


@pytest.mark.skipif(probe().usable, reason="there is a GPU here")
def test_without_a_gpu_it_says_why_and_measures_the_cpu(capsys):
    assert main(["gpu", "--quick", "--classes", "3", "--threads", "1"]) == 0
    printed = capsys.readouterr()
    assert f"no GPU for npalexnet: {probe().reason}" in printed.err
    assert f"GPU: {probe().reason}; strict float32; the CPU alone was measured" in printed.out
    assert gpu.COPY not in printed.out


def test_a_rival_elsewhere_agrees_and_its_copies_are_timed_apart(monkeypatch, tmp_path):
    def on_gpu(ours, arguments, say):
        return [NpalexnetRival(1, 3, 0.5, device="standin")]

    monkeypatch.setattr(gpu, "on_gpu", on_gpu)
    assert main(["gpu", "--quick", "--classes", "3", "--threads", "1", "--output", str(tmp_path / "gpu")]) == 0
    result = json.loads((tmp_path / "gpu.json").read_text())
    rows = {(row["task"], row["rival"]): row for row in result["results"]}
    assert ("step", "npalexnet, GPU") in rows
    assert [rival for task, rival in rows if task == gpu.COPY] == ["npalexnet, GPU"]
    for row in rows.values():
        assert len(row["seconds"]) == 1
        assert row["median"] > 0
    assert "gflops_per_second" not in rows[gpu.COPY, "npalexnet, GPU"]


def test_on_a_gpu_torch_computes_in_strict_float32(monkeypatch):
    monkeypatch.setattr(torch.backends.cudnn, "allow_tf32", True)
    monkeypatch.setattr(torch.backends.cudnn, "benchmark", False)
    x = np.ones((1, 3, 227, 227), "float32")
    state = NpalexnetRival(1, 3, 0.5).model.state_dict()
    cpu, elsewhere = TorchRival(1, 3, 0.5, state=state), TorchRival(1, 3, 0.5, state=state, device="cpu:0")
    assert (cpu.name, elsewhere.name) == ("torch", "torch, GPU")
    assert not torch.backends.cudnn.allow_tf32
    for rival in (cpu, elsewhere):
        rival.take(x, np.array([1]))
    assert_close(elsewhere.logits(), cpu.logits())
