"""What is met, what is missed, and what was not measured."""

import pytest

from benchmarks.gpu import targets
from benchmarks.gpu.targets import of_kernels, of_network, verdict


def row(precision, task, batch, rival, median):
    return {"precision": precision, "task": task, "batch": batch, "rival": rival, "median": median}


ROWS = [
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


def found(rows, precisions):
    return {target["what"]: (target["asked"], target["measured"]) for target in of_network(rows, precisions)}


def test_against_the_faster_layout_of_eager_torch_in_the_same_precision():
    assert found(ROWS, ["fp32", "bf16"]) == {
        "fp32, step of 128: speed over torch's eager": (0.9, pytest.approx(0.89)),
        "fp32, forward of 1: speed over torch's eager": (1.5, pytest.approx(1.6)),
        "bf16, step of 128: speed over torch's eager": (0.8, pytest.approx(0.9)),
        "bf16, forward of 1: speed over torch's eager": (1.5, None),
    }


def test_what_is_asked():
    asked = [asked for asked, _ in found([], ["fp32", "tf32", "bf16"]).values()]
    assert asked == [0.9, 1.5, 0.8, 1.5, 0.8, 1.5]


def test_a_kernel_is_as_good_as_at_its_worst_shape():
    rows = [
        {"precision": "fp32", "kernel": "im2col", "what": what, "of_copy": share}
        for what, share in (("conv1", 0.9), ("conv2", 0.7), ("conv3", 0.8))
    ]
    first, *others = of_kernels(rows, ["fp32"])
    assert first == {"what": "fp32, im2col (conv2): share of a copy's bandwidth", "asked": 0.7, "measured": 0.7}
    assert [target["measured"] for target in others] == [None] * 4


def test_a_target_is_told_in_words_and_numbers():
    assert [verdict(0.7, share) for share in (0.7, 0.69, None)] == ["met", "missed", "not measured"]
    rows = [{"what": "a", "asked": 0.9, "measured": 0.888}, {"what": "b", "asked": 0.9, "measured": None}]
    table = targets.show({"targets": rows, "gpu": {"found": "an H100"}})
    cells = [line.split() for line in table.splitlines()[-2:]]
    assert cells == [["a", "0.90", "0.89", "missed"], ["b", "0.90", "-", "not", "measured"]]
    assert table.startswith("measured on: an H100\n")
