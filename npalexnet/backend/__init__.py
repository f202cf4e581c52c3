"""Everything that knows about a device, and nothing that knows about a layer."""

from __future__ import annotations

import logging
import re
from typing import Any

import numpy as np

from npalexnet.backend.cpu import CpuDevice
from npalexnet.backend.cuda.device import cuda_device, device_of_cupy_array, probe
from npalexnet.backend.cuda.precision import get_float32_matmul_precision, set_float32_matmul_precision
from npalexnet.backend.device import Array, Batch, Device
from npalexnet.backend.dtypes import FULL, HALF, accumulation_dtype, float_dtype, input_dtype, is_half
from npalexnet.backend.threads import get_num_threads, set_num_threads

__all__ = [
    "CPU",
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
    "is_half",
    "register_device",
    "set_float32_matmul_precision",
    "set_num_threads",
]

logger = logging.getLogger("npalexnet")
CPU = CpuDevice()
_registered: dict[str, Device] = {"cpu": CPU}


def register_device(device: Device) -> None:
    """Make a further device known by its name: from then on layers compute with its arrays too."""
    _registered[device.name] = device


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
    if name in _registered:
        return _registered[name]
    if name == "auto":
        found = probe()
        if found.usable:
            return cuda_device(0)
        logger.info("device 'auto' is the CPU here: %s (stage: %s)", found.reason, found.stage)
        return CPU
    if match := re.fullmatch(r"cuda(?::(\d+))?", name):
        return cuda_device(int(match[1] or 0))
    raise ValueError(f"device must be 'cpu', 'cuda', 'cuda:N' or 'auto', got {name!r}")


def device_of(array: object) -> Device:
    """Return the device that `array` lives on.

    Raises
    ------
    TypeError
        If it is not an array of any device.
    """
    if isinstance(array, np.ndarray):
        return CPU
    for device in _registered.values():
        if device.owns(array):
            return device
    if gpu := device_of_cupy_array(array):
        return gpu
    raise TypeError(f"expected a NumPy or CuPy array, got {type(array).__name__}")


def array_module(array: object) -> Any:
    """Return the module to compute with on `array`: NumPy or CuPy."""
    return device_of(array).xp


def check_array(array: Any, who: str, *, dtype: np.dtype | None = None, device: Device | None = None) -> None:
    """Refuse what layers can't compute with.

    Parameters
    ----------
    array : array
        What the user handed over.
    who : str
        Begins the message: ``"Conv2d's input"``.
    dtype, device : optional
        What the array must be of. Without `dtype`, float32, float64, float16 and bfloat16 will do.

    Raises
    ------
    TypeError
        If it is no array, or its dtype is wrong.
    ValueError
        If it lives elsewhere.
    """
    try:
        home = device_of(array)
    except TypeError as error:
        raise TypeError(f"{who}: {error}") from None
    if device is not None and home is not device:
        raise ValueError(f"{who} is on {home.name!r}, expected it on {device.name!r}")
    if dtype is None and array.dtype.name not in FULL + HALF:
        raise TypeError(f"{who} is of dtype {array.dtype}, expected float32, float64, float16 or bfloat16")
    if dtype is not None and array.dtype != dtype:
        raise TypeError(f"{who} is of dtype {array.dtype}, expected {dtype}")
