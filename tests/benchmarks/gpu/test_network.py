"""The question `gpu`, with a fake device in the GPU's place."""

import gc
import json
import weakref

import numpy as np
import pytest
import torch

import npalexnet as na
from benchmarks.__main__ import main
from benchmarks.attempts import Attempts
from benchmarks.gpu import network
from benchmarks.precisions import PRECISIONS
from benchmarks.rivals import lineup
from benchmarks.rivals.npalexnet_rival import NpalexnetRival
from benchmarks.rivals.rival import Graphed
from benchmarks.rivals.torch_rival import TorchRival
from benchmarks.rounds import difference
from benchmarks.workload import random_batch
from npalexnet.backend.cuda.device import probe
from tests.fakes.benchmark_gpu import pretend
from tests.fakes.device import FAKE
from tests.fakes.rival import Rival
from tests.networks import narrow
from tests.support import assert_close

ON_GPU = ["npalexnet, GPU", "torch, GPU", "torch, channels_last, GPU"]
GRAPHS = [f"{name}, graph" for name in ON_GPU]
pytestmark = pytest.mark.usefixtures("narrow_rivals")


@pytest.fixture(scope="module")
def state():
    with pytest.MonkeyPatch.context() as patch:
        narrow(patch)
        return na.AlexNet(num_classes=3, seed=0, init="torch").state_dict()


@pytest.mark.skipif(probe().usable, reason="there is a GPU here")
def test_without_a_gpu_it_says_why_and_measures_the_cpu(capsys):
    assert main(["gpu", "--quick", "--classes", "3", "--threads", "1"]) == 0
    printed = capsys.readouterr()
    assert f"no GPU for npalexnet: {probe().reason}" in printed.err
    assert f"GPU: {probe().reason}; the CPU alone was measured, in float32" in printed.out
    assert "Peak device memory" not in printed.out
    assert "verdict" not in printed.out


def test_on_a_gpu_every_rival_is_measured_beside_the_cpu(monkeypatch, tmp_path, capsys):
    pretend(monkeypatch, FAKE)
    name = tmp_path / "gpu"
    line = ["gpu", "--quick", "--classes", "3", "--threads", "1", "--precisions", "tf32"]
    assert main([*line, "--output", str(name)]) == 0
    printed, result = capsys.readouterr().out, json.loads((tmp_path / "gpu.json").read_text())
    assert result["left_out"] == []
    rows = {(r["place"], r["precision"], r["task"], r["rival"]): r for r in result["results"]}
    cpu = [("CPU", "fp32", task, name) for task in ("forward", "step") for name in ("npalexnet", "torch")]
    expected = {*cpu, *(("CPU", "fp32", task, "torch, channels_last") for task in ("forward", "step"))}
    expected |= {("GPU", "tf32", "forward", rival) for rival in [*ON_GPU, *GRAPHS]}
    expected |= {("GPU", "tf32", "step", rival) for rival in ON_GPU}
    assert set(rows) == expected
    for row in rows.values():
        assert len(row["seconds"]) == 1
        assert row["until_done"] > 0
        assert row["gflops_per_second"] == pytest.approx(row["flops"] / row["median"] / 1e9)
    assert [row["rival"] for row in result["copies"]] == ON_GPU
    held = {row["rival"]: (row["reserved"] >> 20, row["allocated"] >> 20) for row in result["memory"]}
    assert held == dict(zip(ON_GPU, [(7, 5), (9, 8), (9, 8)], strict=True))
    for precision, differences in result["differences"].items():
        assert set(differences) == {"logits", "loss", "norm of the gradients"}
        assert max(differences.values()) < PRECISIONS[precision].tolerance
    for text in (
        "npalexnet, GPU: float32 matmul precision 'high'",
        "matmul.allow_tf32 True, cudnn.allow_tf32 True",
        "target, set for an H200",
    ):
        assert text in printed
    assert (tmp_path / "gpu.png").stat().st_size > 10_000
    assert na.get_float32_matmul_precision() == "highest"


def test_in_bfloat16_both_get_such_images_and_keep_float32_parameters(monkeypatch, state):
    pretend(monkeypatch, FAKE)
    images, labels = random_batch(1, 3)
    rivals = [NpalexnetRival(1, 3, 0.5, "fake", state), TorchRival(1, 3, 0.5, True, "cpu:0", state)]
    for rival in rivals:
        rival.use(PRECISIONS["bf16"])
        rival.take(images, labels)
    assert rivals[0].images.dtype.name == "bfloat16"
    assert rivals[0].model.dtype == np.float32
    assert rivals[1].images.dtype is torch.bfloat16
    assert {parameter.dtype for parameter in rivals[1].model.parameters()} == {torch.float32}
    assert_close(rivals[0].device.to_host(rivals[0].images).astype("float32"), rivals[1].images.float().numpy())
    assert "images in bfloat16, parameters in float32" in rivals[0].flags()
    assert "autocast to torch.bfloat16" in rivals[1].flags()


def test_torch_in_bfloat16_is_within_its_tolerance_and_outside_that_of_float32(monkeypatch, state):
    pretend(monkeypatch, FAKE)
    rival = TorchRival(1, 3, 0.5, False, "cpu:0", state)
    found = {}
    for name in ("fp32", "bf16"):
        rival.use(PRECISIONS[name])
        rival.take(*random_batch(1, 3))
        loss, norm = rival.first_pass()
        assert all(p.grad is None or p.grad.dtype is torch.float32 for p in rival.model.parameters())
        found[name] = rival.logits(), loss, norm
    apart = [difference(*pair) for pair in zip(found["fp32"], found["bf16"], strict=True)]
    assert PRECISIONS["fp32"].tolerance < apart[0]
    assert max(apart) < PRECISIONS["bf16"].tolerance


def test_a_precision_begins_with_the_initial_parameters(monkeypatch):
    pretend(monkeypatch, FAKE)
    state = na.AlexNet(num_classes=3, seed=0, init="torch").state_dict()
    for rival in (NpalexnetRival(1, 3, 0.5, "fake", state), TorchRival(1, 3, 0.5, False, "cpu:0", state)):
        rival.take(*random_batch(1, 3))
        rival.runner("step")()
        key = "classifier.6.bias"
        assert not np.array_equal(np.asarray(rival.model.state_dict()[key]), state[key])
        rival.use(PRECISIONS["tf32"])
        np.testing.assert_array_equal(np.asarray(rival.model.state_dict()[key]), state[key])


def test_a_graph_reads_the_batch_that_its_rival_has(monkeypatch, state):
    pretend(monkeypatch, FAKE)
    eager = TorchRival(1, 3, 0.5, False, "cpu:0", state)
    captured = []

    def capture():
        captured.append(eager.images)
        return lambda: torch.full((1, 3), float(len(captured)), dtype=torch.bfloat16)

    monkeypatch.setattr(eager, "capture", capture)
    graph = Graphed(eager)
    for count in (1, 2):
        for rival in (eager, graph):
            rival.take(*random_batch(1, 3))
        assert captured[-1] is eager.images
        np.testing.assert_array_equal(graph.logits(), np.full((1, 3), count, "float32"))
    graph.use(PRECISIONS["fp32"])
    with pytest.raises(RuntimeError, match="no graph of 'forward'"):
        graph.runner("forward")


def test_a_library_without_a_gpu_is_named_and_left_out(monkeypatch):
    said = []
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert lineup.ON_GPU == {"npalexnet": "cuda", "torch": "cuda"}
    monkeypatch.setattr(lineup, "probe", lambda: type(probe())(False, "driver", "no driver"))
    arguments = type("Arguments", (), {"threads": 1, "classes": 3, "dropout": 0.5})
    assert lineup.makers(arguments, {}, said.append, lineup.ON_GPU) == []
    assert said == [
        "no GPU for npalexnet: no driver (stage: driver)",
        f"no GPU for torch {torch.__version__}: it finds none that it can use",
    ]


def test_on_a_gpu_torch_computes_in_strict_float32(monkeypatch):
    monkeypatch.setattr(torch.backends.cudnn, "allow_tf32", True)
    monkeypatch.setattr(torch.backends.cudnn, "benchmark", False)
    x = np.ones((1, 3, 227, 227), "float32")
    state = na.AlexNet(num_classes=3, seed=0, init="torch").state_dict()
    cpu, elsewhere = TorchRival(1, 3, 0.5, state=state), TorchRival(1, 3, 0.5, state=state, device="cpu:0")
    assert (cpu.name, elsewhere.name) == ("torch", "torch, GPU")
    assert not torch.backends.cudnn.allow_tf32
    for rival in (cpu, elsewhere):
        rival.take(x, np.array([1]))
    assert_close(elsewhere.logits(), cpu.logits())


def test_memory_is_measured_of_one_rival_alone_after_the_other_and_failures_are_kept():
    alive = weakref.WeakSet()

    def make(name, fails):
        assert not alive  # what it holds would count
        alive.add(rival := Rival(name, fails=fails))
        return rival

    attempts = Attempts(lambda line: None)
    makers = [lambda: make("a", None), lambda: make("b", "nine")]
    batches = {2: ("two", "labels"), 9: ("nine", "labels")}
    rows = network.peak_memory(makers, [PRECISIONS["fp32"]], batches, attempts)
    assert [(row["rival"], row["batch"], row["reserved"]) for row in rows] == [("a", 2, 3), ("a", 9, 3), ("b", 2, 3)]
    assert [(row["rival"], row["batch"]) for row in attempts.left_out] == [("b", 9)]


def test_what_gives_memory_back_does_not_keep_the_rival(monkeypatch, state):
    pretend(monkeypatch, FAKE)
    for make in (
        lambda: NpalexnetRival(1, 3, 0.5, "fake", state),
        lambda: TorchRival(1, 3, 0.5, False, "cpu:0", state),
    ):
        rival = make()
        there, free = weakref.ref(rival), rival.free
        del rival
        gc.collect()
        free()
        assert there() is None


def test_the_cpu_takes_the_batch_sizes_that_it_can():
    assert network.for_the_cpu([1, 128, 512]) == [1, 128]
    assert network.for_the_cpu([512, 256]) == [256]
