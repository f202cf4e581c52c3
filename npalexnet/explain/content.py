"""All that the page shows, ready for JSON."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from npalexnet.explain.encoding import encoded
from npalexnet.explain.passes import passes
from npalexnet.explain.steps import describe_steps
from npalexnet.layers.layer import Layer
from npalexnet.layers.summary import summarize
from npalexnet.losses import log_softmax


def contents(
    model: Layer,
    image: np.ndarray,
    label: int,
    classes: Sequence[str],
    *,
    dropout: float | None = None,
    channels: int = 3,
) -> dict[str, Any]:
    """Return the numbers of one picture's way through a network, forward and backward.

    Parameters
    ----------
    model : Layer
        A classifier on the CPU, of the layers of AlexNet's variants: (N, 3, H, W) -> (N, K) logits.
    image : ndarray
        (3, H, W): an input of the network.
    label : int
        The class whose cross-entropy is differentiated.
    classes : sequence of str
        The K names.
    dropout : float, optional
        The probability that training dropped a number, if it is not the layers' own.
    channels : int
        How many output channels are shown of each convolution.

    Returns
    -------
    dict
        "edges" are the arrays before, between and behind the layers: their "shape" and, for each channel that the page
        needs, or for the whole vector, "value" and "gradient", see `encoded`; "same" is the number of an equal one.
        "steps" are the layers, see `describe_steps`. "loss", "label", "classes" and "probabilities", float64 (K,),
        belong to the end.

    Raises
    ------
    ValueError
        If a number is not finite.
    """
    found, loss = passes(model, image, label)
    values = [found[0].x, *(step.y for step in found)]
    gradients = [found[0].grad_x, *(step.grad_y for step in found)]
    for who, array in [*((step.name, step.y) for step in found), ("the image's gradient", found[0].grad_x)]:
        if not np.isfinite(array).all():
            raise ValueError(f"the numbers of {who} are not finite: the weights come from training that diverged")
    steps, needed = describe_steps(found, label, dropout, channels)
    costs = summarize(model, (1, *image.shape), 4)
    steps = [
        {**step, "multiply_adds": cost.multiply_adds, "parameters": cost.parameters}
        for step, cost in zip(steps, costs, strict=True)
    ]
    edges = [edge(*arrays) for arrays in zip(values, gradients, needed, strict=True)]
    for i, description in enumerate(steps):
        if description["kind"] == "dropout":  # in eval mode it changes nothing: its output is its input
            edges[i + 1] = {"shape": edges[i]["shape"], "same": i}
    probabilities = np.exp(log_softmax(found[-1].y[None].astype(np.float64))[0])
    return {
        "edges": edges, "steps": steps, "loss": loss, "label": label, "classes": list(classes),
        "probabilities": probabilities,
    }  # fmt: skip


def edge(value: np.ndarray, gradient: np.ndarray, needed: dict[int, bool]) -> dict[str, Any]:
    """Return an array between two layers and its gradient: some channels of (C, H, W), or all of (C,)."""
    if value.ndim == 1:
        return {"shape": value.shape, "value": encoded(value), "gradient": encoded(gradient)}
    maps = {
        str(c): {"value": encoded(value[c]), **({"gradient": encoded(gradient[c])} if with_gradient else {})}
        for c, with_gradient in sorted(needed.items())
    }
    return {"shape": value.shape, "maps": maps}
