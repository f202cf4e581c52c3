"""What the page needs to know of linear layers and dropout: the weights of a few outputs, and a mask."""

from __future__ import annotations

from typing import Any

import numpy as np

from npalexnet.explain.encoding import encoded
from npalexnet.explain.passes import Pass
from npalexnet.layers.dropout import dropout

PRODUCTS = 10  # of each output that is shown
SEED = 0  # of the mask


def describe_linear(found: Pass, outputs: list[int]) -> dict[str, Any]:
    """Return, for some outputs, the inputs whose products are the largest, with their weights, and the rest's sum."""
    layer: Any = found.layer
    units = {}
    for o in outputs:
        products = found.x.astype(np.float64) * layer.weight.data[o]
        inputs = np.argsort(-np.abs(products), kind="stable")[:PRODUCTS]
        others = np.setdiff1d(np.arange(len(products)), inputs)
        units[str(o)] = {
            "inputs": inputs.tolist(),
            "weights": encoded(layer.weight.data[o, inputs]),
            "bias": 0.0 if layer.bias is None else float(layer.bias.data[o]),
            "others": len(others),
            "rest": float(products[others].sum()),
        }
    return {"kind": "linear", "units": units}


def describe_dropout(found: Pass, p: float) -> dict[str, Any]:
    """Return a mask, as training might draw it, of 1 for a number that stays and 0 for one that is dropped."""
    kept = dropout(np.ones((1, *found.x.shape), np.float32), p, SEED, 0)[0] > 0
    return {"kind": "dropout", "p": p, "seed": SEED, "kept": encoded(kept)}
