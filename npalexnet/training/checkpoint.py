"""Checkpoints: all that a run needs to continue bit-identically, in one file that is written atomically.

A checkpoint is a safetensors file: the tensors (weights and velocities), and in its metadata, as JSON, the rest, the
version of this format, and checksums of all that, which safetensors does not have.
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from npalexnet.fields import FieldError, Int, Kind, Record, parse_json, table
from npalexnet.tensors import checksum, read_tensors, write_tensors
from npalexnet.weights import CHECKPOINT_KEY as _KEY
from npalexnet.weights import KEY as WEIGHTS_KEY

LAST, PREVIOUS = "last.safetensors", "previous.safetensors"  # in the folder of a run
FORMAT = 2
_CRC = Int(0, 2**32 - 1)
_CONTENT = Record({"format": Int(), "checksums": table(_CRC), "about": Record({}, others=Kind()), "checksum": _CRC})

Tensors = dict[str, np.ndarray]
Check = Callable[[Tensors, dict[str, Any]], None]  # raises a FieldError where the file is wrong


class CheckpointError(ValueError):
    """A checkpoint can't be used; the message says why, and which other one can."""


def save_checkpoint(path: Path, tensors: Mapping[str, np.ndarray], metadata: Mapping[str, Any]) -> None:
    """Write tensors, and metadata that JSON can hold; what stood at `path` is kept as ``previous.safetensors``.

    At every moment, also if the process is killed, one of the two names holds a complete checkpoint; after an OSError,
    what was there before still is.
    """
    checksums = {name: checksum(array) for name, array in tensors.items()}
    content = {"format": FORMAT, "checksums": checksums, "about": metadata, "checksum": _text_checksum(metadata)}
    write_tensors(path, tensors, {_KEY: json.dumps(content, sort_keys=True)}, previous=path.with_name(PREVIOUS))


def _anything(tensors: Tensors, metadata: dict[str, Any]) -> None:
    """Take any checkpoint."""


def load_checkpoint(path: Path, check: Check = _anything) -> tuple[Tensors, dict[str, Any]]:
    """Return the tensors and the metadata of a checkpoint.

    A CheckpointError if it is damaged, cut short, not a checkpoint, in another format, or refused by `check`.
    """
    try:
        tensors, texts = read_tensors(path)
    except ValueError as error:
        raise CheckpointError(str(error)) from None
    content = _content(path, texts)
    if set(tensors) != set(content["checksums"]):
        raise CheckpointError(f"{path} is damaged: it does not hold the tensors that it names")
    for name, array in tensors.items():
        if checksum(array) != content["checksums"][name]:
            raise CheckpointError(f"{path} is damaged: the checksum of {name} is wrong")
    try:
        check(tensors, content["about"])
    except FieldError as error:
        raise CheckpointError(f"{path} can't be used: {error}") from None
    return tensors, content["about"]


def load_newest(folder: Path, check: Check = _anything) -> tuple[Path, Tensors, dict[str, Any]]:
    """Return a run's last checkpoint, with its path; the previous one if the process was killed between two renamings.

    A CheckpointError if there is none, or it can't be used; if the previous one can, the message says how to resume.
    """
    last, previous = folder / LAST, folder / PREVIOUS
    if not last.exists():
        if not previous.exists():
            raise CheckpointError(f"{folder} holds no checkpoint to go on from, neither {LAST} nor {PREVIOUS}")
        return previous, *load_checkpoint(previous, check)
    try:
        return last, *load_checkpoint(last, check)
    except (CheckpointError, OSError) as error:
        try:
            step = load_checkpoint(previous, check)[1]["step"]
        except (OSError, ValueError, KeyError):
            raise CheckpointError(f"{error}; and there is no older one that could be used") from None
        raise CheckpointError(
            f"{error}; the one before it, of step {step}, is good: go on from there with --resume {previous}"
        ) from None


def _content(path: Path, texts: Mapping[str, str]) -> dict[str, Any]:
    if _KEY not in texts:
        what = "weights alone; start from them with --weights" if WEIGHTS_KEY in texts else "tensors of something else"
        raise CheckpointError(f"{path} is no checkpoint of npalexnet: it holds {what}")
    try:
        content = parse_json(texts[_KEY].encode("utf-8", "surrogatepass"))
        version = content.get("format") if isinstance(content, dict) else None
        if isinstance(version, int) and version > FORMAT:
            raise CheckpointError(
                f"{path} was written by a newer npalexnet: its format is {version}, this one reads up to {FORMAT}"
            )
        if isinstance(version, int) and version < FORMAT:
            raise CheckpointError(f"{path} was written by an older npalexnet: its format is {version}, not {FORMAT}")
        content = _CONTENT.check(content)
    except FieldError as error:
        raise CheckpointError(f"{path} is damaged: its description can't be read: {error}") from None
    if content["checksum"] != _text_checksum(content["about"]):
        raise CheckpointError(f"{path} is damaged: the checksum of its description is wrong")
    return content


def _text_checksum(metadata: Mapping[str, Any]) -> int:
    return zlib.crc32(json.dumps(metadata, sort_keys=True).encode())
