"""What is found out about a GPU, stage by stage, with fake CuPys: no GPU is needed."""

import importlib.machinery
import logging
import sys
import types

import numpy as np
import pytest

from npalexnet import backend
from npalexnet.backend.cuda import device as cuda


@pytest.fixture(autouse=True)
def forget():
    """What is found out is kept; each test starts and ends without it."""
    cuda.probe.cache_clear()
    cuda._devices.clear()
    yield
    cuda.probe.cache_clear()
    cuda._devices.clear()


class FakeArray:
    """An array of GPU number `index`."""

    def __init__(self, values, index=0):
        self.values, self.device = np.asarray(values), types.SimpleNamespace(id=index)

        self.ndim, self.shape, self.strides = self.values.ndim, self.values.shape, self.values.strides

    def transpose(self, axes):
        return FakeArray(self.values.transpose(axes), self.device.id)


def fails(error):
    def function(*arguments):
        raise error

    return function


@pytest.fixture
def fake_cupy(monkeypatch):
    """A CuPy on a machine with two GPUs, on which all goes well."""
    cupy = types.ModuleType("cupy")
    cupy.__spec__ = importlib.machinery.ModuleSpec("cupy", None)
    cupy.__version__ = "14.2.0"
    cupy.runtime = types.SimpleNamespace(
        driverGetVersion=lambda: 13000,
        getDeviceCount=lambda: 2,
        getDeviceProperties=lambda index: {"name": b"Fake 1000"},
    )
    cupy.current = []
    cupy.cuda = types.SimpleNamespace(runtime=cupy.runtime, Device=lambda index: CurrentDevice(cupy.current, index))
    cupy.ones = np.ones
    cupy.ndarray = FakeArray
    cupy.asnumpy = lambda array: np.array(array.values, order="C")
    monkeypatch.setitem(sys.modules, "cupy", cupy)
    return cupy


class CurrentDevice:
    """Notes which GPU is the current one."""

    def __init__(self, current, index):
        self.current, self.index = current, index

    def __enter__(self):
        self.current.append(self.index)

    def __exit__(self, *error):
        self.current.pop()


def assert_refused(stage, reason):
    """Probing stops at `stage` for `reason`, "cuda" raises with both, and "auto" is the CPU."""
    found = cuda.probe()
    assert (found.usable, found.stage, found.reason) == (False, stage, reason)
    with pytest.raises(ValueError) as error:
        backend.get_device("cuda")
    assert str(error.value) == f"device 'cuda' is not usable here: {reason} (stage: {stage})"
    assert backend.get_device("auto") is backend.CPU


def test_cupy_is_not_installed(monkeypatch):
    monkeypatch.setitem(sys.modules, "cupy", None)
    assert_refused("package", "CuPy is not installed (pip install 'npalexnet[gpu]')")


def test_cupy_does_not_import(monkeypatch, tmp_path):
    (tmp_path / "cupy.py").write_text("raise ImportError('libcublas.so.13: no such file\\nand more lines')")
    monkeypatch.delitem(sys.modules, "cupy", raising=False)
    monkeypatch.syspath_prepend(tmp_path)
    assert_refused("import", "ImportError: libcublas.so.13: no such file")


def test_no_driver(fake_cupy):
    fake_cupy.runtime.driverGetVersion = lambda: 0
    assert_refused("driver", "no CUDA driver is installed")


def test_a_driver_without_a_gpu(fake_cupy):
    fake_cupy.runtime.getDeviceCount = lambda: 0
    assert_refused("device", "the CUDA driver sees no GPU")


def test_a_driver_that_is_too_old(fake_cupy):
    error = RuntimeError("cudaErrorInsufficientDriver: CUDA driver version is insufficient")
    fake_cupy.runtime.getDeviceCount = fails(error)
    assert_refused("device", f"RuntimeError: {error}")


def test_no_compiler_for_kernels(fake_cupy):
    fake_cupy.ones = lambda *arguments: types.SimpleNamespace()  # can't be added to
    assert cuda.probe().stage == "kernel"
    assert cuda.probe().reason.startswith("TypeError: unsupported operand type(s) for +")


def test_no_matrix_product(fake_cupy):
    class WithoutCublas(np.ndarray):
        __matmul__ = fails(ImportError("libcublas.so.13: cannot open shared object file"))

    fake_cupy.ones = lambda *arguments: np.ones(*arguments).view(WithoutCublas)
    assert_refused("matmul", "ImportError: libcublas.so.13: cannot open shared object file")


def test_an_error_without_a_message_is_a_reason_too(fake_cupy):
    fake_cupy.runtime.getDeviceCount = fails(MemoryError())
    assert cuda.probe().stage == "device"
    assert cuda.probe().reason.startswith("MemoryError")
    assert backend.get_device("auto") is backend.CPU


def test_all_is_well(fake_cupy, caplog):
    assert cuda.probe() == cuda.Probe(True, "matmul", "2 GPU(s), the first is Fake 1000; CuPy 14.2.0", 2)
    with caplog.at_level(logging.INFO, "npalexnet"):
        assert backend.get_device("auto").name == "cuda:0"
    assert not caplog.records  # nothing fell back, so there is nothing to explain


def test_probing_is_done_once(fake_cupy):
    cuda.probe()
    fake_cupy.runtime.getDeviceCount = fails(AssertionError("asked again"))
    assert cuda.probe().usable


def test_each_gpu_is_one_device_under_all_its_names(fake_cupy):
    assert backend.get_device("cuda") is backend.get_device("cuda:0")
    assert backend.get_device("cuda:1").name == "cuda:1"
    assert backend.get_device("cuda:1") is not backend.get_device("cuda:0")
    assert backend.get_device("cuda:1").xp is fake_cupy


def test_a_gpu_that_is_not_there_is_refused(fake_cupy):
    with pytest.raises(ValueError, match="device 'cuda:2' does not exist: the GPUs here are cuda:0 to cuda:1"):
        backend.get_device("cuda:2")


def test_an_array_belongs_to_the_gpu_that_it_is_on(fake_cupy):
    array = FakeArray(np.zeros(3), index=1)
    assert backend.device_of(array) is backend.get_device("cuda:1")
    assert backend.get_device("cuda:1").owns(array)
    assert not backend.get_device("cuda:0").owns(array)
    assert not backend.get_device("cuda:0").owns(np.zeros(3))
    assert not backend.CPU.owns(array)
    with pytest.raises(ValueError, match="x is on 'cuda:1', expected it on 'cuda:0'"):
        backend.check_array(array, "x", device=backend.get_device("cuda:0"))


def test_numpys_arrays_are_recognised_without_importing_cupy(monkeypatch):
    monkeypatch.delitem(sys.modules, "cupy", raising=False)
    backend.device_of(np.zeros(3))
    with pytest.raises(TypeError):
        backend.device_of([0.0])
    assert "cupy" not in sys.modules


@pytest.fixture(
    params=[
        np.arange(24.0).reshape(2, 3, 4),
        np.arange(24.0).reshape(2, 3, 4).transpose(0, 2, 1),
        np.arange(120.0).reshape(2, 3, 4, 5).transpose(0, 3, 1, 2),
        np.asfortranarray(np.arange(6.0).reshape(2, 3)),
        np.arange(5.0),
        np.array(7.0),
        np.zeros((0, 3, 2)),
    ],
    ids=lambda host: f"{host.shape}-{host.strides}",
)
def host(request):
    return request.param


def test_an_upload_keeps_the_axes_order_in_memory_and_is_one_straight_copy(fake_cupy, host):
    uploads = []

    def asarray(array):  # CuPy's: to the current GPU, in C order unless it is Fortran's
        uploads.append((array.flags.c_contiguous, list(fake_cupy.current)))
        return FakeArray(np.array(array, order="F" if array.flags.fnc else "C"), fake_cupy.current[-1])

    fake_cupy.asarray = asarray
    moved = backend.get_device("cuda:1").from_host(host)
    assert moved.device.id == 1
    assert moved.strides == host.strides or not host.size
    np.testing.assert_array_equal(moved.values, host)
    assert uploads == [(True, [1])]
    assert fake_cupy.current == []


def test_a_download_keeps_the_axes_order_in_memory(fake_cupy, host):
    found = backend.get_device("cuda:1").to_host(FakeArray(host, 1))
    np.testing.assert_array_equal(found, host)
    assert found.strides == host.strides or not host.size
