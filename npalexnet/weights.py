"""Weights on disk, as safetensors: the parameters under torch's names, and what is needed to use them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from npalexnet.files import read_tensors, write_tensors

FILE_NAME = "weights.safetensors"  # in the folder of a run
KEY = "npalexnet"  # in the file's metadata, which maps strings to strings


def save_weights(path: str | Path, state: Mapping[str, np.ndarray], metadata: Mapping[str, Any]) -> None:
    """Write a state dict (see `Layer.state_dict`) and a description of it, which may be anything that JSON can hold.

    `path` is replaced atomically: after an OSError it still holds what was there before.
    """
    write_tensors(path, state, {KEY: json.dumps(metadata)})


def load_weights(path: str | Path, *, foreign: bool = False) -> tuple[dict[str, np.ndarray], Any]:
    """Return the state dict and the metadata that `save_weights` wrote.

    Parameters
    ----------
    path : str or Path
    foreign : bool
        Whether a safetensors file of another program is fine, too: its metadata are None.

    Raises
    ------
    OSError
        If the file can't be read.
    ValueError
        If it is damaged, or not a file of `save_weights`.
    """
    state, texts = read_tensors(path)
    if KEY not in texts:
        if foreign:
            return state, None
        raise ValueError(f"{path} holds tensors, but was not written by npalexnet: it doesn't say what they are for")
    try:
        return state, json.loads(texts[KEY])
    except json.JSONDecodeError as error:
        raise ValueError(f"{path} is damaged: its description is no JSON: {error}") from None
