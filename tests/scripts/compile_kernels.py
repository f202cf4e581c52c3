"""Compiles `kernels.cu` for real GPUs, without one; it needs ``pip install nvidia-cuda-nvrtc``.

``python tests/scripts/compile_kernels.py`` prints the registers, the spilled bytes and the shared memory of each
kernel, dtype and architecture, and fails if a kernel doesn't compile or keeps numbers in slow local memory for want of
registers.
"""

import ctypes
import importlib.util
import re
import sys
from pathlib import Path

from npalexnet.backend.arrays import FULL, HALF
from npalexnet.backend.cuda.launcher import SOURCE, compiler_options

ARCHITECTURES = ("sm_80", "sm_90")
OPTIONS = ("-ftz=true", "--ptxas-options=-v")  # the first is CuPy's
KERNEL = re.compile(r'extern "C" __global__ void (\w+)')
USAGE = re.compile(
    r"Function properties for (?P<name>\w+)[^0-9]+(?P<stack>\d+) bytes stack frame, "
    r"(?P<stores>\d+) bytes spill stores, (?P<loads>\d+) bytes spill loads\s+"
    r"ptxas info\s*: Used (?P<registers>\d+) registers(?P<rest>.*)"
)


def load_nvrtc():
    """Load the library from its wheel, wherever that keeps it."""
    package = importlib.util.find_spec("nvidia")
    folders = [Path(folder) for folder in package.submodule_search_locations] if package else []
    libraries = sorted(path for folder in folders for path in folder.rglob("libnvrtc.so*"))
    if not libraries:
        sys.exit("NVRTC was not found: pip install nvidia-cuda-nvrtc")
    return ctypes.CDLL(str(libraries[-1]))


def compile_source(nvrtc, source, options):
    """Return whether the source compiled, and the compiler's log."""
    program = ctypes.c_void_p()
    nvrtc.nvrtcCreateProgram(ctypes.byref(program), source.encode(), b"kernels.cu", 0, None, None)
    encoded = (ctypes.c_char_p * len(options))(*(option.encode() for option in options))
    result = nvrtc.nvrtcCompileProgram(program, len(options), encoded)
    size = ctypes.c_size_t()
    nvrtc.nvrtcGetProgramLogSize(program, ctypes.byref(size))
    log = ctypes.create_string_buffer(size.value)
    nvrtc.nvrtcGetProgramLog(program, log)
    nvrtc.nvrtcDestroyProgram(ctypes.byref(program))
    return result == 0, log.value.decode()


def main():
    """Compile for all, print the table, and return the exit status."""
    nvrtc, source, failures = load_nvrtc(), SOURCE.read_text(encoding="utf-8"), []
    major, minor = ctypes.c_int(), ctypes.c_int()
    nvrtc.nvrtcVersion(ctypes.byref(major), ctypes.byref(minor))
    print(f"NVRTC {major.value}.{minor.value}")
    row = "{:27} {:8} {:6} {:>9} {:>6} {:>12} {:>11} {:>7}"
    print(row.format("kernel", "dtype", "for", "registers", "stack", "spill stores", "spill loads", "shared"))
    for dtype in FULL + HALF:
        for architecture in ARCHITECTURES:
            options = [*compiler_options(dtype), *OPTIONS, f"--gpu-architecture={architecture}"]
            compiled, log = compile_source(nvrtc, source, options)
            usage = {match["name"]: match for match in USAGE.finditer(log)}
            missing = set(KERNEL.findall(source)) - set(usage)
            if not compiled or missing or "warning" in log:
                failures.append(f"{dtype} for {architecture}: nothing is known of {sorted(missing)}\n{log}")
            for name, found in usage.items():
                shared = re.search(r"(\d+) bytes smem", found["rest"])
                amounts = [found[key] for key in ("registers", "stack", "stores", "loads")]
                print(row.format(name, dtype, architecture, *amounts, shared[1] if shared else 0))
                if any(int(found[key]) for key in ("stack", "stores", "loads")):
                    failures.append(f"{name} ({dtype}, {architecture}) keeps numbers in local memory")
    for failure in failures:
        print(failure)
    print(f"{len(failures)} failed")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
