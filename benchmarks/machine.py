"""The machine, the versions, and what stands above every table."""

from __future__ import annotations

import os
import platform
from collections.abc import Mapping
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import numpy as np
from threadpoolctl import threadpool_info

from npalexnet.backend.cores import usable_cores

# Of the environment: what chooses kernels and threads, often other ones than the libraries would take by themselves.
VARIABLES = (
    *("OPENBLAS_", "GOTO_", "MKL_", "OMP_", "KMP_", "GOMP_", "BLIS_", "DNNL_", "ONEDNN_", "NPALEXNET_", "TORCH_"),
    *("CUPY_", "CUBLAS_", "CUBLASLT_", "CUDNN_", "CUDA_LAUNCH_", "CUDA_MODULE_", "NVIDIA_TF32_"),
)


def environment() -> dict[str, Any]:
    """Return machine and versions; nothing is imported for it."""
    blas = [library for library in threadpool_info() if library["user_api"] == "blas"]
    return {
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "machine": {
            "cpu": _cpu_model(),
            "cores": cores(),
            "system": f"{platform.system()} {platform.machine()}",
            "load_average_at_start": os.getloadavg()[0] if hasattr(os, "getloadavg") else None,
            "variables": {name: os.environ[name] for name in sorted(os.environ) if name.startswith(VARIABLES)},
        },
        "versions": {
            "npalexnet": _version("npalexnet"),
            "python": platform.python_version(),
            "numpy": np.__version__,
            "numpy_blas": [f"{lib['internal_api']} {lib['version']} ({lib.get('architecture')})" for lib in blas],
            "torch": _version("torch"),
            "onnxruntime": _version("onnxruntime"),
        },
    }


def preamble(what: str, result: Mapping[str, Any]) -> str:
    """Return what was measured, with which settings, on which machine and with which versions."""
    machine, versions, given = result["machine"], result["versions"], result["settings"]
    load = machine["load_average_at_start"]
    return "\n".join(
        [
            f"{what}, {given['dtype']}, {given['classes']} classes, dropout {given['dropout']} in training, "
            f"{given['rounds']} rounds after {given['warmup']} to warm up",
            f"{result['date']}, {machine['cpu']}, {machine['cores']} cores, {machine['system']}"
            + (f", load average {load:.1f} at the start" if load is not None else ""),
            f"npalexnet {versions['npalexnet']}, Python {versions['python']}, NumPy {versions['numpy']} with "
            f"{', '.join(versions['numpy_blas'])}, torch {versions['torch'] or 'not installed'}, "
            f"ONNX Runtime {versions['onnxruntime'] or 'not installed'}",
            *(f"environment: {name}={value}" for name, value in machine["variables"].items()),
            *([f"torch: {result['torch_flags']}"] if result.get("torch_flags") else []),
        ]
    )


def cores() -> int:
    """Return how many cores this process may use."""
    return usable_cores()


def _cpu_model() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        lines = []
    models = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return models[0] if models else platform.processor() or "unknown CPU"


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None
