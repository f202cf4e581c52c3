"""Fixtures: the dtypes and devices that tests run over, and a trained network."""

import itertools
import shutil
import signal

import numpy as np
import pytest

from npalexnet import backend
from npalexnet.backend.cuda.device import probe
from npalexnet.backend.cuda.kernels import Kernels
from npalexnet.cli import main
from tests.fakes.device import FAKE
from tests.fakes.figures import leave_blank
from tests.fakes.launcher import FakeDeviceWithKernels, FakeLauncher, compile_for_cpu
from tests.networks import TINY, narrow

HANG_UP = getattr(signal, "SIGHUP", None)  # Windows has none
FAKE_WITH_KERNELS = FakeDeviceWithKernels("fake-kernels")
backend.register_device(FAKE)
backend.register_device(FAKE_WITH_KERNELS)


@pytest.fixture(autouse=True, scope="session")
def signals_end_a_process():
    """As they do in a terminal: tests that began in the background, or under nohup, inherit some as ignored."""
    for number, handler in ((signal.SIGINT, signal.default_int_handler), (HANG_UP, signal.SIG_DFL)):
        if number is not None and signal.getsignal(number) is signal.SIG_IGN:
            signal.signal(number, handler)


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


@pytest.fixture(name="narrow")
def _narrow(monkeypatch):
    """AlexNet has few parameters, see `narrow`."""
    narrow(monkeypatch)


@pytest.fixture
def drawn():
    """Asked for by tests that look at the figures, where `blank_figures` is asked for by a whole file."""


@pytest.fixture
def blank_figures(request):
    """Commands write files for their figures, but matplotlib draws nothing: it would take most of the time."""
    with pytest.MonkeyPatch.context() as patch:
        if "drawn" not in request.fixturenames:
            leave_blank(patch.setattr)
        yield


@pytest.fixture
def trained_run(narrow, _trained_run):
    """The folder of a run of two steps of the narrow network, shared by all tests: to be read, not to be written to."""
    return _trained_run


@pytest.fixture(scope="session")
def _trained_run(tmp_path_factory):
    folder, threads = tmp_path_factory.mktemp("trained") / "run", backend.get_num_threads()
    with pytest.MonkeyPatch.context() as patch:
        narrow(patch)
        assert main(["train", *TINY, "--out", str(folder), "--threads", "2"]) == 0
    backend.set_num_threads(threads)
    before = _files(folder)
    yield folder
    assert _files(folder) == before, "a test has written into the run that all share"


def _files(folder):
    return {path: path.stat().st_mtime_ns for path in folder.rglob("*")}


@pytest.fixture(scope="session")
def libraries(tmp_path_factory):
    compiler = shutil.which("g++")
    if compiler is None:
        pytest.skip("no g++ to compile the kernels for the CPU with")
    return compile_for_cpu(compiler, tmp_path_factory.mktemp("kernels"))


@pytest.fixture
def fake_with_kernels(libraries):
    """The fake device whose kernels run on the CPU."""
    if FAKE_WITH_KERNELS.kernels is None:
        FAKE_WITH_KERNELS.launcher = FakeLauncher(libraries, raw=lambda array: array._values)
        FAKE_WITH_KERNELS.kernels = Kernels(FAKE_WITH_KERNELS.xp, FAKE_WITH_KERNELS.launcher)
    return FAKE_WITH_KERNELS


@pytest.fixture(
    params=[
        "cpu",
        "fake",
        "fake-kernels",
        pytest.param("cuda", marks=pytest.mark.gpu),
        pytest.param("cuda, kernels off", marks=pytest.mark.gpu),
    ]
)
def device(request):
    """The name of each device that is usable here; CuPy's is skipped with the reason where it is not."""
    if request.param.startswith("cuda"):
        if not probe().usable:
            pytest.skip(f"no usable GPU: {probe().reason} (stage: {probe().stage})")
        request.getfixturevalue("monkeypatch").setenv("NPALEXNET_CUDA_KERNELS", str(int(request.param == "cuda")))
        return "cuda"
    if request.param == FAKE_WITH_KERNELS.name:
        request.getfixturevalue("fake_with_kernels")
    return request.param
