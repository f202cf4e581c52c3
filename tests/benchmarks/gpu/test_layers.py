"""The question `gpu-layers`: what is counted, and the whole of it with a fake device in the GPU's place."""

import json
from types import SimpleNamespace

import numpy as np
import pytest

import npalexnet as na
from benchmarks.__main__ import main
from benchmarks.attempts import Attempts
from benchmarks.gpu import kernels, layers
from benchmarks.gpu.kernels import KernelCase, kernel_cases
from benchmarks.gpu.targets import KERNELS
from benchmarks.layer_cases import layer_cases
from benchmarks.layer_comparison import pairs_of
from benchmarks.precisions import PRECISIONS
from npalexnet.backend import CPU
from tests.fakes.benchmark_gpu import pretend
from tests.fakes.device import FAKE

FLOAT32 = np.dtype("float32")
POOL1_IN, POOL1_OUT = 96 * 55 * 55, 96 * 27 * 27
CONV2_OUT, CONV2_WEIGHTS = 256 * 27 * 27, 256 * 96 * 5 * 5 + 256


@pytest.fixture(scope="module")
def model():
    return na.AlexNet(num_classes=3, seed=0, init="torch")


@pytest.fixture
def few(model):
    """AlexNet's layers, and parameters that SGD is soon done with."""
    return SimpleNamespace(
        layers=model.layers, classifier=model.classifier, parameters=lambda: [model.classifier[6].bias]
    )


def test_a_pass_moves_at_least_what_it_reads_and_writes(model):
    cases = {case.name: case for case in layer_cases(model, [], 2, 3)}
    linear3 = 3 * 4096 + 3
    for name, item, forward, backward in (
        ("conv1", 4, 4 * (2 * (3 * 227 * 227 + POOL1_IN) + 34944), 4 * (2 * (POOL1_IN + 3 * 227 * 227) + 34944)),
        (
            *("conv2", 2),
            2 * 2 * (POOL1_OUT + CONV2_OUT) + 4 * CONV2_WEIGHTS,
            2 * 2 * (CONV2_OUT + 2 * POOL1_OUT) + 2 * 4 * CONV2_WEIGHTS,
        ),
        ("relu1", 4, 4 * 2 * 2 * POOL1_IN, 4 * 2 * 3 * POOL1_IN),
        ("pool1", 2, 2 * (2 * (POOL1_IN + POOL1_OUT) + POOL1_OUT), 2 * (2 * (POOL1_IN + POOL1_OUT) + POOL1_OUT)),
        ("dropout2", 4, 4 * 2 * 2 * 4096, 4 * 2 * 2 * 4096),
        ("linear3", 4, 4 * (2 * (4096 + 3) + linear3), 4 * (2 * (3 + 2 * 4096) + 2 * linear3)),
        ("loss", 2, 2 * 2 * 3, 2 * 2 * 2 * 3),
    ):
        assert [cases[name].least_bytes(which, item) for which in ("forward", "backward")] == [forward, backward], name
    assert cases["SGD step"].least_bytes("forward", 2) == 20 * sum(p.size for p in model.parameters())
    to_images = cases["conv1, to the images"].least_bytes("backward", 4)
    assert to_images == 4 * (2 * (POOL1_IN + 2 * 3 * 227 * 227) + 2 * 34944)


def test_a_kernel_moves_at_least_what_it_reads_and_writes(model):
    found = {(p.kernel, p.what): p.nbytes for p in kernel_cases(model, CPU, np.dtype("float16"), 2, 7)}
    columns = 2 * 27 * 27 * 5 * 5 * 96
    for key, nbytes in {
        ("im2col", "conv2"): 2 * (2 * POOL1_OUT + columns),
        ("col2im", "conv2"): 2 * (2 * POOL1_OUT + columns),
        ("max_pool_with_indices", "pool1"): 2 * (2 * (POOL1_IN + POOL1_OUT) + POOL1_OUT),
        ("max_pool_gradient", "pool1"): 2 * (2 * (POOL1_IN + POOL1_OUT) + POOL1_OUT),
        ("add_bias_relu", "relu1"): 2 * 2 * 2 * POOL1_IN,
        ("relu_gradient", "relu1"): 2 * 3 * 2 * POOL1_IN,
        ("dropout", "dropout1"): 2 * 2 * 2 * 9216,
        ("sum_rows", "relu1"): 2 * 2 * POOL1_IN,
        ("cross_entropy", "loss"): (2 + 4) * 2 * 7,  # float16 logits, float32 log-probabilities
        ("sgd", "all parameters"): 5 * 4 * sum(parameter.size for parameter in model.parameters()),
    }.items():
        assert found[key] == nbytes, key
    assert sorted(what for kernel, what in found if kernel == "im2col") == [f"conv{n}" for n in range(1, 6)]
    assert sorted(what for kernel, what in found if kernel == "col2im") == [f"conv{n}" for n in range(2, 6)]
    assert set(KERNELS) <= {kernel for kernel, _ in found}


def test_every_kernel_does_its_shapes_and_where_there_are_none_it_is_said(few, fake_with_kernels):
    for case in kernel_cases(few, fake_with_kernels, FLOAT32, 1, 3):
        assert case.make()() is not None, case
    assert CPU.kernels is None


def test_im2col_and_col2im_are_those_of_the_layer(few, fake_with_kernels):
    """With the padding inside the kernel, they make what the layer makes of padded images."""
    made = {(p.kernel, p.what): p for p in kernel_cases(few, fake_with_kernels, FLOAT32, 1, 3)}
    numbers = np.random.default_rng(0).standard_normal(1 << 20, dtype="float32")
    padded = np.pad(np.resize(numbers, (27, 27, 96)), ((2, 2), (2, 2), (0, 0)))
    columns = fake_with_kernels.to_host(made["im2col", "conv2"].make()())
    second = 27 + 1  # of the second row of windows
    np.testing.assert_array_equal(columns[second].reshape(5, 5, 96), padded[1:6, 1:6])
    images = fake_with_kernels.to_host(made["col2im", "conv2"].make()())
    given = np.resize(numbers, (27, 27, 5, 5, 96)).astype("float64")
    expected = np.zeros((31, 31, 96))
    for i in range(5):
        for j in range(5):
            expected[i : i + 27, j : j + 27] += given[:, :, i, j]
    np.testing.assert_allclose(images[0], expected[2:29, 2:29], rtol=1e-4, atol=1e-4)


def test_kernels_are_timed_and_those_that_refuse_are_left_out(monkeypatch, few, fake_with_kernels):
    def some():
        yield KernelCase("sgd", "here", (3,), 600, lambda: lambda: True)
        yield KernelCase("im2col", "there", (3,), 600, lambda: lambda: None)
        yield KernelCase("col2im", "nowhere", (3,), 600, lambda: lambda: 1 / 0)

    monkeypatch.setattr(kernels, "kernel_cases", lambda *given: some())
    clock = SimpleNamespace(cold=lambda run, prepare: lambda: 2.0)
    ours = SimpleNamespace(name="npalexnet, GPU", device=fake_with_kernels, clock=clock, model=few)
    arguments = SimpleNamespace(rounds=1, warmup=0, pause=0.0, classes=3)
    attempts = Attempts(lambda line: None)
    (row,) = kernels.kernel_times(ours, PRECISIONS["fp32"], 4, arguments, attempts)
    assert (row["kernel"], row["median"], row["bytes_per_second"]) == ("sgd", 2.0, 300.0)
    assert [row["rival"] for row in attempts.left_out] == ["im2col, there", "col2im, nowhere"]
    assert "there is no kernel for such arrays" in attempts.left_out[0]["reason"]


def test_shares_are_of_the_copy_and_of_the_fastest_product_of_the_same_precision():
    products = [
        {"precision": p, "flops_per_second": rate} for p, rate in (("fp32", 10.0), ("fp32", 40.0), ("bf16", 100.0))
    ]
    rows = [
        {"precision": p, "bytes": 6.0, "flops": flops, "median": 2.0}
        for p, flops in (("fp32", 20), ("bf16", 20), ("fp32", 0))
    ]
    found = layers.with_shares(rows, products, bandwidth=12.0)
    assert [row["of_copy"] for row in found] == [0.25] * 3
    assert [row["of_products"] for row in found] == [0.25, 0.1, None]


def test_the_faster_layout_of_torch_stands_beside_npalexnet():
    about = {"precision": "fp32", "batch": 1, "layer": "conv1", "pass": "forward"}
    rows = [
        {**about, "rival": rival, "median": median}
        for rival, median in (("npalexnet, GPU", 2.0), ("torch, GPU", 3.0), ("torch, channels_last, GPU", 1.0))
    ]
    (pair,) = pairs_of(rows).values()
    assert (pair["ours"]["median"], pair["torch"]["median"]) == (2.0, 1.0)


def test_on_a_gpu_layers_and_ceilings_are_measured(narrow_rivals, monkeypatch, tmp_path, capsys):
    pretend(monkeypatch, FAKE)
    rate = {"precision": "tf32", "batch": 1, "what": "conv1", "shape": [2], "bytes": 8, "median": 1.0, "seconds": [1.0]}
    row = {"kernel": "im2col", "bytes_per_second": 8.0, **rate}
    monkeypatch.setattr(layers, "kernel_times", lambda *given: [row])
    name = tmp_path / "layers"
    line = ["gpu-layers", "--quick", "--classes", "3", "--threads", "1", "--precisions", "tf32"]
    assert main([*line, "--output", str(name)]) == 0
    printed, result = capsys.readouterr().out, json.loads((tmp_path / "layers.json").read_text())
    assert result["left_out"] == []
    assert len({(row["layer"], row["pass"]) for row in result["results"]}) == 42
    assert len(result["results"]) == 3 * 42
    rivals = {"npalexnet, GPU", "torch, GPU", "torch, channels_last, GPU"}
    assert {row["rival"] for row in result["results"]} == rivals
    assert {row["rival"] for row in result["products"]} == {"npalexnet, GPU", "torch, GPU"}
    assert {row["product"] for row in result["products"]} >= {"square of 16", "conv5 input gradient, 1 image"}
    share = result["targets"][0]["measured"]
    assert share == 8.0 / result["copy"]["bytes_per_second"]
    assert [target["measured"] for target in result["targets"]] == [share, None, None, None, None]
    for text in (
        "A copy reads and writes",
        "matmul.allow_tf32 True",
        "tf32, im2col (conv1): share of a copy's bandwidth",
    ):
        assert text in printed
    assert (tmp_path / "layers.png").stat().st_size > 10_000
