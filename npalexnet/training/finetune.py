"""Fine-tuning: starting from weights that another run, or another program, has learned."""

from __future__ import annotations

from collections.abc import Sequence

from npalexnet.alexnet import AlexNet
from npalexnet.data.names import normal
from npalexnet.pretrained.figures import LAST, figure_of
from npalexnet.pretrained.identify import counted
from npalexnet.pretrained.opening import Weights


def load_fitting(model: AlexNet, weights: Weights, classes: Sequence[str]) -> str:
    """Load weights into a network for some classes; returns how many are there, and which layers are new, in a line.

    Layers that the weights don't have keep their values. So does the last layer if the weights are for other classes:
    for other names, or another number of them where they have no names.

    Raises
    ------
    ValueError
        If the network is another variant, or has other shapes; nothing is changed.
    """
    found = weights.found
    if model.variant != found.variant:
        raise ValueError(f"{weights.path} holds weights of the variant {found.variant}, not {model.variant}")
    state, new, why = dict(found.state), found.new, ""
    last = figure_of(found.variant).names[LAST]
    theirs = None if weights.classes is None else [*map(normal, weights.classes)]
    outputs = len(state.get(f"{last}.bias", ()))
    if LAST not in new and (outputs != len(classes) or theirs not in (None, [*map(normal, classes)])):
        state = {name: array for name, array in state.items() if not name.startswith(f"{last}.")}
        new, why = (LAST,), ", for other classes"
    try:
        model.load_state_dict(state, strict=False)
    except (ValueError, TypeError) as error:
        raise ValueError(f"{weights.path}: {error}") from None
    return f"{counted(len(found.state), new)}{why}"
