"""What the page needs to know of pooling: its windows, and which element of each is the largest."""

from __future__ import annotations

from typing import Any

import numpy as np

from npalexnet.explain.encoding import encoded
from npalexnet.explain.passes import Pass


def describe_max_pool(found: Pass, channels: list[int]) -> dict[str, Any]:
    """Return the windows and, for some channels, the winner of each: ``i * kW + j`` for row i, column j of a window."""
    layer: Any = found.layer
    windows = layer.geometry.windows("MaxPool2d", (1, *found.x.shape))
    winners = {str(c): encoded(_winners(found.x[c], windows)) for c in channels}
    return {
        "kind": "max pooling", "kernel": windows.kernel_size, "stride": windows.stride, "padding": windows.padding,
        "dilation": windows.dilation, "winners": winners,
    }  # fmt: skip


def describe_average_pool(found: Pass) -> dict[str, Any]:
    """Return which rows and which columns each output is the average of, as pairs of first and last + 1."""
    axes = []
    for size, parts in zip(found.x.shape[1:], found.y.shape[1:], strict=True):
        axes.append([(p * size // parts, -(-(p + 1) * size // parts)) for p in range(parts)])
    return {"kind": "average pooling", "rows": axes[0], "columns": axes[1]}


def _winners(x: np.ndarray, windows: Any) -> np.ndarray:
    """(H, W) -> (oH, oW): the first of the largest elements, in reading order."""
    (kH, kW), (sH, sW), (dH, dW) = windows.kernel_size, windows.stride, windows.dilation
    (oH, oW), (top, left) = windows.output_size, windows.padding
    reach = (oH - 1) * sH + (kH - 1) * dH + 1, (oW - 1) * sW + (kW - 1) * dW + 1
    padded = np.full((max(reach[0], top + x.shape[0]), max(reach[1], left + x.shape[1])), -np.inf)
    padded[top : top + x.shape[0], left : left + x.shape[1]] = x
    elements = [
        padded[i * dH : i * dH + (oH - 1) * sH + 1 : sH, j * dW : j * dW + (oW - 1) * sW + 1 : sW]
        for i in range(kH)
        for j in range(kW)
    ]
    return np.argmax(elements, axis=0)
