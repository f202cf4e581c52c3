"""Benchmarks in tests: one run a turn, few candidates for the floor, and the threads as they were afterwards."""

import pytest

import npalexnet as na
from benchmarks import floor, turns

RIVALS = ["npalexnet", "torch", "torch, channels_last"]


@pytest.fixture(autouse=True, scope="module")
def _hurry():
    import torch

    ours, theirs = na.get_num_threads(), torch.get_num_threads()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(turns, "AT_LEAST", 0.0)
        patch.setattr(floor, "IMAGES", (1,))
        yield
    na.set_num_threads(ours)
    torch.set_num_threads(theirs)
