"""A fake CuPy whose streams do all as late as possible, or as early: where a wait is missing, numbers come out wrong.

A stream is a queue. It is worked off when the host waits for it, or when what the host waits for does, and no further;
one that is `eager` is worked off as soon as its waits allow. CUDA's order lies between the two, and can't be shown.
Memory is real: a copy reads and writes at the moment that it runs. Memory of the device goes back to the pool of its
stream with the last array on it, and page-locked memory back to be used, and scribbled over, by others: both at once,
as in CuPy. Arrays can be copied to and transposed, and refuse all else.
"""

import ctypes
import weakref
from collections import defaultdict
from contextlib import contextmanager
from types import SimpleNamespace

import numpy as np

GARBAGE = 0xFF  # bytes: NaN, or -1


class CUDARuntimeError(RuntimeError):
    """What CuPy raises when CUDA refuses something."""


class Stream:
    """A queue of work, which is a function or, for a wait, a pair (stream, position)."""

    def __init__(self, cupy, non_blocking):
        self.cupy, self.non_blocking = cupy, non_blocking
        self.device = cupy.current_device
        self.queue, self.done = [], 0
        cupy.streams.append(self)

    def put(self, work):
        assert self.cupy.current_device == self.device
        self.queue.append(work)
        self.cupy.work_ahead()

    def record(self, event):
        assert self.cupy.current_device == self.device
        event.stream, event.position = self, len(self.queue)
        return event

    def wait_event(self, event):
        self.put((event.stream, event.position))

    def synchronize(self):
        self.cupy.host_waits_for(self, len(self.queue))

    def blocked(self):
        """The stream and the position in it that the next piece of work waits for, if it does."""
        work = self.queue[self.done]
        return work if isinstance(work, tuple) and work[0].done < work[1] else None

    def work_until(self, position):
        while self.done < position:
            if found := self.blocked():
                found[0].work_until(found[1])
            else:
                self.work()

    def work(self):
        work, self.done = self.queue[self.done], self.done + 1
        if not isinstance(work, tuple):
            work()


class Event:
    def __init__(self, cupy):
        self.cupy = cupy

    def synchronize(self):
        self.cupy.host_waits_for(self.stream, self.position)


class Memory:
    """Holds a piece of the device's memory; when it is gone, the pool has it."""

    def __init__(self, size, pool):
        self.raw = pool.pop() if pool else np.full(size, GARBAGE, np.uint8)
        weakref.finalize(self, pool.append, self.raw)


class FakeAsyncCupy:
    """The module: put an instance into the place of ``cupy``."""

    def __init__(self, eager=()):
        self.eager = eager  # of "compute" and "copies"
        self.streams, self.devices = [], [0]
        self.pools, self.page_locked = defaultdict(list), []
        self.pieces = 0  # of the device's memory
        self.free_page_locked = defaultdict(list)
        self.host_waits = []  # the streams that were not as far as they had to be
        self.page_locked_memory_is_out = False
        self.default_streams = {}
        cupy = self

        class ndarray:
            def __init__(self, memory, values):
                self.memory, self.values = memory, values
                self.shape, self.strides, self.dtype = values.shape, values.strides, values.dtype
                self.ndim, self.device = values.ndim, SimpleNamespace(id=cupy.current_device)

            def transpose(self, axes):
                return ndarray(self.memory, self.values.transpose(axes))

            def set(self, host, stream):
                cupy.copy(self.values, host, stream)

        self.ndarray = ndarray
        self.cuda = SimpleNamespace(
            Stream=lambda non_blocking=False: Stream(self, non_blocking),
            Event=lambda disable_timing=False: Event(self),
            Device=self._device,
            get_current_stream=lambda: self.compute_stream,
            alloc_pinned_memory=self._alloc_pinned_memory,
            runtime=SimpleNamespace(CUDARuntimeError=CUDARuntimeError),
        )

    # --- what CuPy has ---------------------------------------------------------------------------------------------

    def empty(self, shape, dtype):
        size = int(np.prod(shape)) * np.dtype(dtype).itemsize
        pool = self.pools[self.compute_stream, size]
        self.pieces += not pool
        memory = Memory(size, pool)
        return self.ndarray(memory, memory.raw.view(dtype).reshape(shape))

    @contextmanager
    def _device(self, index):
        self.devices.append(index)
        yield
        assert self.devices.pop() == index

    def _alloc_pinned_memory(self, size):
        if self.page_locked_memory_is_out:
            raise CUDARuntimeError("cudaErrorMemoryAllocation: out of memory")
        free = self.free_page_locked[size]
        raw = free.pop() if free else np.full(size, GARBAGE, np.uint8)
        self.page_locked.append(raw)
        holder = (ctypes.c_uint8 * size).from_buffer(raw)
        weakref.finalize(holder, lambda: (raw.fill(GARBAGE), free.append(raw)))
        return holder

    # --- how it works ----------------------------------------------------------------------------------------------

    @property
    def current_device(self):
        return self.devices[-1]

    @property
    def compute_stream(self):
        """The current device's default stream."""
        if self.current_device not in self.default_streams:
            self.default_streams[self.current_device] = Stream(self, non_blocking=False)
        return self.default_streams[self.current_device]

    @property
    def copy_stream(self):
        """The only one that was made."""
        (stream,) = set(self.streams) - set(self.default_streams.values())
        return stream

    def host_waits_for(self, stream, position):
        if stream.done < position:
            self.host_waits.append(stream)
        stream.work_until(position)
        self.work_ahead()

    def work_ahead(self):
        """Let eager streams do what they can."""
        for stream in self.streams * 2:  # one may go on where another has been
            if ("compute" if stream in self.default_streams.values() else "copies") in self.eager:
                while stream.done < len(stream.queue) and not stream.blocked():
                    stream.work()

    def copy(self, values, host, stream):
        """From the host, as `ndarray.set`: asynchronously out of page-locked memory, else the host waits."""
        assert (host.shape, host.dtype) == (values.shape, values.dtype)
        assert host.flags.c_contiguous
        assert values.flags.c_contiguous
        if not host.size:
            return
        address = host.ctypes.data
        starts = [(address - raw.ctypes.data, raw) for raw in self.page_locked]
        found = next(((raw, start) for start, raw in starts if 0 <= start < raw.nbytes), None)
        if found is None:
            stream.synchronize()
            np.copyto(values, host)
            return
        raw, start = found
        source = raw[start : start + host.nbytes].view(host.dtype).reshape(host.shape)
        stream.put(lambda: np.copyto(values, source))  # keeps alive neither the array nor what holds page-locked memory

    def look(self, array):
        """Queue a computation that looks at an array; a list that will hold what it saw."""
        seen, values = [], array.values
        self.compute_stream.put(lambda: seen.append(values.copy()))
        return seen

    def fill(self, array, value):
        """Queue a computation that writes to an array."""
        values = array.values
        self.compute_stream.put(lambda: values.fill(value))
