"""What is met, what is missed, and what was not measured."""

import pytest

from benchmarks import gpu_targets
from benchmarks.gpu_targets import Target, of_kernels, of_network


def row(precision, task, batch, rival, median):
    return {"precision": precision, "task": task, "batch": batch, "rival": rival, "median": median}


ROWS = [
    row("fp32", "step", 128, "npalexnet", 50.0),
    row("fp32", "step", 128, "npalexnet, GPU", 1.0),
    row("fp32", "step", 128, "torch, GPU", 0.95),
    row("fp32", "step", 128, "torch, channels_last, GPU", 0.89),
    row("fp32", "forward", 1, "npalexnet, GPU", 1.0),
    row("fp32", "forward", 1, "npalexnet, GPU, graph", 0.5),
    row("fp32", "forward", 1, "torch, GPU", 0.8),
    row("fp32", "forward", 1, "torch, GPU, graph", 0.1),
    row("bf16", "step", 128, "npalexnet, GPU", 0.5),
    row("bf16", "step", 128, "torch, GPU", 0.45),
]


def test_against_the_faster_layout_of_eager_torch_in_the_same_precision():
    targets = {target.what: target for target in of_network(ROWS, ["fp32", "bf16"])}
    assert {what: (t.measured and pytest.approx(t.measured), t.verdict) for what, t in targets.items()} == {
        "fp32, step of 128: speed over torch's eager": (0.89, "missed"),
        "fp32, forward of 1: speed over torch's eager": (1.6, "met"),
        "bf16, step of 128: speed over torch's eager": (0.9, "met"),
        "bf16, forward of 1: speed over torch's eager": (None, "not measured"),
        "fp32, step of 128: speed over npalexnet's on the CPU": (50.0, "reported"),
        "bf16, step of 128: speed over npalexnet's on the CPU": (100.0, "reported"),
    }


def test_what_is_asked():
    asked = {target.what.split(":")[0]: target.asked for target in of_network([], ["fp32", "tf32", "bf16"])}
    steps = [asked[f"{precision}, step of 128"] for precision in ("fp32", "tf32", "bf16")]
    # The last three, of the CPU, have the same beginning and ask for nothing.
    assert steps == [None] * 3
    assert gpu_targets.STEP == {"fp32": 0.9, "tf32": 0.8, "bf16": 0.8}
    assert asked["tf32, forward of 1"] == 1.5


def test_a_kernel_is_as_good_as_at_its_worst_shape():
    rows = [
        {"precision": "fp32", "kernel": "im2col", "what": what, "of_copy": share}
        for what, share in (("conv1", 0.9), ("conv2", 0.7), ("conv3", 0.8))
    ]
    targets = of_kernels(rows, ["fp32"])
    assert [target.verdict for target in targets] == ["met", *["not measured"] * 4]
    assert targets[0].what.startswith("fp32, im2col (conv2)")
    rows[2]["of_copy"] = 0.69
    assert of_kernels(rows, ["fp32"])[0].verdict == "missed"


def test_a_target_is_told_in_words_and_numbers():
    assert Target("a", 0.9, 0.888).cells() == ("a", "0.90", "0.89", "missed")
    assert Target("a", None, 120.0).cells() == ("a", "-", "120.00", "reported")
    assert Target("a", 0.9, None).cells() == ("a", "0.90", "-", "not measured")
