"""Who takes part: npalexnet, and every other library that is installed and has the device."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import numpy as np

from benchmarks.rivals.npalexnet_rival import NpalexnetRival
from benchmarks.rounds import Say
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


def onnx_runtime(ours: NpalexnetRival, say: Say) -> list[Any]:
    """Return ONNX Runtime where it is installed, with npalexnet's weights and threads."""
    try:
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
