"""Which device a name or an array stands for, and what is refused at the door."""

import logging
import sys

import numpy as np
import pytest

from npalexnet import backend
from npalexnet.backend import arrays
from npalexnet.backend.cuda import device as cuda
from tests.fakes.device import FAKE, FakeDevice


@pytest.fixture
def no_cupy(monkeypatch):
    """A machine without CuPy."""
    monkeypatch.setitem(sys.modules, "cupy", None)
    cuda.probe.cache_clear()
    cuda._devices.clear()
    yield
    cuda.probe.cache_clear()
    cuda._devices.clear()


def test_cpu_and_registered_devices_are_found_by_name():
    assert backend.get_device("cpu") is backend.CPU
    assert backend.get_device("fake") is FAKE


def test_a_registered_device_is_known_to_layers(monkeypatch):
    monkeypatch.setattr(arrays, "_registered", dict(arrays._registered))
    device = FakeDevice("another")
    with pytest.raises(TypeError):
        backend.device_of(device.from_host(np.zeros(3)))
    backend.register_device(device)
    assert backend.get_device("another") is device
    assert backend.device_of(device.from_host(np.zeros(3))) is device


@pytest.mark.parametrize("name", ["gpu", "CPU", "cuda:", "cuda:x", "cuda:-1", "cuda:1 ", "", "cpu:0"])
def test_an_unknown_name_is_refused_with_the_known_ones(name):
    with pytest.raises(ValueError) as error:
        backend.get_device(name)
    assert str(error.value) == f"device must be 'cpu', 'cuda', 'cuda:N' or 'auto', got {name!r}"


@pytest.mark.parametrize("name", [None, 0, np.float32, ["cpu"]])
def test_a_device_that_is_no_str_is_refused(name):
    with pytest.raises(TypeError, match="device must be a str such as 'cpu' or 'cuda', got "):
        backend.get_device(name)


def test_auto_falls_back_to_the_cpu_and_logs_why(no_cupy, caplog):
    with caplog.at_level(logging.INFO, "npalexnet"):
        assert backend.get_device("auto") is backend.CPU
    assert [record.getMessage() for record in caplog.records] == [
        "device 'auto' is the CPU here: CuPy is not installed (pip install 'npalexnet[gpu]') (stage: package)"
    ]


@pytest.mark.parametrize("name", ["cuda", "cuda:0", "cuda:3"])
def test_an_explicit_cuda_never_falls_back_and_says_why(no_cupy, name):
    with pytest.raises(ValueError) as error:
        backend.get_device(name)
    assert str(error.value) == (
        "device 'cuda' is not usable here: CuPy is not installed (pip install 'npalexnet[gpu]') (stage: package)"
    )


def test_arrays_are_recognised_by_where_they_live():
    host = np.zeros(3)
    assert backend.device_of(host) is backend.CPU
    assert backend.device_of(host[0]) is backend.CPU
    assert backend.array_module(host) is np
    assert backend.device_of(FAKE.from_host(host)) is FAKE
    assert backend.array_module(FAKE.from_host(host)) is FAKE.xp


@pytest.mark.parametrize("thing", [[1.0, 2.0], 1.0, None, "array"])
def test_what_is_no_array_is_refused(thing):
    for ask in (backend.device_of, backend.array_module):
        with pytest.raises(TypeError, match=f"expected a NumPy or CuPy array, got {type(thing).__name__}"):
            ask(thing)


@pytest.mark.parametrize("given", ["float32", np.float32, np.dtype("float32"), "f4", "<f4"])
def test_float32_may_be_named_in_all_of_numpys_ways(given):
    assert backend.float_dtype(given) == np.dtype("float32")


@pytest.mark.parametrize(
    "given", ["float16", "int32", np.int64, "complex64", "single precision", "bfloat16", object(), 32]
)
def test_other_dtypes_than_float32_and_float64_are_refused(given):
    with pytest.raises(ValueError) as error:
        backend.float_dtype(given)
    assert str(error.value) == f"dtype must be 'float32' or 'float64', got {given!r}"


def test_no_dtype_is_not_silently_float64():
    with pytest.raises(ValueError, match="dtype must be 'float32' or 'float64', got None"):
        backend.float_dtype(None)


def test_a_fitting_array_passes():
    for dtype in map(backend.input_dtype, ("float32", "float64", "float16", "bfloat16")):
        backend.check_array(np.zeros(3, dtype), "x")
        backend.check_array(np.zeros(3, dtype), "x", dtype=dtype, device=backend.CPU)
    backend.check_array(FAKE.from_host(np.zeros(3)), "x", dtype=np.dtype("float64"), device=FAKE)


def test_check_array_names_what_is_wrong():
    def message(kind, array, **expected):
        with pytest.raises(kind) as error:
            backend.check_array(array, "Conv2d's input", **expected)
        return str(error.value)

    far, near = FAKE.from_host(np.zeros(3, "float32")), np.zeros(3, "float32")
    assert message(TypeError, [1.0]) == (
        "Conv2d's input: expected a NumPy or CuPy array, got list: convert it by numpy.asarray(..., 'float32')"
    )
    assert message(ValueError, near, device=FAKE) == "Conv2d's input is on 'cpu', expected it on 'fake'"
    assert message(ValueError, far, device=backend.CPU) == "Conv2d's input is on 'fake', expected it on 'cpu'"
    assert message(TypeError, near, dtype=np.dtype("float64")) == (
        "Conv2d's input is of dtype float32, expected float64: cast it by .astype('float64')"
    )
    for dtype in ("int64", "longdouble", "uint8", "complex128", "bool", "U1"):
        advice = "" if dtype in ("complex128", "U1") else ": cast it by .astype('float32')"
        assert message(TypeError, np.zeros(3, dtype)) == (
            f"Conv2d's input is of dtype {np.dtype(dtype)}, expected float32, float64, float16 or bfloat16{advice}"
        )
