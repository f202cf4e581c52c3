"""Checkpoints: all that a run needs to continue bit-identically, in one file that is written atomically.

A checkpoint is a safetensors file: the tensors (weights and velocities), and in its metadata, as JSON, the rest, the
version of this format, and checksums of all that, which safetensors does not have.
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from npalexnet.files import read_tensors, write_tensors
from npalexnet.weights import KEY as WEIGHTS_KEY

LAST, PREVIOUS = "last.safetensors", "previous.safetensors"  # in the folder of a run
FORMAT = 2
_KEY = "npalexnet-checkpoint"


class CheckpointError(ValueError):
    """A checkpoint can't be used; the message says why, and which other one can."""


def save_checkpoint(path: Path, tensors: Mapping[str, np.ndarray], metadata: Mapping[str, Any]) -> None:
    """Write tensors, and metadata that JSON can hold; what stood at `path` is kept as ``previous.safetensors``.

    At every moment, also if the process is killed, one of the two names holds a complete checkpoint; after an OSError,
    what was there before still is.
    """
    arrays = {name: np.ascontiguousarray(array).reshape(array.shape) for name, array in tensors.items()}
    checksums = {name: _checksum(array) for name, array in arrays.items()}
    content = {"format": FORMAT, "checksums": checksums, "about": metadata, "checksum": _text_checksum(metadata)}
    write_tensors(path, arrays, {_KEY: json.dumps(content, sort_keys=True)}, previous=path.with_name(PREVIOUS))


def load_checkpoint(path: Path) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    """Return the tensors and the metadata of a checkpoint.

    A CheckpointError if it is damaged, cut short, not a checkpoint, or in another format.
    """
    try:
        tensors, texts = read_tensors(path)
    except ValueError as error:
        raise CheckpointError(str(error)) from None
    content = _content(path, texts)
    if set(tensors) != set(content["checksums"]):
        raise CheckpointError(f"{path} is damaged: it does not hold the tensors that it names")
    for name, array in tensors.items():
        if _checksum(array) != content["checksums"][name]:
            raise CheckpointError(f"{path} is damaged: the checksum of {name} is wrong")
    return tensors, content["about"]


def load_newest(folder: Path) -> tuple[Path, dict[str, np.ndarray], dict[str, Any]]:
    """Return a run's last checkpoint, with its path; the previous one if the process was killed between two renamings.

    A CheckpointError if there is none, or it can't be used; if the previous one can, the message says how to resume.
    """
    last, previous = folder / LAST, folder / PREVIOUS
    if not last.exists():
        if not previous.exists():
            raise CheckpointError(f"{folder} holds no checkpoint to go on from, neither {LAST} nor {PREVIOUS}")
        return previous, *load_checkpoint(previous)
    try:
        return last, *load_checkpoint(last)
    except (CheckpointError, OSError) as error:
        try:
            step = load_checkpoint(previous)[1]["step"]
        except (CheckpointError, OSError, KeyError, TypeError):
            raise CheckpointError(f"{error}; and there is no older one that could be used") from None
        raise CheckpointError(
            f"{error}; the one before it, of step {step}, is good: go on from there with --resume {previous}"
        ) from None


def _content(path: Path, texts: Mapping[str, str]) -> dict[str, Any]:
    if _KEY not in texts:
        what = "weights alone; start from them with --weights" if WEIGHTS_KEY in texts else "tensors of something else"
        raise CheckpointError(f"{path} is no checkpoint of npalexnet: it holds {what}")
    try:
        content = json.loads(texts[_KEY])
        version = content["format"]
        if isinstance(version, int) and version > FORMAT:
            raise CheckpointError(
                f"{path} was written by a newer npalexnet: its format is {version}, this one reads up to {FORMAT}"
            )
        if isinstance(version, int) and version < FORMAT:
            raise CheckpointError(f"{path} was written by an older npalexnet: its format is {version}, not {FORMAT}")
        if version != FORMAT or not isinstance(content["checksums"], dict) or not isinstance(content["about"], dict):
            raise TypeError
        if content["checksum"] != _text_checksum(content["about"]):
            raise CheckpointError(f"{path} is damaged: the checksum of its description is wrong")
    except (json.JSONDecodeError, KeyError, TypeError):
        raise CheckpointError(f"{path} is damaged: its description can't be read") from None
    return content


def _text_checksum(metadata: Mapping[str, Any]) -> int:
    return zlib.crc32(json.dumps(metadata, sort_keys=True).encode())


def _checksum(array: np.ndarray) -> int:
    return zlib.crc32(np.ascontiguousarray(array).reshape(-1).view(np.uint8).data)
