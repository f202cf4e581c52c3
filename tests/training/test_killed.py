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
        process = child(folder)
        deadline, begun = time.monotonic() + 30, folder.exists()
        while not folder.exists() and time.monotonic() < deadline:
            time.sleep(0.01)
        time.sleep(moments.uniform(0.0, 0.3) + 0.4 * begun)
        process.kill()
        kills += process.wait(60) == -signal.SIGKILL
    assert kills
    assert child(folder).wait(60) == 0
    assert_same_end(folder, undisturbed)
