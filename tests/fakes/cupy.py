"""A fake CuPy whose streams can be captured: NumPy's arrays with addresses, on one GPU, and memory pools.

It refuses captures that CUDA refuses, and notes what happens on which stream in which order. All that is not captured
is done at once, so it can't show what a missing wait does: see `streams.py`.
"""

import sys
import types
from contextlib import contextmanager, nullcontext

import numpy as np


class FakeArray(np.ndarray):
    """An array of GPU number 0."""

    device = types.SimpleNamespace(id=0)

    @property
    def data(self):
        """What CuPy calls its pointer."""
        return types.SimpleNamespace(ptr=self.ctypes.data)


class Stream:
    """A stream; `cupy.events` gets what happens on it."""

    def __init__(self, cupy, ptr, name):
        self.cupy, self.ptr, self.name, self.captured = cupy, ptr, name, None

    def __enter__(self):
        self.cupy.streams.append(self)
        return self

    def __exit__(self, *error):
        self.cupy.streams.pop()

    def note(self, what):
        """Note an event."""
        self.cupy.events.append(f"{self.name}: {what}")

    def record(self, event=None):
        """Record an event, or a new one."""
        self.note("record")
        return event or types.SimpleNamespace()

    def wait_event(self, event):
        """Wait for an event."""
        self.note("wait")

    def synchronize(self):
        """Wait for all; CUDA breaks a capture off that is waited for."""
        if self.captured is not None:
            raise RuntimeError("cudaErrorStreamCaptureUnsupported")
        self.note("synchronize")

    def begin_capture(self, mode=None):
        """Note launches instead of doing them."""
        if self.ptr == 0:
            raise RuntimeError("cannot capture on the default (legacy) stream")
        self.note("begin capture")
        self.captured = []

    def end_capture(self):
        """Return what was noted."""
        self.note("end capture")
        launches, self.captured = self.captured, None
        if self.cupy.broken:
            raise RuntimeError("cudaErrorStreamCaptureInvalidated")
        return Graph(launches)


class Graph:
    """Launches to be done."""

    def __init__(self, launches):
        self.launches = launches

    def launch(self, stream):
        """Do them."""
        stream.note("launch")
        for function in self.launches:
            function()


class MemoryPool:
    """Notes how much was asked for; never gives memory back."""

    def __init__(self):
        self.sizes = []

    def malloc(self, size):
        """Return memory that begins at a multiple of 512, as CuPy's does."""
        self.sizes.append(size)
        memory = np.empty(size + 512, np.uint8)
        return types.SimpleNamespace(ptr=memory.ctypes.data + -memory.ctypes.data % 512, memory=memory)


class FakeCupy(types.ModuleType):
    """The module, with the current GPU's default stream as the current one.

    Attributes
    ----------
    events : list of str
        What happened on which stream.
    broken : bool
        Whether CUDA breaks captures off.
    streams, allocators : list
        The last is the current one.
    default_pool, pools
        The memory pool to begin with, and all that were made later.
    compute_types : dict
        In what CuPy was told to multiply, by dtype.
    """

    ndarray = FakeArray

    def __init__(self):
        super().__init__("cupy")
        self.events, self.broken, self.compute_types = [], False, {}
        self.streams = [Stream(self, 0, "default")]
        self.default_pool, self.pools = MemoryPool(), []
        self.allocators = [self.default_pool.malloc]
        self.cuda = types.SimpleNamespace(
            Device=type("Device", (nullcontext,), {"compute_capability": "90"}),
            Event=lambda disable_timing=False: types.SimpleNamespace(),
            MemoryPool=self._new_pool,
            Stream=lambda non_blocking=False: Stream(self, 7, "side" if non_blocking else "blocking"),
            alloc=lambda size: self.allocators[-1](size),
            get_current_stream=lambda: self.streams[-1],
            using_allocator=self._using_allocator,
        )
        self._core = types.ModuleType("cupy._core")
        self._core._routines_linalg = types.SimpleNamespace(
            COMPUTE_TYPE_TF32="tf32", COMPUTE_TYPE_FP32="fp32", set_compute_type=self.compute_types.__setitem__
        )

    def install(self, monkeypatch):
        """Take the place that the real one is imported from."""
        monkeypatch.setitem(sys.modules, "cupy", self)
        monkeypatch.setitem(sys.modules, "cupy._core", self._core)

    def launch(self, function):
        """Compute on the current stream."""
        stream = self.streams[-1]
        if stream.captured is None:
            stream.note("kernel")
            function()
        else:
            stream.captured.append(function)

    def empty(self, shape, dtype):
        self.cuda.alloc(int(np.prod(shape)) * np.dtype(dtype).itemsize)
        return np.empty(shape, dtype).view(FakeArray)

    def empty_like(self, array):
        self.cuda.alloc(array.nbytes)
        return np.empty_like(array)

    def asarray(self, host):
        """As CuPy's: in C order, unless it is Fortran's."""
        return np.array(host, order="F" if host.flags.fnc else "C").view(FakeArray)

    def asnumpy(self, array):
        return np.array(array).view(np.ndarray)

    def ascontiguousarray(self, array):
        return np.ascontiguousarray(array).view(FakeArray)

    def matmul(self, a, b, out=None):
        return np.matmul(a, b, out=out)

    def _new_pool(self):
        self.pools.append(MemoryPool())
        return self.pools[-1]

    @contextmanager
    def _using_allocator(self, allocator):
        self.allocators.append(allocator)
        try:
            yield
        finally:
            self.allocators.pop()
