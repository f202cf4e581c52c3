"""Networks of tests: one trained a little, and one made by hand."""

import numpy as np

import npalexnet as na
from npalexnet.weights import save_weights

TINY = ["--epochs", "1", "--batch-size", "4", "--train-images", "8", "--test-images", "4"]  # of `npalexnet train`


def save_bright_network(folder):
    """Write weights of a network for which a bright red in the middle makes class "bright", black "dark" by 73.1 %."""
    state = {name: np.zeros_like(values) for name, values in na.AlexNet(2).state_dict().items()}
    for name in ("layers.0", "layers.3", "layers.6", "layers.8", "layers.10"):
        state[f"{name}.weight"][0, 0] = 1
    state["classifier.1.weight"][0, 14] = state["classifier.4.weight"][0, 0] = 1  # channel 0, about the middle
    state["classifier.6.weight"][1, 0], state["classifier.6.bias"][0] = 1, 1
    save_weights(
        folder / "weights.safetensors", state, {"classes": ["dark", "bright"], "mean": [0] * 3, "std": [1] * 3}
    )
