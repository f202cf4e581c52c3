"""The CUDA kernels on the CPU, as fixtures."""

import pytest

from npalexnet.backend.kernels import Kernels
from tests.backend.shim import GuardedMemory, ShimLauncher

BLOCKS = (256, 4)  # with 4 threads, rows are longer than a block


@pytest.fixture
def launcher(libraries):
    return ShimLauncher(libraries)


@pytest.fixture
def memory():
    memory = GuardedMemory()
    yield memory
    memory.check()


@pytest.fixture(params=BLOCKS)
def kernels(request, memory, launcher):
    yield Kernels(memory, launcher, request.param)
    assert launcher.launched, "no kernel was run"
