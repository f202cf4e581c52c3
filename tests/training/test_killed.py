"""Killed runs that go on end with the bits of one that was left alone."""

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.training.small import assert_same_end

ROOT = Path(__file__).parent.parent.parent


def child(folder, *event):
    return subprocess.Popen([sys.executable, "-m", "tests.training.child", str(folder), *map(str, event)], cwd=ROOT)


def written(folder):
    """When a line of the metrics was written last, and their length."""
    path = folder / "metrics.jsonl"
    return (path.stat().st_mtime_ns, path.stat().st_size) if path.exists() else None


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    folder = tmp_path_factory.mktemp("kill") / "whole"
    assert child(folder).wait(60) == 0
    return folder


@pytest.mark.skipif(os.name == "nt", reason="there is no SIGKILL")
def test_killed_at_each_moment_of_a_checkpoint_a_run_goes_on_to_the_same_end(undisturbed, tmp_path):
    """Each process dies one file operation later than the one before it, so that all moments are met."""
    folder, kills = tmp_path / "run", 0
    for event in range(1, 14):
        kills += child(folder, event).wait(60) == -signal.SIGKILL
    assert kills >= 9
    assert child(folder).wait(60) == 0
    assert_same_end(folder, undisturbed)
    assert not [path for path in folder.iterdir() if path.name.startswith(".")]


@pytest.mark.skipif(os.name == "nt", reason="there is no SIGKILL")
def test_killed_at_random_moments_a_run_goes_on_to_the_same_end(undisturbed, tmp_path):
    folder, moments, kills = tmp_path / "run", random.Random(0), 0
    for _ in range(3):
        before, process, deadline = written(folder), child(folder), time.monotonic() + 30
        while written(folder) == before and process.poll() is None and time.monotonic() < deadline:
            time.sleep(0.01)
        time.sleep(moments.uniform(0.0, 0.15))
        process.kill()
        kills += process.wait(60) == -signal.SIGKILL
    assert kills
    assert child(folder).wait(60) == 0
    assert_same_end(folder, undisturbed)
