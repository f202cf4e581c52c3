"""Each question runs, compares like with like, and reports in full; the numbers themselves are not looked at."""

import contextlib
import io
import json
import re
import struct
import time
from types import SimpleNamespace

import numpy as np
import pytest
import torch

import npalexnet as na
from benchmarks.__main__ import QUESTIONS, main
from benchmarks.cpu import ablation, algorithms, memory, peers, profile, scaling
from benchmarks.rivals import lineup, peer
from benchmarks.rivals.gemm_lower_bound import DIRECT, WINOGRAD
from benchmarks.rivals.npalexnet_rival import NpalexnetRival
from benchmarks.rivals.rival import HELD, OURS
from npalexnet.layers import algorithm_choice
from tests.benchmarks.conftest import RIVALS, narrow_rivals
from tests.networks import WIDTH

CHILD = {"imports": 2**20, "model": 3 * 2**20, "peak": 8 * 2**20, "threads": 1}
CONVOLUTIONS = 62_378_344 - 9217 * 4096 - 4097 * (4096 + 1000)  # AlexNet's parameters, less those of its linear layers


@pytest.fixture(scope="module")
def answers(tmp_path_factory):
    """What each question printed and wrote; the networks, which take long to make, are made once."""
    folder = tmp_path_factory.mktemp("answers")
    found = {}
    made = {}

    def trainers(arguments, say, real=lineup.on_cpu):
        if not made:
            made["trainers"] = real(arguments or SimpleNamespace(threads=1, classes=3, dropout=0.5), say)
            made["state"] = made["trainers"][0].model.state_dict()
            made["held"] = NpalexnetRival(1, 3, 0.5, "cpu", made["state"], "im2col")
        ours, others = made["trainers"]
        for mine in (ours, made["held"]):  # a question before this one may have trained them
            mine.model.load_state_dict(made["state"])
        for other in others:
            other.model.load_state_dict({name: torch.from_numpy(value) for name, value in made["state"].items()})
        return ours, others

    def answer(question):
        if question not in found:
            name, printed = folder / question, io.StringIO()
            with contextlib.redirect_stdout(printed), na.convolution_algorithm("auto"):
                status = main([question, "--quick", "--classes", "3", "--threads", "1", "--output", str(name)])
            assert status == 0
            found[question] = printed.getvalue(), json.loads((folder / f"{question}.json").read_text())
        return found[question]

    with pytest.MonkeyPatch.context() as patch:
        narrow_rivals(patch)
        patch.setattr(lineup, "on_cpu", trainers)
        patch.setattr(lineup, "held_to_im2col", lambda *given: made["held"])
        patch.setattr(lineup, "compiled", lambda *given: [])  # test_compiled.py has a real one: it takes half a minute
        patch.setattr(memory, "compiled", lambda *given: [])
        for sizes, channels in (("SIZES", "CHANNELS"), ("RARE_SIZES", "RARE_CHANNELS")):
            patch.setattr(algorithms, sizes, (9,))
            patch.setattr(algorithms, channels, (8,))
        patch.setattr(peer, "PEERS", {})
        patch.setattr(algorithm_choice, "LEAST_WINDOWS", 27 * 27)  # of one image: conv2 by Winograd's, conv3 not
        for module in (ablation, peers, profile):
            patch.setattr(module, "NpalexnetRival", lambda *given: lineup.on_cpu(None, None)[0])
        patch.setattr(memory, "child", lambda *given: lambda: CHILD)  # test_memory.py has real ones
        answer.folder = folder
        yield answer


def table_rows(text):
    """The cells of the last table's rows."""
    header, rule, *rows = text.strip().split("\n\n")[-1].splitlines()
    assert set(rule) <= {"-", " "}
    return re.split(r"  +", header), [re.split(r"  +", row) for row in rows]


@pytest.mark.parametrize("question", QUESTIONS)
def test_table_and_files_say_on_which_machine_with_which_versions_and_settings(answers, question):
    table, result = answers(question)
    assert result["question"] == question
    assert result["machine"]["cores"] >= 1
    assert set(result["versions"]) == {"npalexnet", "python", "numpy", "numpy_blas", "torch", "onnxruntime"}
    assert result["versions"]["numpy_blas"]
    settings = result["settings"]
    assert {name: settings[name] for name in ("rounds", "warmup", "threads", "classes")} == {
        "rounds": 1,
        "warmup": 0,
        "threads": 1,
        "classes": 3,
    }
    versions = [result["versions"][name] for name in ("npalexnet", "python", "numpy", "torch", "onnxruntime")]
    for text in (result["machine"]["cpu"], result["date"], "float32", "load average", *versions):
        assert text in table
    header, rows = table_rows(table)
    assert all(len(row) == len(header) for row in rows)


@pytest.mark.parametrize("question", QUESTIONS)
def test_a_chart_is_written_beside_the_numbers(answers, question):
    answers(question)
    png = (answers.folder / f"{question}.png").read_bytes()
    assert png[:8] == b"\x89PNG\r\n\x1a\n"
    width, height = struct.unpack(">II", png[16:24])
    assert width >= 800
    assert height >= 300
    assert not [path.name for path in answers.folder.iterdir() if path.name.startswith(".")]


@pytest.mark.parametrize(("question", "more"), [("step", []), ("forward", ["ONNX Runtime"])])
def test_step_and_forward_have_every_rival_and_both_floors(answers, question, more):
    table, result = answers(question)
    rows = result["results"]
    assert [row["rival"] for row in rows] == [OURS, HELD, *RIVALS[1:], *more, DIRECT, WINOGRAD]
    for row in rows:
        assert row["threads"] == row["batch"] == len(row["seconds"]) == 1
        assert row["median"] == row["seconds"][0] == row["min"] == row["max"] > 0
        assert row["images_per_second"] == pytest.approx(1 / row["median"])
        assert row["gflops_per_second"] == pytest.approx(row["flops"] / row["median"] / 1e9)
        assert row["time_over_npalexnet"] == pytest.approx(row["median"] / rows[0]["median"])
        assert row["time_over_direct_floor"] == pytest.approx(row["median"] / rows[-2]["median"])
        assert row["time_over_winograd_floor"] == pytest.approx(row["median"] / rows[-1]["median"])
    direct, fewer = rows[-2:]
    assert fewer["flops"] < direct["flops"] == rows[0]["flops"]
    assert fewer["gflops_per_second"] == pytest.approx(direct["gflops_per_second"])  # the same rate
    header, cells = table_rows(table)
    assert header == [
        *("rival", "batch", "threads", "median ms", "min..max", "images/s", "GFLOP/s"),
        *("time / direct floor", "/ Winograd floor", "time / npalexnet's"),
    ]
    assert cells[-2][0].startswith("direct floor: sgemm alone (conv")
    assert cells[-1][0].startswith("Winograd floor")


def test_the_first_passes_are_reported(answers):
    _, step = answers("step")
    _, forward = answers("forward")
    for what, first in (("loss", step), ("norm of the gradients", step), ("logits", forward)):
        norms = {rival: values[what] for rival, values in first["first"]["1"].items()}
        assert list(norms) == [row["rival"] for row in first["results"][:-2]]
        assert all(norm == pytest.approx(norms["torch"], rel=1e-4) for norm in norms.values())
        assert f"first {what}" in answers(first["question"])[0]


def test_layers_has_every_layer_once_forward_and_backward(answers):
    table, result = answers("layers")
    header, cells = table_rows(table)
    pass_columns = ["im2col's", "torch's", "ratio", "GFLOP/s", "of sgemm"]
    assert header == ["layer", "input", "forward ms", *pass_columns, "backward ms", *pass_columns]
    assert [(row[0], row[1]) for row in cells] == [
        ("conv1", "1 x 3 x 227 x 227"),
        ("conv1, to the images", "1 x 3 x 227 x 227"),
        ("relu1", "1 x 96 x 55 x 55"),
        ("pool1", "1 x 96 x 55 x 55"),
        ("conv2", "1 x 96 x 27 x 27"),
        ("relu2", "1 x 256 x 27 x 27"),
        ("pool2", "1 x 256 x 27 x 27"),
        ("conv3", "1 x 256 x 13 x 13"),
        ("relu3", "1 x 384 x 13 x 13"),
        ("conv4", "1 x 384 x 13 x 13"),
        ("conv5", "1 x 384 x 13 x 13"),
        ("relu5", "1 x 256 x 13 x 13"),
        ("pool3", "1 x 256 x 13 x 13"),
        ("flatten1", "1 x 256 x 6 x 6"),
        ("dropout1", "1 x 9216"),
        ("linear1", "1 x 9216"),
        ("relu6", f"1 x {WIDTH}"),
        ("dropout2", f"1 x {WIDTH}"),
        ("linear2", f"1 x {WIDTH}"),
        ("linear3", f"1 x {WIDTH}"),
        ("loss", "1 x 3"),
        ("SGD step", str(CONVOLUTIONS + 9217 * WIDTH + (WIDTH + 1) * (WIDTH + 3))),
    ]
    for name, _, *rest in cells:
        forward, backward = rest[:6], rest[6:]
        assert (forward[0] == "-") == (forward[2] == "-") == (name == "conv1, to the images")
        assert (backward[0] == "-") == (backward[2] == "-") == (name == "SGD step")
        assert (backward[1] == "-") != name.startswith("conv")  # im2col alone is timed in no other layer
        products = name.startswith(("conv", "linear"))
        assert backward[5].endswith("%") == products
    rows = {(row["layer"], row["pass"], row["rival"]): row for row in result["results"]}
    conv1 = 2 * 55 * 55 * 96 * 11 * 11 * 3
    assert rows["conv1", "forward", "npalexnet"]["flops"] == rows["conv1", "backward", "torch"]["flops"] == conv1
    assert rows["conv1, to the images", "backward", "torch"]["flops"] == 2 * conv1
    assert rows["linear2", "backward", "torch"]["flops"] == 2 * 2 * WIDTH * WIDTH
    ours, torch = (rows["pool1", "forward", rival] for rival in ("npalexnet", "torch"))
    assert ours["time_over_torch"] == pytest.approx(ours["median"] / torch["median"])


def test_memory_has_every_rival_and_stage(answers):
    table, result = answers("memory")
    assert [row["rival"] for row in result["results"]] == [OURS, HELD, *RIVALS[1:]]
    for row in result["results"]:
        assert row["stages"] == {"imports": 2**20, "model": 3 * 2**20, "peak": 8 * 2**20}
        assert row["peak_over_torch"] == 1
    _, cells = table_rows(table)
    assert cells[0] == ["npalexnet", "1", "1", "1", "3", "8", "8..8", "1.00"]


def test_scaling_varies_batch_and_threads_and_measures_memory(answers):
    table, result = answers("scaling")
    combinations = [(row["varied"], row["task"], row["rival"]) for row in result["times"]]
    assert combinations == [
        (varied, task, rival) for varied in ("batch", "threads") for task in ("forward", "step") for rival in RIVALS
    ]
    for row in result["times"]:
        assert row["seconds_per_image"] == pytest.approx(row["median"] / row["batch"])
    assert [(row["rival"], row["per_image"]) for row in result["memory"]] == [(rival, 8 * 2**20) for rival in RIVALS]
    header, cells = table_rows(table)
    assert header == ["rival", "batch", "peak MiB", "MiB/image"]
    assert len(cells) == 3


def test_the_parts_of_a_profile_add_up_to_the_step(answers):
    _, result = answers("profile")
    seconds = {row["part"]: row["median"] for row in result["results"]}
    whole, lowest, fewer = (seconds.pop(name) for name in ("whole step", DIRECT, WINOGRAD))
    assert sum(seconds.values()) == pytest.approx(whole)
    assert set(seconds) == {name for name, _, _ in profile.WATCHED} | {profile.REST}
    assert all(part > 0 for part in seconds.values())  # one thread: nothing counts twice, so there is a rest
    assert lowest > fewer > 0


def test_the_time_of_what_is_inside_counts_once_and_products_belong_to_their_layer():
    watches = profile.Stopwatches()
    product = watches.around(profile.PRODUCTS, lambda: time.sleep(0.05))
    linear = watches.around(profile.LINEAR, lambda: (time.sleep(0.02), product()))
    convolution = watches.around("biases", lambda: (time.sleep(0.02), product()))
    for_the_points = watches.around(profile.POINTS, lambda: time.sleep(0.01))
    transform = watches.around(profile.TO_POINTS, lambda: for_the_points())
    start = time.perf_counter()
    linear()
    convolution()
    transform()
    product()  # on a thread that shares in somebody else's: who waits for it has its time
    elapsed = time.perf_counter() - start
    assert watches.seconds[profile.LINEAR] >= 0.07
    assert 0.05 <= watches.seconds[profile.PRODUCTS] < 0.1
    assert watches.seconds[profile.TO_POINTS] >= 0.01
    assert profile.POINTS not in watches.seconds
    assert watches.seconds["biases"] >= 0.02
    assert sum(watches.seconds.values()) <= elapsed


def test_the_ablation_has_a_row_for_each_idea_and_times_relative_to_the_baseline(answers):
    table, _ = answers("ablation")
    header, cells = table_rows(table)
    assert header == ["variant", "forward of 1, ms", "times as fast", "step of 1, ms", "times as fast"]
    assert [row[0] for row in cells] == [ablation.BASELINE, *(idea.name for idea in ablation.IDEAS)]
    assert cells[0][2] == cells[0][4] == "1.00"


def test_each_variant_switches_ideas_off_computes_the_same_and_leaves_all_as_it_was():
    def everything():
        return [getattr(module, name) for idea in ablation.IDEAS for module, name, _ in idea.off]

    before, x = everything(), np.random.default_rng(0).standard_normal((9, 2, 40, 40))
    outputs = []
    for number in range(len(ablation.IDEAS) + 1):
        with ablation.variant(number):
            off = {}
            for idea in ablation.IDEAS[number:]:
                for module, name, value in idea.off:
                    off.setdefault((module, name), value)  # the earliest idea's
            for (module, name), value in off.items():
                assert getattr(module, name) is value or getattr(module, name) == value
            layers = na.Conv2d(2, 8, 5, padding=2, dtype="float64", seed=0), na.ReLU(), na.MaxPool2d(3, 2)
            tail = na.Flatten(), na.Linear(8 * 19 * 19, 600, dtype="float64", seed=0)
            outputs.append(na.Sequential(*layers, *tail)(x))
    assert everything() == before
    for y in outputs[:-1]:
        np.testing.assert_allclose(y, outputs[-1], rtol=0, atol=1e-12)


@pytest.mark.parametrize(("most", "counts"), [(1, [1]), (2, [1, 2]), (6, [1, 2, 4, 6]), (8, [1, 2, 4, 8])])
def test_threads_double_up_to_the_number_there_is(most, counts):
    assert scaling.thread_counts(most) == counts


@pytest.mark.parametrize("question", QUESTIONS)
def test_tables_and_charts_do_without_torch(answers, question):
    _, result = answers(question)
    alone = dict(result, torch_flags=None)
    for part in {"results", "times", "memory"} & set(result):
        rows = [row for row in result[part] if row.get("rival", OURS) in (OURS, DIRECT, WINOGRAD)]
        alone[part] = [{**row, "peak_over_torch": None} for row in rows]
    _, rows = table_rows(QUESTIONS[question].show(alone))
    tried = [(name, value) for name, values in algorithms.TRIED.items() for value in values]
    expected = {
        "step": 3,
        "forward": 3,
        "layers": 22,
        "memory": 1,
        "accuracy": 2,
        "scaling": 1,
        "profile": 19,
        "ablation": 10,
        "algorithms": 3 + sum(v != getattr(algorithm_choice, name) for name, v in tried),
        "peers": 2,
        "gpu": 2,
        "gpu-layers": 42,
    }
    assert len(rows) == expected[question]
    assert not any("torch" in cell for row in rows for cell in row)
    QUESTIONS[question].chart(alone)
