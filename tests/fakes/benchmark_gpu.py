"""A fake GPU for benchmarks: the fake device with CuPy's events and memory pool, torch on the CPU with torch.cuda's."""

import contextlib
import time
from types import SimpleNamespace

import torch

import npalexnet as na
from benchmarks import clocks
from benchmarks.gpu import ceilings
from benchmarks.rivals import lineup


class Event:
    """Both libraries', with the host's clock behind it."""

    def __init__(self, enable_timing=True):
        assert enable_timing  # torch's would refuse to tell the time otherwise
        self.at = None

    def record(self):
        self.at = time.perf_counter()

    def elapsed_time(self, other):
        return 1e3 * (other.at - self.at)


class Pool:
    """CuPy's memory pool: holds 7 MiB from the first step on."""

    def free_all_blocks(self):
        pass

    def used_bytes(self):
        return 5 * 2**20

    def total_bytes(self):
        return 7 * 2**20


class MemoryHook:
    """CuPy's: is told of one allocation."""

    def __enter__(self):
        return self

    def __exit__(self, *error):
        self.malloc_postprocess(device_id=0, size=1, mem_size=512, mem_ptr=1, pmem_id=1)


class Graph:
    """torch's CUDA graph."""

    def replay(self):
        pass


def pretend(monkeypatch, device):
    """Let the GPU questions take `device`, a fake device, for npalexnet's GPU, and torch's CPU for its own."""
    stream = SimpleNamespace(synchronize=lambda: None, wait_stream=lambda other: None)
    cuda = SimpleNamespace(
        Event=Event, get_elapsed_time=Event.elapsed_time, get_current_stream=lambda: stream, MemoryHook=MemoryHook
    )
    monkeypatch.setattr(device.xp, "cuda", cuda, raising=False)
    monkeypatch.setattr(device.xp, "get_default_memory_pool", Pool, raising=False)
    for name, value in {
        "Event": Event,
        "synchronize": lambda device: None,
        "empty_cache": lambda: None,
        "reset_peak_memory_stats": lambda device: None,
        "max_memory_reserved": lambda device: 9 * 2**20,
        "max_memory_allocated": lambda device: 8 * 2**20,
        "CUDAGraph": Graph,
        "Stream": lambda: stream,
        "current_stream": lambda: stream,
        "stream": lambda aside: contextlib.nullcontext(),
        "graph": lambda graph: contextlib.nullcontext(),
    }.items():
        monkeypatch.setattr(torch.cuda, name, value)
    monkeypatch.setattr(na, "make_graphed_callable", lambda model, images: model, raising=False)
    monkeypatch.setattr(lineup, "ON_GPU", {"npalexnet": device.name, "torch": "cpu:0"})
    monkeypatch.setattr(clocks, "COLD", 1 << 10)
    monkeypatch.setattr(ceilings, "COPIED_ELSEWHERE", 1 << 10)
    monkeypatch.setattr(ceilings, "SQUARE_ELSEWHERE", 16)
