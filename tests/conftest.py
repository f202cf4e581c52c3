"""Fixtures: the dtypes and devices that tests run over."""

import itertools

import numpy as np
import pytest

from npalexnet import backend
from npalexnet.backend.cuda import probe
from tests.standin import StandInDevice

STAND_IN = StandInDevice()
backend.register_device(STAND_IN)


def pytest_report_header():
    return f"GPU: {'usable' if probe().usable else 'not usable, its tests are skipped'}: {probe().reason}"


@pytest.fixture(autouse=True)
def no_chance(monkeypatch):
    """Layers made without a seed draw from 1, 2, ... instead of from the unpredictable."""
    default_rng, seeds = np.random.default_rng, itertools.count(1)
    monkeypatch.setattr(np.random, "default_rng", lambda seed=None: default_rng(next(seeds) if seed is None else seed))


@pytest.fixture(params=["float32", "float64"])
def dtype(request):
    return request.param


@pytest.fixture(params=["cpu", "standin", pytest.param("cuda", marks=pytest.mark.gpu)])
def device(request):
    """The name of each device that is usable here; CuPy's is skipped with the reason where it is not."""
    if request.param == "cuda" and not probe().usable:
        pytest.skip(f"no usable GPU: {probe().reason} (stage: {probe().stage})")
    return request.param
