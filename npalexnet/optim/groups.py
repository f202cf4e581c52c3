"""Parameter groups: biases that learn faster than weights, and are not pulled towards 0."""

from __future__ import annotations

from math import inf
from typing import Any

from npalexnet.checks import has, number
from npalexnet.layers.layer import Layer


def weights_and_biases(
    model: Layer, lr: float, weight_decay: float, *, bias_lr_factor: float = 1.0, bias_decay_factor: float = 1.0
) -> list[dict[str, Any]]:
    """Return the trainable parameters of a model as groups for `SGD`.

    Parameters
    ----------
    model : Layer
        Parameters whose name ends with ``bias`` are biases, all others weights.
    lr, weight_decay : float
        The weights' settings.
    bias_lr_factor, bias_decay_factor : float
        What these are multiplied by for the biases: Caffe's ``lr_mult`` and ``decay_mult``. The networks of 2012 to
        2014 used 2 and 0.

    Returns
    -------
    list of dict
        The weights and then the biases; or one group of all, in the model's order, if both factors are 1.

    Raises
    ------
    TypeError, ValueError
        If `model` is none, or a setting or factor is no number, negative or not finite.
    """
    has("model", model, "named_parameters", "a model, with named_parameters")
    settings = {"lr": lr, "weight_decay": weight_decay}
    settings |= {"bias_lr_factor": bias_lr_factor, "bias_decay_factor": bias_decay_factor}
    for name, value in settings.items():
        if not 0 <= number(name, value) < inf:
            raise ValueError(f"{name} must be finite and not negative, got {value}")
    trainable = {name: parameter for name, parameter in model.named_parameters() if parameter.requires_grad}
    if bias_lr_factor == bias_decay_factor == 1:
        return [{"params": list(trainable.values()), "lr": lr, "weight_decay": weight_decay}]
    biases = {name: parameter for name, parameter in trainable.items() if name.endswith("bias")}
    weights = [parameter for name, parameter in trainable.items() if name not in biases]
    faster, decayed = lr * bias_lr_factor, weight_decay * bias_decay_factor
    groups: list[dict[str, Any]] = [
        {"params": weights, "lr": lr, "weight_decay": weight_decay},
        {"params": list(biases.values()), "lr": faster, "weight_decay": decayed},
    ]
    return [group for group in groups if group["params"]]
