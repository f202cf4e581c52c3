"""What the page needs to know of a convolution: a few kernels, and what the channels that are not shown add."""

from __future__ import annotations

from typing import Any

import numpy as np

from npalexnet.explain.encoding import encoded
from npalexnet.explain.passes import Pass

INPUTS = 3  # input channels that are shown of each output channel


def describe_convolution(found: Pass, channels: list[int]) -> tuple[dict[str, Any], set[int]]:
    """Return the convolution's numbers for some output channels, and which input channels they need.

    An output is ``bias + sum over the shown input channels of the products + rest``: `rest` is summed here from its
    own products, so that the page can hold the whole against the output.
    """
    layer: Any = found.layer
    windows = layer.geometry.windows("Conv2d", (1, *found.x.shape))
    width = layer.in_channels // layer.groups
    weight, units, needed = layer.weight.data, {}, set()
    for o in channels:
        first = o // (layer.out_channels // layer.groups) * width
        parts = partial_sums(found.x[first : first + width], weight[o], windows)  # (C/G, oH, oW)
        order = np.argsort(-np.abs(parts).sum(axis=(1, 2)), kind="stable")
        shown = sorted(order[: INPUTS if width > INPUTS else width].tolist())
        others = np.setdiff1d(np.arange(width), shown)
        gradient = found.gradients["weight"][o]
        units[str(o)] = {
            "inputs": [first + c for c in shown],
            "kernels": encoded(weight[o, shown]),  # (inputs, kH, kW)
            "weight_gradients": encoded(gradient[shown]),
            "bias": 0.0 if layer.bias is None else float(layer.bias.data[o]),
            "bias_gradient": 0.0 if layer.bias is None else float(found.gradients["bias"][o]),
            "others": len(others),
            "rest": encoded(parts[others].sum(axis=0)) if len(others) else None,  # (oH, oW)
        }
        needed |= {first + c for c in shown}
    return {
        "kind": "convolution", "kernel": windows.kernel_size, "stride": windows.stride, "padding": windows.padding,
        "dilation": windows.dilation, "groups": layer.groups, "width": width, "units": units,
    }, needed  # fmt: skip


def partial_sums(x: np.ndarray, kernel: np.ndarray, windows: Any) -> np.ndarray:
    """(C, H, W), (C, kH, kW) -> (C, oH, oW): what each input channel adds to an output channel, in float64."""
    (kH, kW), (sH, sW), (dH, dW) = windows.kernel_size, windows.stride, windows.dilation
    (oH, oW), (top, left) = windows.output_size, windows.padding
    C, H, W = x.shape
    bottom = max(0, (oH - 1) * sH + (kH - 1) * dH + 1 - top - H)
    right = max(0, (oW - 1) * sW + (kW - 1) * dW + 1 - left - W)
    padded = np.pad(x.astype(np.float64), ((0, 0), (top, bottom), (left, right)))
    total = np.zeros((C, oH, oW))
    for i in range(kH):
        for j in range(kW):
            rows = slice(i * dH, i * dH + (oH - 1) * sH + 1, sH)
            columns = slice(j * dW, j * dW + (oW - 1) * sW + 1, sW)
            total += padded[:, rows, columns] * kernel[:, i, j, None, None]
    return total
