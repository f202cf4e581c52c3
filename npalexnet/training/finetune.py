"""Fine-tuning: starting from weights that another run has learned."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from npalexnet.layers.layer import Layer
from npalexnet.weights import load_weights, weights_file


def read_weights(path: Path) -> tuple[dict[str, np.ndarray], list[str] | None]:
    """Return the tensors of a safetensors file, and the names of the classes if it has them.

    `path` is a run's folder, a weights file, or a file that another program wrote under torch's names. An OSError or
    ValueError if it can't be read, or is damaged.
    """
    tensors, metadata = load_weights(weights_file(path), foreign=True)
    classes = metadata.get("classes") if isinstance(metadata, Mapping) else None
    return tensors, classes if isinstance(classes, list) else None


def load_fitting(model: Layer, tensors: Mapping[str, np.ndarray], *, leave_out: Sequence[str] = ()) -> list[str]:
    """Load the tensors that fit; returns a line for each that did not, and for each that is missing.

    Parameters of the model that nothing fits, or that `leave_out` names, keep their values; the latter without a line.
    If nothing fits at all, or integers do, that is a ValueError, and nothing is changed.
    """
    own: dict[str, Any] = dict(model.named_parameters())
    fitting: dict[str, np.ndarray] = {}
    lines = []
    for name, parameter in own.items():
        if name in leave_out:
            continue
        if name not in tensors:
            lines.append(f"{name} is not in the file, so it keeps its initial values")
        elif tensors[name].shape != parameter.shape:
            shapes = f"{tensors[name].shape} in the file, {parameter.shape} here"
            lines.append(f"{name} has another shape ({shapes}), so it keeps its initial values")
        elif tensors[name].dtype.kind != "f":
            raise ValueError(f"{name} in the file is {tensors[name].dtype}; weights are floats of 16, 32 or 64 bits")
        else:
            fitting[name] = tensors[name]
    lines += [f"{name} of the file is unknown here" for name in tensors if name not in own]
    if not fitting:
        raise ValueError(f"none of the weights fit: {'; '.join(lines[:4])}{'; ...' * (len(lines) > 4)}")
    model.load_state_dict(fitting, strict=False)
    return lines
