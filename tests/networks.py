"""Networks of tests: one trained a little, one made by hand, and one with few parameters."""

import numpy as np
import pytest

import npalexnet as na
from npalexnet.variants import variant
from npalexnet.weights import save_weights

TINY = ["--epochs", "1", "--batch-size", "4", "--train-images", "8", "--validation-images", "4"]  # of `npalexnet train`
WIDTH = 64


def narrow(monkeypatch):
    """Give AlexNet linear layers of 64 numbers instead of 4096: 4 million parameters, not 58.

    For tests of what is done with a network, not of its numbers: writing and reading 58 million takes most of the time.
    """
    monkeypatch.setattr(variant, "Linear", narrowed(na.Linear))


def narrowed(linear):
    """Return what makes a linear layer so."""

    def make(in_features, out_features, **settings):
        return linear(*(WIDTH if width == 4096 else width for width in (in_features, out_features)), **settings)

    return make


def save_bright_network(folder):
    """Write weights of a narrow network for which a bright red in the middle is "bright", black "dark" by 73.1 %."""
    with pytest.MonkeyPatch.context() as patch:
        narrow(patch)
        state = {name: np.zeros_like(values) for name, values in na.AlexNet(2).state_dict().items()}
    for name in ("layers.0", "layers.3", "layers.6", "layers.8", "layers.10"):
        state[f"{name}.weight"][0, 0] = 1
    state["classifier.1.weight"][0, 14] = state["classifier.4.weight"][0, 0] = 1  # channel 0, about the middle
    state["classifier.6.weight"][1, 0], state["classifier.6.bias"][0] = 1, 1
    save_weights(
        folder / "weights.safetensors", state, {"classes": ["dark", "bright"], "mean": [0] * 3, "std": [1] * 3}
    )
