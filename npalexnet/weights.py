"""Weights on disk, as safetensors: the parameters under torch's names, and what is needed to use them."""

from __future__ import annotations

import json
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from npalexnet.fields import FieldError, Int, Kind, List, Nullable, Record, Text, found, parse_json, table
from npalexnet.tensors import checksum, read_header, read_tensors, write_tensors

FILE_NAME = "weights.safetensors"  # in the folder of a run
KEY = "npalexnet"  # in the file's metadata, which maps strings to strings: the description, as JSON
CHECKPOINT_KEY = "npalexnet-checkpoint"  # there instead in a checkpoint, see `npalexnet.training.checkpoint`
SUFFIXES = (".safetensors", ".pth", ".pt", ".npz", ".onnx", ".caffemodel")  # that files of weights usually have
MOST_CLASSES = 100_000  # of a network: the last layer alone then takes 1.6 GB
CLASSES = List(Text(), 1, MOST_CLASSES)  # their names, as "classes" in the description
_CHECKSUMS = "npalexnet-checksums"  # in the metadata, too; older files have none
_CRC = Int(0, 2**32 - 1)
_CHECKSUMS_KIND = Record({"tensors": table(_CRC), "description": _CRC})
_OPTIONS = Record({}, optional={"data": Nullable(Text()), "seed": Int()}, others=Kind())
DESCRIPTION = Record(  # what is used of it; a user's own fields may be anything
    {},
    optional={"options": Nullable(_OPTIONS), "steps": Int()},
    others=Kind(),
)


def save_weights(path: str | Path, state: Mapping[str, np.ndarray], metadata: Mapping[str, Any]) -> None:
    """Write a state dict (see `Layer.state_dict`) and a description of it, which may be anything that JSON can hold.

    `path` is replaced atomically: after an OSError it still holds what was there before. Checksums of all are written,
    too, which safetensors does not have.
    """
    description = json.dumps(metadata)
    checksums = {
        "tensors": {name: checksum(_as_read(array)) for name, array in state.items()},
        "description": zlib.crc32(description.encode()),
    }
    write_tensors(path, state, {KEY: description, _CHECKSUMS: json.dumps(checksums, sort_keys=True)})


def load_weights(path: str | Path, *, foreign: bool = False) -> tuple[dict[str, np.ndarray], Any]:
    """Return the state dict and the metadata that `save_weights` wrote.

    Parameters
    ----------
    path : str or Path
    foreign : bool
        Whether a safetensors file of another program is fine, too: its metadata are None. It has no checksums.

    Raises
    ------
    OSError
        If the file can't be read.
    ValueError
        If it is damaged, or not a file of `save_weights`; the message says what it is.
    """
    state, texts = read_tensors(path)
    metadata = description(path, texts, foreign=foreign)
    if metadata is None:
        return state, None
    checksums = _checksums(path, texts)
    if checksums is not None and (unlike := sorted(set(state) ^ set(checksums["tensors"]))):
        raise ValueError(f"{path} is damaged: it does not hold the tensors that it names, see {found(unlike[0])}")
    for name, array in state.items():
        check_floating(path, name, array)
        if checksums is not None and checksum(array) != checksums["tensors"][name]:
            raise ValueError(f"{path} is damaged: the checksum of {name} is wrong; get the file, or train, again")
    return state, metadata


def describe_weights(path: str | Path) -> tuple[dict[str, tuple[int, ...]], dict[str, Any]]:
    """Return the shapes of the tensors that `save_weights` wrote, and their metadata; nothing else is read.

    The errors are those of `load_weights`.
    """
    header = read_header(path)
    return {name: tensor.shape for name, tensor in header.tensors.items()}, description(path, header.texts)


def check_floating(path: str | Path, name: str, array: np.ndarray) -> None:
    """Raise a ValueError unless an array can be weights: integers can't, unless they are scaled in some way."""
    if array.dtype.kind != "f":
        raise ValueError(
            f"{path} can't be used: its tensor {name} is {array.dtype}; weights are floats of 16, 32 or 64 bits"
        )


def weights_file(path: str | Path) -> Path:
    """Return the weights file that a user names by itself or by its folder; errors say what is there instead."""
    path = Path(path)
    if not path.exists():
        raise FileNotFoundError(
            f"No such file or directory: {path}; name the folder of a run, as train writes it, or a weights file"
        )
    if not path.is_dir() or (path / FILE_NAME).exists():
        return path / FILE_NAME if path.is_dir() else path
    what = f"{path} is not the folder of a run: it holds no {FILE_NAME}"
    others = sorted(file.name for file in path.iterdir() if file.suffix in SUFFIXES)
    if {"last.safetensors", "previous.safetensors"} & set(others):
        what = f"{path} holds a checkpoint, but no {FILE_NAME} yet: go on with npalexnet train --resume {path}"
    elif (path / "config.json").is_file() and others:
        what += f"; it looks like a folder of Hugging Face: begin with npalexnet train --weights {path / others[0]}"
    elif others:
        what += f", but {others[0]}: name that file"
    raise ValueError(what)


def description(path: str | Path, texts: Mapping[str, str], *, foreign: bool = False) -> Any:
    """Return the checked description in a file's metadata; None if another program wrote it, and `foreign` allows that.

    The errors are those of `load_weights`.
    """
    if CHECKPOINT_KEY in texts:
        raise ValueError(
            f"{path} is a checkpoint, to go on from with npalexnet train --resume; the weights are in the {FILE_NAME} "
            "of its folder"
        )
    if KEY not in texts:
        if foreign:
            return None
        raise ValueError(
            f"{path} holds tensors, but was not written by npalexnet: it doesn't say what they are for; begin with "
            f"them by npalexnet train --weights {path}"
        )
    checksums = _checksums(path, texts)
    content = texts[KEY].encode("utf-8", "surrogatepass")
    if checksums is not None and checksums["description"] != zlib.crc32(content):
        raise ValueError(f"{path} is damaged: the checksum of its description is wrong")
    try:
        return DESCRIPTION.check(parse_json(content))
    except FieldError as error:
        raise ValueError(f"{path} is damaged: of its description, {error}") from None


def _as_read(array: np.ndarray) -> np.ndarray:
    """Return an array as `read_tensors` will: bfloat16, which NumPy does not have, as float32."""
    return array.astype(np.float32) if array.dtype.name == "bfloat16" else array


def _checksums(path: str | Path, texts: Mapping[str, str]) -> dict[str, Any] | None:
    """Return the checksums in a weights file; None if it is from before there were any."""
    if _CHECKSUMS not in texts:
        return None
    try:
        return _CHECKSUMS_KIND.check(parse_json(texts[_CHECKSUMS].encode("utf-8", "surrogatepass")))
    except FieldError as error:
        raise ValueError(f"{path} is damaged: of its checksums, {error}") from None
