"""The network's definition in torch; torch is imported by those who ask for it."""

from __future__ import annotations

from collections import OrderedDict
from typing import Any


def torch_alexnet(nn: Any, classes: int, dropout: float) -> Any:
    """Return the same network in torch, with the same parameter names."""
    layers = nn.Sequential(
        *(nn.Conv2d(3, 96, 11, stride=4), nn.ReLU(), nn.MaxPool2d(3, 2)),
        *(nn.Conv2d(96, 256, 5, padding=2), nn.ReLU(), nn.MaxPool2d(3, 2)),
        *(nn.Conv2d(256, 384, 3, padding=1), nn.ReLU()),
        *(nn.Conv2d(384, 384, 3, padding=1), nn.ReLU()),
        *(nn.Conv2d(384, 256, 3, padding=1), nn.ReLU(), nn.MaxPool2d(3, 2), nn.Flatten()),
    )
    classifier = nn.Sequential(
        *(nn.Dropout(dropout), nn.Linear(256 * 6 * 6, 4096), nn.ReLU()),
        *(nn.Dropout(dropout), nn.Linear(4096, 4096), nn.ReLU()),
        nn.Linear(4096, classes),
    )
    return nn.Sequential(OrderedDict(layers=layers, classifier=classifier))


def torch_flags() -> str | None:
    """Return what torch's numbers depend on; None without torch."""
    try:
        import torch
    except ImportError:
        return None
    return (
        f"eager, float32 matmul precision {torch.get_float32_matmul_precision()!r}, "
        f"oneDNN {'on' if torch.backends.mkldnn.is_available() else 'off'}, fused SGD"
    )
