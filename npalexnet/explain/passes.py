"""One picture's way through a network, layer by layer: every output, and every gradient on the way back."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from npalexnet.layers.algorithm_choice import convolution_algorithm
from npalexnet.layers.layer import Layer
from npalexnet.layers.linear import Linear
from npalexnet.losses import CrossEntropyLoss


class Pass(NamedTuple):
    """A layer, and what came in and out of it for one picture; arrays are without the axis of the batch.

    Attributes
    ----------
    name : str
        The layer's, as ``npalexnet summary`` prints it.
    layer : Layer
    x, y : ndarray
        Input and output.
    grad_x, grad_y : ndarray
        The loss's gradients with respect to them.
    gradients : dict of ndarray
        Those with respect to the parameters, "weight" and "bias"; empty for a linear layer, where the weight's is
        ``grad_y[:, None] * x``, and as large as the weight.
    """

    name: str
    layer: Layer
    x: np.ndarray
    y: np.ndarray
    grad_x: np.ndarray
    grad_y: np.ndarray
    gradients: dict[str, np.ndarray]


def passes(model: Layer, image: np.ndarray, label: int) -> tuple[list[Pass], float]:
    """Compute a picture forward and backward, in eval mode, with im2col for all convolutions.

    Parameters
    ----------
    model : Layer
        A feed-forward classifier on the CPU, all of it trainable: (N, C, H, W) -> (N, K) logits.
    image : ndarray
        (C, H, W).
    label : int
        The class, below K, whose cross-entropy is differentiated.

    Returns
    -------
    passes : list of Pass
        One for each of the layers, in the order of the forward pass.
    loss : float
        The cross-entropy.
    """
    x: Any = image[None].astype(model.dtype, copy=False)
    forward = []
    with convolution_algorithm("im2col"):
        for name, layer in model.named_leaves():
            y, saved = layer.compute(x)  # without noise: dropout is the identity
            forward.append((name, layer, x, y, saved))
            x = y
        criterion = CrossEntropyLoss()
        loss = float(criterion(x, np.array([label])))
        grad: Any = criterion.backward()
        found = []
        for name, layer, x, y, saved in reversed(forward):
            grad_y, named = grad, {}
            if isinstance(layer, Linear):
                grad = grad_y @ layer.weight.data
            else:
                grad, pairs = layer.gradients(grad_y, saved)
                names = {parameter: key for key, parameter in layer.named_parameters()}
                named = {names[parameter]: gradient for parameter, gradient in pairs}
            found.append(Pass(name, layer, x[0], y[0], grad[0], grad_y[0], named))
    return found[::-1], loss
