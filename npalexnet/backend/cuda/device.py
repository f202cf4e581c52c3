"""The GPU: CuPy. Importing this module does not import CuPy; finding out whether a GPU is usable does."""

from __future__ import annotations

import importlib.util
import logging
import sys
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np

from npalexnet.backend.cuda.graphs import CapturedFunction
from npalexnet.backend.cuda.kernels import Kernels
from npalexnet.backend.cuda.launcher import CupyLauncher, cuda_kernels_enabled
from npalexnet.backend.cuda.layouts import aligned_length, memory_order
from npalexnet.backend.cuda.precision import get_float32_matmul_precision
from npalexnet.backend.cuda.prefetch import prefetch
from npalexnet.backend.cuda.products import MatrixProducts
from npalexnet.backend.device import Array, Batch, Device, Tiling, check_product

logger = logging.getLogger("npalexnet")


@dataclass(frozen=True)
class Probe:
    """How far a GPU is usable here.

    Attributes
    ----------
    usable : bool
        Whether every stage went well.
    stage : str
        The last stage that was tried.
    reason : str
        What went wrong at it, or what was found.
    devices : int
        The number of GPUs.
    """

    usable: bool
    stage: str
    reason: str
    devices: int = 0


@cache
def probe() -> Probe:
    """Try, once, whether CuPy can compute here: package, import, driver, device, first kernel, first matrix product.

    Each stage can fail on its own: CuPy imports without a driver, and makes arrays without CUDA's libraries.
    """
    stage, devices = "package", 0
    try:
        if importlib.util.find_spec("cupy") is None:
            return Probe(False, stage, "CuPy is not installed (pip install 'npalexnet[gpu]')")
        stage = "import"
        import cupy

        stage = "driver"
        if cupy.cuda.runtime.driverGetVersion() == 0:
            return Probe(False, stage, "no CUDA driver is installed")
        stage = "device"
        devices = cupy.cuda.runtime.getDeviceCount()
        if devices == 0:
            return Probe(False, stage, "the CUDA driver sees no GPU")
        stage = "kernel"
        a = cupy.ones((4, 4), "float32")
        float((a + 1).sum())
        stage = "matmul"
        float((a @ a)[0, 0])
        name = cupy.cuda.runtime.getDeviceProperties(0)["name"].decode()
        return Probe(True, stage, f"{devices} GPU(s), the first is {name}; CuPy {cupy.__version__}", devices)
    except Exception as error:  # whatever CuPy, the driver or a missing library throws is the answer here
        message = str(error).strip().partition("\n")[0]
        return Probe(False, stage, f"{type(error).__name__}: {message}", devices)


class CudaDevice(Device):
    """One NVIDIA GPU, through CuPy."""

    def __init__(self, index: int) -> None:
        import cupy

        self.xp = cupy
        self.index = index
        self.name = f"cuda:{index}"
        self._kernels = Kernels(cupy, CupyLauncher())
        self._products = MatrixProducts(cupy, index)

    @property
    def kernels(self) -> Kernels | None:
        """The kernels of `kernels.cu`, unless `enable_cuda_kernels` or the environment switched them off."""
        return self._kernels if cuda_kernels_enabled() else None

    def owns(self, array: object) -> bool:
        """Whether `array` is a CuPy array on this GPU."""
        return isinstance(array, self.xp.ndarray) and array.device.id == self.index

    def from_host(self, array: np.ndarray) -> Array:
        """Copy a NumPy array to this GPU; the axes keep their order in memory."""
        order = memory_order(array)
        with self.active():
            return self.xp.asarray(array.transpose(order)).transpose(np.argsort(order).tolist())

    def to_host(self, array: Array) -> np.ndarray:
        """Copy an array of this GPU to the host; the axes keep their order in memory."""
        order = memory_order(array)
        return self.xp.asnumpy(array.transpose(order)).transpose(np.argsort(order).tolist())

    def tiling(self, row_length: int, dtype: np.dtype) -> Tiling:
        """Rows of whole 16 bytes: the 363 numbers of a window of AlexNet's conv1 become 364, or 368 of two bytes."""
        return super().tiling(row_length, dtype)._replace(aligned_row_length=aligned_length(row_length, dtype))

    def prefetch(self, batches: Iterable[Batch]) -> Iterator[tuple[Array, ...]]:
        """Yield each batch while the next one is copied to this GPU."""
        return prefetch(self, batches)

    def synchronize(self) -> None:
        """Wait for the current stream."""
        with self.active():
            self.xp.cuda.get_current_stream().synchronize()

    def active(self) -> AbstractContextManager[Any]:
        """Make this GPU the current one of the thread."""
        return self.xp.cuda.Device(self.index)

    def matmul(self, a: Array, b: Array, out: Array | None = None) -> Array:
        """Compute ``a @ b`` by cuBLAS, or through CuPy where that can't be; see `Device` and `MatrixProducts`."""
        check_product(a, b, out)
        with self.active():
            result = self._products.matmul(a, b, out)
            if result is None:
                _tell_cupy(get_float32_matmul_precision())
                result = super().matmul(a, b, out)
            return result

    def products(self, a: Array, b: Array, out: Array | None = None) -> Array:
        """Compute a stack of products one by one, by `matmul`: CuPy's own can't be captured in a CUDA graph."""
        xp, stack = self.xp, np.broadcast_shapes(a.shape[:-2], b.shape[:-2])
        if out is None:
            out = xp.empty((*stack, a.shape[-2], b.shape[-1]), a.dtype)
        a, b = xp.broadcast_to(a, (*stack, *a.shape[-2:])), xp.broadcast_to(b, (*stack, *b.shape[-2:]))
        for index in np.ndindex(*stack):
            self.matmul(a[index], b[index], out[index])
        return out

    def graphed(self, function: Callable[..., Array], *arrays: Array) -> Callable[..., Array]:
        """Capture ``function`` as a CUDA graph, or return it as it is where that fails, with the reason logged.

        What is returned may be called from several threads, on any stream, with this GPU as the current one.
        """
        with self.active():
            try:
                return CapturedFunction(self.xp, function, arrays)
            except Exception as error:  # whatever can't be captured can still be computed
                message = str(error).strip().partition("\n")[0]
                logger.warning("no CUDA graph, each call launches its kernels: %s: %s", type(error).__name__, message)
                return function

    def is_captured(self, function: Callable[..., Array]) -> bool:
        """Whether it is a CUDA graph."""
        return isinstance(function, CapturedFunction)

    def products_by_cublas(self) -> dict[str, bool]:
        """For each combination of dtypes that was multiplied so far, whether cuBLAS does it itself, not CuPy."""
        return self._products.by_cublas()


_cupys_precision: str | None = None  # what CuPy was told last


def _tell_cupy(precision: str) -> None:
    """Let CuPy multiply float32 matrices like that; left alone, it asks the environment variable ``CUPY_TF32``.

    CuPy has no documented name for it, so it may fail.
    """
    global _cupys_precision
    if precision == _cupys_precision:
        return
    _cupys_precision = precision
    try:
        from cupy._core import _routines_linalg as linalg

        compute_type = linalg.COMPUTE_TYPE_TF32 if precision == "high" else linalg.COMPUTE_TYPE_FP32
        linalg.set_compute_type(np.float32, compute_type)
    except Exception as error:
        logger.warning("CuPy can't be told to multiply in precision %r: %s: %s", precision, type(error).__name__, error)


_devices: dict[int, CudaDevice] = {}
_devices_lock = threading.Lock()


def cuda_device(index: int) -> CudaDevice:
    """Return GPU number `index`, always the same object, or raise a ValueError that says why there is none."""
    found = probe()
    if not found.usable:
        raise ValueError(f"device 'cuda' is not usable here: {found.reason} (stage: {found.stage})")
    if index >= found.devices:
        raise ValueError(f"device 'cuda:{index}' does not exist: the GPUs here are cuda:0 to cuda:{found.devices - 1}")
    with _devices_lock:
        if index not in _devices:
            _devices[index] = CudaDevice(index)
        return _devices[index]


def device_of_cupy_array(array: Any) -> CudaDevice | None:
    """Return the GPU that `array` lives on, or None if it is not a CuPy array."""
    cupy: Any = sys.modules.get("cupy")
    return cuda_device(array.device.id) if cupy and isinstance(array, cupy.ndarray) else None
