"""Who takes part: npalexnet, and every other library that is installed and has the device."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from importlib import import_module
from typing import Any

import numpy as np

from benchmarks.rivals.npalexnet_rival import NpalexnetRival
from benchmarks.rounds import Say
from benchmarks.workload import random_batch
from npalexnet.backend.cuda.device import probe

ON_GPU = {"npalexnet": "cuda", "torch": "cuda"}
ON_CPU = {"npalexnet": "cpu", "torch": "cpu"}


def on_cpu(arguments: argparse.Namespace, say: Say) -> tuple[NpalexnetRival, list[Any]]:
    """Return npalexnet, and torch in both layouts where it is installed, all with the same weights."""
    ours = NpalexnetRival(*_settings(arguments))
    _, *others = makers(arguments, ours.model.state_dict(), say, ON_CPU)
    if not others:
        say("torch is not installed: npalexnet runs without it (pip install 'npalexnet[bench]')")
    return ours, [make() for make in others]


def held_to_im2col(arguments: argparse.Namespace, ours: NpalexnetRival) -> NpalexnetRival:
    """Return npalexnet with im2col in all convolutions, and the same weights as `ours`."""
    return NpalexnetRival(*_settings(arguments), "cpu", ours.model.state_dict(), "im2col")


def compiled(arguments: argparse.Namespace, ours: NpalexnetRival, tasks: Sequence[str], say: Say) -> list[Any]:
    """Return torch.compile with npalexnet's weights, if it can do the tasks; else the reason is said.

    It needs a C++ compiler, and is tried with one image.
    """
    try:
        from benchmarks.rivals.compiled_rival import CompiledRival
    except ImportError:
        return []  # torch is not installed: `on_cpu` says so
    say("compiling for torch.compile")
    try:
        rival = CompiledRival(*_settings(arguments), ours.model.state_dict())
        rival.take(*random_batch(1, arguments.classes))
        rival.try_out(tasks)
    except Exception as error:  # whatever its compilers throw
        say(f"torch.compile is left out: {type(error).__name__}: {' '.join(str(error).split())[:300]}")
        return []
    return [rival]


def onnx_runtime(ours: NpalexnetRival, say: Say) -> list[Any]:
    """Return ONNX Runtime where it is installed, with npalexnet's weights and threads."""
    try:
        import_module("onnx")
        from benchmarks.rivals.onnx_rival import OnnxRival
    except ImportError:
        say("onnx or onnxruntime is not installed: ONNX Runtime is left out (pip install 'npalexnet[bench]')")
        return []
    return [OnnxRival(ours.threads, ours.model)]


def makers(
    arguments: argparse.Namespace, state: Mapping[str, np.ndarray], say: Say, places: Mapping[str, str]
) -> list[Callable[[], Any]]:
    """Return what makes the rivals with the weights of `state`; where there is no GPU for a library, it is said."""
    found: list[Callable[[], Any]] = []
    if places["npalexnet"] == "cuda" and not probe().usable:
        say(f"no GPU for npalexnet: {probe().reason} (stage: {probe().stage})")
    else:
        found.append(partial(NpalexnetRival, *_settings(arguments), places["npalexnet"], state))
    try:
        import torch

        from benchmarks.rivals.torch_rival import TorchRival
    except ImportError:
        return found
    if places["torch"] == "cuda" and not torch.cuda.is_available():
        say(f"no GPU for torch {torch.__version__}: it finds none that it can use")
        return found
    return [
        *found,
        *(partial(TorchRival, *_settings(arguments), last, places["torch"], state) for last in (False, True)),
    ]


def _settings(arguments: argparse.Namespace) -> tuple[int, int, float]:
    return arguments.threads, arguments.classes, arguments.dropout
