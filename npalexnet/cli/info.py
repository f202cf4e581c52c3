"""``npalexnet info``: what is installed, and which devices are usable."""

from __future__ import annotations

import argparse
import platform
from importlib.metadata import PackageNotFoundError, version

import numpy as np

from npalexnet import __version__, backend, get_convolution_algorithm
from npalexnet.backend.cuda.device import probe
from npalexnet.backend.cuda.launcher import cuda_kernels_enabled
from npalexnet.backend.threads import blas_libraries

DISTRIBUTIONS = (
    "cupy-cuda13x", "cupy-cuda12x", "ml_dtypes", "matplotlib", "pillow", "safetensors", "tqdm", "onnx", "torch",
)  # fmt: skip


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add nothing: the command has no options."""


def run(options: argparse.Namespace) -> int:
    """Print versions, devices and, where a device is not usable, why."""
    gpu = probe()
    blas, said_of_it = blas_libraries()
    print(f"npalexnet    {__version__}, Python {platform.python_version()}, {platform.system()} {platform.machine()}")
    print(f"cpu          usable: NumPy {np.__version__}, BLAS {', '.join(blas)}")
    if said_of_it:
        print(f"             {said_of_it}")
    print(f"             {backend.get_num_threads()} threads, convolution algorithm {get_convolution_algorithm()}")
    print(f"cuda         {'usable' if gpu.usable else 'not usable'}: {gpu.reason} (stage: {gpu.stage})")
    print(f"             custom kernels {'on' if cuda_kernels_enabled() else 'off'}")
    for distribution in DISTRIBUTIONS:
        print(f"{distribution:<13}{_installed(distribution)}")
    return 0


def _installed(distribution: str) -> str:
    try:
        return version(distribution)
    except PackageNotFoundError:
        return "not installed"
