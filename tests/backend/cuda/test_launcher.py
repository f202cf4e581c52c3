"""Launching kernels through CuPy, told apart from CuPy itself; and the switch."""

import subprocess
import sys
from types import SimpleNamespace

import numpy as np
import pytest

from npalexnet.backend import input_dtype
from npalexnet.backend.cuda import launcher


@pytest.fixture(autouse=True)
def fresh(monkeypatch):
    """No variable in the environment, no choice made, no module compiled; and the same afterwards."""
    monkeypatch.delenv(launcher.ENVIRONMENT_VARIABLE, raising=False)
    yield
    launcher.enable_cuda_kernels(None)
    launcher._module.cache_clear()
    launcher._function.cache_clear()


def test_kernels_are_on_unless_the_environment_or_a_call_says_otherwise(monkeypatch):
    assert launcher.cuda_kernels_enabled()
    for text, enabled in (("0", False), ("1", True), (" 0 ", False), ("", True)):
        monkeypatch.setenv(launcher.ENVIRONMENT_VARIABLE, text)
        assert launcher.cuda_kernels_enabled() is enabled
        for choice in (True, False):
            launcher.enable_cuda_kernels(choice)
            assert launcher.cuda_kernels_enabled() is choice
        launcher.enable_cuda_kernels(None)


def test_a_switch_that_is_neither_on_nor_off_is_refused(monkeypatch):
    monkeypatch.setenv(launcher.ENVIRONMENT_VARIABLE, "yes")
    with pytest.raises(ValueError, match="NPALEXNET_CUDA_KERNELS must be 0 or 1, got 'yes'"):
        launcher.cuda_kernels_enabled()
    with pytest.raises(TypeError, match="enabled must be True, False or None, got 1"):
        launcher.enable_cuda_kernels(1)


def test_cupy_compiles_once_for_each_dtype_and_launches_by_name(monkeypatch):
    modules, launches = [], []

    class RawModule:
        def __init__(self, *, code, options):
            modules.append((code, options))

        def get_function(self, name):
            return lambda *arguments: launches.append((name, *arguments))

    monkeypatch.setitem(sys.modules, "cupy", SimpleNamespace(RawModule=RawModule))
    launch = launcher.CupyLauncher()
    for name_of_dtype, real, wide in (
        ("float32", "float", "float"),
        ("float64", "double", "double"),
        ("float16", "float16", "float"),
        ("bfloat16", "bfloat16", "float"),
    ):
        dtype = input_dtype(name_of_dtype)
        for name in ("sgd", "dropout", "sgd"):
            launch(name, dtype, (3,), (256,), (np.int32(1),))
            assert launches.pop() == (name, (3,), (256,), (np.int32(1),))
        code, options = modules.pop()
        assert "__global__" in code
        assert options[:2] == (f"-DREAL={real}", f"-DWIDE={wide}")
        assert "--fmad=false" in options
        assert modules == []


def test_importing_the_kernels_imports_no_cupy():
    code = (
        "import sys, npalexnet.backend.cuda.kernels, npalexnet.backend.cuda.launcher; sys.exit('cupy' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
