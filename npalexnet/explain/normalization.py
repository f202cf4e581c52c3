"""What the page needs to know of response normalisation: its constants, and what comes back through the divisors."""

from __future__ import annotations

from typing import Any

from npalexnet.explain.encoding import encoded
from npalexnet.explain.passes import Pass
from npalexnet.layers.normalization import SpatialResponseNorm


def describe_normalization(found: Pass, channels: list[int]) -> tuple[dict[str, Any], set[int]]:
    """Return the constants, the gradient through the divisors for some channels, and which inputs these need.

    ``grad_x[i] = grad_y[i] * d[i]**-beta + through[i]``; the first term is computed on the page.
    """
    layer: Any = found.layer
    scale = layer.alpha / layer.divisor
    spatial = isinstance(layer, SpatialResponseNorm)
    description = {
        "kind": "normalization", "spatial": spatial, "size": layer.size, "scale": scale, "beta": layer.beta,
        "k": layer.k, "groups": 1 if spatial else layer.groups,
    }  # fmt: skip
    _, (_, d) = layer.compute(found.x[None])
    direct = found.grad_y * d[0] ** -layer.beta
    description["through"] = {str(c): encoded(found.grad_x[c] - direct[c]) for c in channels}
    if spatial:
        return description, set(channels)
    width = len(found.x) // layer.groups
    needed = {
        i
        for c in channels
        for i in range(c - layer.size // 2, c + (layer.size - 1) // 2 + 1)
        if 0 <= i < len(found.x) and i // width == c // width
    }
    return description, needed
