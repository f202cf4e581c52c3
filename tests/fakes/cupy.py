"""A fake CuPy: NumPy's arrays with addresses, one GPU, streams that can be captured, memory pools.

What is done through `launch` is done at once, or noted while the current stream is captured; so a graph replays, on the
memory of the captured run, what was launched then.
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


def install(monkeypatch):
    """Put a fake CuPy where the real one is imported from."""
    cupy = types.ModuleType("cupy")
    cupy.events, cupy.broken, cupy.pools = [], False, []
    cupy.streams = [Stream(cupy, 0, "default")]
    cupy.default_pool = MemoryPool()
    cupy.allocators = [cupy.default_pool.malloc]
    cupy.ndarray = FakeArray

    def launch(function):
        captured = cupy.streams[-1].captured
        if captured is None:
            cupy.events.append(f"{cupy.streams[-1].name}: kernel")
            function()
        else:
            captured.append(function)

    def new_pool():
        cupy.pools.append(MemoryPool())
        return cupy.pools[-1]

    def empty(shape, dtype):
        cupy.cuda.alloc(int(np.prod(shape)) * np.dtype(dtype).itemsize)
        return np.empty(shape, dtype).view(FakeArray)

    def empty_like(array):
        cupy.cuda.alloc(array.nbytes)
        return np.empty_like(array)

    @contextmanager
    def using_allocator(allocator):
        cupy.allocators.append(allocator)
        try:
            yield
        finally:
            cupy.allocators.pop()

    cupy.launch, cupy.empty, cupy.empty_like = launch, empty, empty_like
    cupy.asarray = lambda host: np.array(host, order="F" if host.flags.fnc else "C").view(FakeArray)
    cupy.asnumpy = lambda array: np.array(array).view(np.ndarray)
    cupy.ascontiguousarray = lambda array: np.ascontiguousarray(array).view(FakeArray)
    cupy.matmul = lambda a, b, out=None: np.matmul(a, b, out=out)
    device = type("Device", (nullcontext,), {"compute_capability": "90"})
    cupy.cuda = types.SimpleNamespace(
        Device=device,
        Event=lambda disable_timing=False: types.SimpleNamespace(),
        MemoryPool=new_pool,
        Stream=lambda non_blocking=False: Stream(cupy, 7, "side" if non_blocking else "blocking"),
        alloc=lambda size: cupy.allocators[-1](size),
        get_current_stream=lambda: cupy.streams[-1],
        using_allocator=using_allocator,
    )
    cupy._core = types.ModuleType("cupy._core")
    cupy.compute_types = {}
    cupy._core._routines_linalg = types.SimpleNamespace(
        COMPUTE_TYPE_TF32="tf32", COMPUTE_TYPE_FP32="fp32", set_compute_type=cupy.compute_types.__setitem__
    )
    monkeypatch.setitem(sys.modules, "cupy", cupy)
    monkeypatch.setitem(sys.modules, "cupy._core", cupy._core)
    return cupy
