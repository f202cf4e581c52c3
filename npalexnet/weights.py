"""Weights on disk, as safetensors: the parameters under torch's names, and what is needed to use them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from npalexnet.files import atomic_write

FILE_NAME = "weights.safetensors"  # in the folder of a run
KEY = "npalexnet"  # in the file's metadata, which maps strings to strings


def save_weights(path: str | Path, state: Mapping[str, np.ndarray], about: Mapping[str, Any]) -> None:
    """Write a state dict and a description of it; `path` is replaced whole or not at all.

    Parameters
    ----------
    path : str or Path
        By convention ``*.safetensors``.
    state : mapping
        What `Layer.state_dict` returned.
    about : mapping
        Anything that JSON can hold: number of classes, their names, preprocessing, ...

    Raises
    ------
    OSError
        If the file can't be written: no space, no right to; what stood at `path` before still does.
    """
    from safetensors import SafetensorError
    from safetensors.numpy import save_file

    with atomic_write(path) as temporary:
        try:
            save_file(dict(state), temporary, metadata={KEY: json.dumps(about)})
        except SafetensorError as error:  # a full disk, among others
            raise OSError(f"can't write {path}: {error}") from None


def load_weights(path: str | Path) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    """Return the state dict and the description that `save_weights` wrote.

    Raises
    ------
    OSError
        If the file can't be read.
    ValueError
        If it is damaged, or not a file of `save_weights`.
    """
    state, about = read_tensors(path)
    if about is None:
        raise ValueError(f"{path} holds tensors, but was not written by npalexnet: it doesn't say what they are for")
    return state, about


def read_tensors(path: str | Path) -> tuple[dict[str, np.ndarray], Any]:
    """Return the tensors of any safetensors file, and the description that `save_weights` wrote, or None without one.

    Raises
    ------
    OSError
        If the file can't be read.
    ValueError
        If it is damaged.
    """
    from safetensors import SafetensorError, safe_open

    open(path, "rb").close()  # a missing file: Python's own message, which names it
    try:
        with safe_open(path, framework="numpy") as file:
            metadata = file.metadata() or {}
            state = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (it is no dict)
    except SafetensorError as error:
        raise ValueError(f"{path} is damaged, or no safetensors file: {error}") from None
    try:
        return state, json.loads(metadata[KEY]) if KEY in metadata else None
    except json.JSONDecodeError as error:
        raise ValueError(f"{path} is damaged: its description is no JSON: {error}") from None
