"""A fake launcher: runs `kernels.cu` on the CPU, compiled with g++ through `kernels_on_cpu.h`, on NumPy arrays.

It holds the arguments against the kernel's parameters and the grid against CUDA's limits, and `GuardedMemory` tells
when a kernel writes outside of its arrays. It shows neither speed nor races, nor how a GPU's own exponentials round.
"""

import ctypes
import mmap
import re
import subprocess
from pathlib import Path

import numpy as np
import pytest

from npalexnet.backend.arrays import FULL, HALF
from npalexnet.backend.cuda.launcher import SOURCE, compiler_options
from npalexnet.backend.cuda.layouts import aligned_length
from tests.fakes.device import FakeDevice

KERNEL = re.compile(r'extern "C" __global__ void (\w+)')
MOST_BLOCKS = 2**31 - 1  # of a grid's first axis
CODES = {"float16": "e", "bfloat16": "b"}  # of an array's dtype, in `kernels_on_cpu.h`
POISON = 0xFF  # as a byte; as a float, NaN
GUARD = np.frombuffer(
    (b"\xff" * 8 + b"\xc1" * 8) * 256, np.uint8
)  # NaN and -24 by turns: arithmetic changes one of them
MAP_NORESERVE = 0x4000  # Linux's; Python names it from 3.13 on


def compile_for_cpu(compiler, folder):
    """Compile the kernels for all dtypes, side by side; returns the libraries by the dtype's name."""
    table = ", ".join(f"KERNEL({name})" for name in KERNEL.findall(SOURCE.read_text(encoding="utf-8")))
    header, source = Path(__file__).with_name("kernels_on_cpu.h"), folder / "kernels_on_cpu.cpp"
    source.write_text(f'#include "{header}"\n#include "{SOURCE}"\nconst Entry entries[] = {{{table}, {{nullptr}}}};\n')
    paths = {dtype: folder / f"{dtype}.so" for dtype in FULL + HALF}
    flags = ["-std=c++17", "-O2", "-ffp-contract=off", "-fwrapv", "-fno-strict-aliasing", "-w", "-shared", "-fPIC"]
    processes = []
    for dtype, path in paths.items():
        macros = [option for option in compiler_options(dtype) if option.startswith("-D")]
        processes.append(subprocess.Popen([compiler, *flags, *macros, str(source), "-o", str(path)]))
    statuses = [process.wait() for process in processes]
    if any(statuses):
        raise RuntimeError("kernels.cu did not compile; what g++ says is above")
    libraries = {dtype: ctypes.CDLL(str(path)) for dtype, path in paths.items()}
    for library in libraries.values():
        library.fake_parameter.restype = ctypes.c_char_p
        library.fake_launch.restype = ctypes.c_bool
        library.fake_launch.argtypes = [ctypes.c_char_p, *[ctypes.c_uint] * 5, ctypes.c_bool, ctypes.c_void_p]
    return libraries


class FakeLauncher:
    """Takes the place of `CupyLauncher`.

    Attributes
    ----------
    reversed : bool
        Whether blocks, and the threads in each, run from the last to the first.
    only_last : int or None
        Run no more than that many blocks, the last of the grid.
    launched : list of str
        The kernels that were run.
    raw : callable
        Gives the NumPy array that an array argument holds.
    """

    def __init__(self, libraries, raw=lambda array: array):
        self.libraries, self.raw = libraries, raw
        self.reversed, self.only_last, self.launched = False, None, []

    def __call__(self, name, dtype, grid, block, arguments):
        """Run the blocks, after holding the arguments against the kernel's parameters."""
        library = self.libraries[np.dtype(dtype).name]
        values, codes = [], []
        for argument in arguments:
            if isinstance(argument, np.generic) or argument.dtype.names:
                values.append(np.array(argument))
                codes.append(f"{argument.dtype.kind}{argument.itemsize}")
            else:
                values.append(np.array(self.address(argument), np.uintp))
                codes.append(f"p{CODES.get(argument.dtype.name, argument.dtype.kind)}{argument.itemsize}")
        expected = []
        while parameter := library.fake_parameter(name.encode(), len(expected)):
            expected.append(parameter.decode())
        fits = [
            given == wanted or (given == "u8" and not value and wanted[0] == "p")  # a null pointer
            for given, wanted, value in zip(codes, expected, values, strict=True)
        ]
        assert all(fits), f"{name} takes {expected}, got {codes}"
        if name.endswith("by_units"):
            assert not any(value % 16 for code, value in zip(codes, values, strict=True) if code[0] == "p"), name
        assert len(grid) == 1, grid
        assert 1 <= grid[0] <= MOST_BLOCKS, grid
        x, y = (*block, 1)[:2]
        assert 1 <= x * y <= 1024, block
        first = 0 if self.only_last is None else max(0, grid[0] - self.only_last)
        pointers = (ctypes.c_void_p * len(values))(*(value.ctypes.data for value in values))
        done = library.fake_launch(name.encode(), grid[0], x, y, first, grid[0], self.reversed, pointers)
        assert done, f"not all threads of a block of {name} came to a barrier"
        self.launched.append(name)

    def address(self, array):
        """Where the first number of an array lies."""
        return self.raw(array).ctypes.data


class FakeDeviceWithKernels(FakeDevice):
    """A fake device that computes with `kernels.cu`, on the CPU."""

    kernels = None  # made by the fixture `fake_with_kernels`

    def tiling(self, row_length, dtype):
        """As `CudaDevice`."""
        return super().tiling(row_length, dtype)._replace(aligned_row_length=aligned_length(row_length, dtype))


class GuardedMemory:
    """An array module whose arrays lie between guard zones: what is written there shows, and what is read there."""

    def __init__(self):
        self.blocks = []

    def empty(self, shape, dtype):
        """Return an array that is full of poison."""
        size = int(np.prod(shape)) * np.dtype(dtype).itemsize
        block = np.concatenate([GUARD, np.full(size, POISON, np.uint8), GUARD])
        self.blocks.append(block)
        return block[len(GUARD) : len(GUARD) + size].view(dtype).reshape(shape)

    def copy(self, array):
        """Return a guarded copy; the axes keep their order in memory."""
        order = sorted(range(array.ndim), key=lambda axis: -array.strides[axis])
        copy = self.empty([array.shape[axis] for axis in order], array.dtype).transpose(np.argsort(order))
        copy[...] = array
        return copy

    def empty_like(self, array):
        """Return an array of the same shape, dtype and order of the axes in memory."""
        copy = self.copy(array)
        copy.fill(np.nan)
        return copy

    def ascontiguousarray(self, array):
        """Return `array`, or a guarded copy whose axes lie in memory in their order."""
        if array.flags.c_contiguous:
            return array
        copy = self.empty(array.shape, array.dtype)
        copy[...] = array
        return copy

    def check(self):
        """Fail if a guard zone was written to."""
        for block in self.blocks:
            assert (block[: len(GUARD)] == GUARD).all(), "something was written before an array"
            assert (block[-len(GUARD) :] == GUARD).all(), "something was written behind an array"


class SparseMemory:
    """An array module whose arrays take memory only where they are touched, and are 0 elsewhere."""

    @staticmethod
    def empty(shape, dtype):
        """Return an array of zeros, however large."""
        size = int(np.prod(shape)) * np.dtype(dtype).itemsize
        flags = mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | MAP_NORESERVE
        try:
            memory = mmap.mmap(-1, size, flags=flags)
        except OSError as error:
            pytest.skip(f"no address space for an array of {size} bytes: {error}")
        return np.frombuffer(memory, dtype).reshape(shape)

    @staticmethod
    def empty_like(array):
        """Return zeros of the same shape and dtype."""
        return SparseMemory.empty(array.shape, array.dtype)


def same_bits(actual, expected):
    """Equal numbers, NaN at the same places; a zero's sign and a NaN's payload are nobody's business."""
    assert actual.dtype == expected.dtype
    if actual.dtype.name in HALF:  # NumPy does not know of NaN in ml_dtypes' numbers
        actual, expected = (array.astype("float32") for array in (actual, expected))
    np.testing.assert_array_equal(actual, expected, strict=True)
