"""Everything that knows about a device, and nothing that knows about a layer."""

from __future__ import annotations

import logging
import re

from npalexnet.backend.arrays import (
    HALF,
    accumulation_dtype,
    array_module,
    check_array,
    device_of,
    float_dtype,
    input_dtype,
    plain_array,
    primitive,
    register_device,
    register_finder,
    registered_device,
)
from npalexnet.backend.cpu import CpuDevice
from npalexnet.backend.cuda.device import cuda_device, device_of_cupy_array, probe
from npalexnet.backend.cuda.precision import get_float32_matmul_precision, set_float32_matmul_precision
from npalexnet.backend.device import Array, Batch, Device
from npalexnet.backend.threads import get_num_threads, set_num_threads

__all__ = [
    "CPU",
    "HALF",
    "Array",
    "Batch",
    "Device",
    "accumulation_dtype",
    "array_module",
    "check_array",
    "device_of",
    "float_dtype",
    "get_device",
    "get_float32_matmul_precision",
    "get_num_threads",
    "input_dtype",
    "names_device",
    "plain_array",
    "primitive",
    "register_device",
    "set_float32_matmul_precision",
    "set_num_threads",
]

logger = logging.getLogger("npalexnet")
_CUDA = re.compile(r"cuda(?::(\d+))?")
CPU = CpuDevice()
register_device(CPU)
register_finder(device_of_cupy_array)


def names_device(name: str) -> bool:
    """Return whether a name is one of a device, usable here or not: see `get_device`."""
    return name == "auto" or registered_device(name) is not None or _CUDA.fullmatch(name) is not None


def get_device(name: str) -> Device:
    """Return the device of that name.

    Parameters
    ----------
    name : str
        ``"cpu"``, ``"cuda"`` (the same as ``"cuda:0"``), ``"cuda:1"`` and so on, or ``"auto"``: a GPU where one is
        usable, else the CPU, with the reason logged.

    Raises
    ------
    ValueError
        If there is no such device, or it can't be used here; the message says why.
    """
    if not isinstance(name, str):
        raise TypeError(f"device must be a str such as 'cpu' or 'cuda', got {name!r}")
    if known := registered_device(name):
        return known
    if name == "auto":
        found = probe()
        if found.usable:
            return cuda_device(0)
        logger.info("device 'auto' is the CPU here: %s (stage: %s)", found.reason, found.stage)
        return CPU
    if match := _CUDA.fullmatch(name):
        return cuda_device(int(match[1] or 0))
    raise ValueError(f"device must be 'cpu', 'cuda', 'cuda:N' or 'auto', got {name!r}")
