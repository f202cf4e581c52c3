"""The CUDA kernels on the CPU, and a fake GPU with a fake cuBLAS, as fixtures."""

import ctypes
import sys
import types

import pytest

import npalexnet as na
from npalexnet.backend.cuda import cublas
from npalexnet.backend.cuda import device as cuda
from npalexnet.backend.cuda.kernels import Kernels
from tests.fakes.cublas import FakeCublas
from tests.fakes.cupy import FakeCupy
from tests.fakes.launcher import FakeLauncher, GuardedMemory

BLOCKS = (256, 4)  # with 4 threads, rows are longer than a block


@pytest.fixture
def launcher(libraries):
    return FakeLauncher(libraries)


@pytest.fixture
def memory():
    memory = GuardedMemory()
    yield memory
    memory.check()


@pytest.fixture(params=BLOCKS)
def kernels(request, memory, launcher):
    yield Kernels(memory, launcher, request.param)
    assert launcher.launched, "no kernel was run"


@pytest.fixture
def cupy(monkeypatch):
    cupy = FakeCupy()
    cupy.install(monkeypatch)
    yield cupy
    na.set_float32_matmul_precision("highest")
    cuda._cupys_precision = None


@pytest.fixture
def blas(monkeypatch):
    """A fresh fake cuBLAS, where `cuda.pathfinder` finds it."""
    blas = FakeCublas()
    monkeypatch.setattr(ctypes, "CDLL", blas.load)
    pathfinder = types.ModuleType("cuda.pathfinder")
    pathfinder.load_nvidia_dynamic_lib = lambda name: types.SimpleNamespace(abs_path={"cublas": blas.path}[name])
    monkeypatch.setitem(sys.modules, "cuda", types.ModuleType("cuda"))
    monkeypatch.setitem(sys.modules, "cuda.pathfinder", pathfinder)
    cublas.library.cache_clear()
    yield blas
    cublas.library.cache_clear()


@pytest.fixture
def gpu(cupy, blas):
    return cuda.CudaDevice(0)


@pytest.fixture
def cupys_turn(cupy):
    """The shapes of products that CuPy was asked for."""
    shapes, matmul = [], cupy.matmul
    cupy.matmul = lambda a, b, out=None: (shapes.append((a.shape, b.shape)), matmul(a, b, out=out))[1]
    return shapes
