"""Memory is that of a process of its own, which has one library alone."""

import json
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from benchmarks.cpu import memory

ROOT = Path(memory.__file__).parents[2]
ARGUMENTS = SimpleNamespace(threads=1, classes=3, dropout=0.5)


def python(code):
    return subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True).stdout


@pytest.mark.parametrize("rival", ["npalexnet, im2col", "torch, channels_last"])
def test_a_child_imports_its_own_library_and_tells_what_each_stage_takes(rival):
    report = memory.child(rival, 1, 1, ARGUMENTS)()
    assert report["libraries"] == [rival.split(",")[0]]
    assert report["threads"] == 1
    parameters = 4 * (9216 * 4096 + 4096 * 4096)  # bytes of the two large ones
    assert report["imports"] > 2**20
    assert report["model"] > report["imports"] + parameters
    assert report["peak"] > report["model"] + 2 * parameters  # gradients and momentum


def test_the_peak_is_the_childs_own_and_not_inherited_from_a_large_parent():
    large = np.ones(2**26)  # 512 MiB
    found = json.loads(python("from benchmarks.cpu import memory_child as c; print(c.peak())"))
    assert 2**20 < found < large.nbytes / 2


def test_the_peak_stays_when_the_memory_is_given_back():
    code = (
        "import numpy as np; from benchmarks.cpu.memory_child import peak, resident;"
        "a = np.ones(2**25); del a; print([resident(), peak()])"
    )
    now, most = json.loads(python(code))
    assert now < 2**27  # 128 MiB
    assert most > 2**28  # the array's 256 MiB


def test_a_child_that_fails_is_an_error_that_says_why():
    with pytest.raises(RuntimeError, match=r"npalexnet, batch of 1, .*num_classes"):
        memory.child("npalexnet", 1, 1, SimpleNamespace(threads=1, classes=0, dropout=0.5))()


def test_ratios_are_to_torch_at_the_same_batch():
    peaks = {(1, "npalexnet"): 30, (1, "torch"): 40, (8, "npalexnet"): 90, (8, "torch"): 60}
    rows = memory.with_ratios([{"batch": b, "rival": r, "median": m} for (b, r), m in peaks.items()])
    assert [row["peak_over_torch"] for row in rows] == [0.75, 1.0, 1.5, 1.0]
    assert memory.with_ratios([{"batch": 1, "rival": "npalexnet", "median": 3}])[0]["peak_over_torch"] is None
