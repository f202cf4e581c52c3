"""What the readers give: the tensors in a file by their names, and what else it says."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

import numpy as np

from npalexnet.fields import found

MOST_DIMENSIONS = 32
MOST_TENSORS = 100_000


class Operator(NamedTuple):
    """A layer of a network in a file, with the names of its tensors if it has any."""

    kind: str  # "conv", "linear", "lrn", "max_pool", "average_pool", "relu", or another program's own name
    weight: str | None = None
    bias: str | None = None


@dataclass(frozen=True)
class TensorFile:
    """The content of a file of weights.

    Attributes
    ----------
    path : Path
    kind : {"safetensors", "npz", "torch", "onnx", "caffe"}
    tensors : dict of str to ndarray
        In the machine's byte order, of the types that `npalexnet.dtypes` gives them; not to be written to.
    texts : dict of str to str
        What the file says besides: its metadata.
    operators : tuple of Operator
        The layers in their order, in files that have them (ONNX, Caffe).
    """

    path: Path
    kind: str
    tensors: Mapping[str, np.ndarray]
    texts: Mapping[str, str] = field(default_factory=dict)
    operators: tuple[Operator, ...] = ()


class Unreadable(ValueError):
    """A file is whole, but can't be used; the text is the end of "FILE ..."."""


def damaged(path: str | Path, why: object) -> ValueError:
    """Return the error for a file that does not hold what it says, or ends before it."""
    return ValueError(f"{path} is damaged or cut short: {why}"[:500])


def shaped(name: str, values: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """Return values in the shape that a file gives them.

    Raises
    ------
    ValueError
        If they don't fill it, or no array can have it.
    """
    if len(shape) > MOST_DIMENSIONS or any(length < 0 for length in shape):
        raise ValueError(f"the tensor {found(name)} of shape {shape!s:.80} is none that an array can have")
    try:
        return values.reshape(shape)
    except (ValueError, OverflowError) as error:  # it has not so many, or lengths beyond NumPy's
        raise ValueError(f"the tensor {found(name)}: {error}") from None
