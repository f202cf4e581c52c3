"""Checkpoints that can't be used: what is said, and which other one is offered."""

import errno
import json
import os
import re
import zlib

import numpy as np
import pytest
from safetensors.numpy import save_file

from npalexnet.training.checkpoint import (
    LAST,
    PREVIOUS,
    CheckpointError,
    load_checkpoint,
    load_newest,
    save_checkpoint,
)
from npalexnet.weights import save_weights

TENSORS = {
    "model.a": np.arange(6, dtype=np.float32).reshape(2, 3),
    "model.b": np.array(0.5),
    "optimizer.0.momentum_buffer": np.arange(12.0).reshape(3, 4).T,
    "model.none": np.zeros((0, 3), np.float32),
}
METADATA = {"step": 7, "generators": {"0": {"state": {"state": 2**127 + 1}}}, "best": None}


def two(folder):
    for step in (3, 7):
        save_checkpoint(folder / LAST, TENSORS, {**METADATA, "step": step})


def test_what_is_saved_is_loaded_bit_for_bit(tmp_path):
    two(tmp_path)
    path, tensors, metadata = load_newest(tmp_path)
    assert (path.name, metadata) == (LAST, METADATA)
    assert tensors.keys() == TENSORS.keys()
    for name, values in TENSORS.items():
        np.testing.assert_array_equal(tensors[name], values, strict=True)
    assert load_checkpoint(tmp_path / PREVIOUS)[1]["step"] == 3
    assert {path.name for path in tmp_path.iterdir()} == {LAST, PREVIOUS}


def test_between_the_two_renamings_it_is_the_one_before(tmp_path):
    two(tmp_path)
    (tmp_path / LAST).unlink()
    path, _, metadata = load_newest(tmp_path)
    assert (path.name, metadata["step"]) == (PREVIOUS, 3)
    (tmp_path / PREVIOUS).unlink()
    with pytest.raises(CheckpointError, match="holds no checkpoint to go on from"):
        load_newest(tmp_path)


def flip(path):
    content = bytearray(path.read_bytes())
    content[-9] ^= 1
    path.write_bytes(content)


def change_a_digit(path):
    content = path.read_bytes()
    assert content.count(b'\\"step\\": 7') == 1
    path.write_bytes(content.replace(b'\\"step\\": 7', b'\\"step\\": 9'))


def rewrite(path, **changes):
    """Write the same file with another description."""
    header = {"format": 2, "checksums": {}, "about": {}, "checksum": zlib.crc32(b"{}"), **changes}
    save_file({"a": np.zeros(2)}, path, metadata={"npalexnet-checkpoint": json.dumps(header)})


DAMAGES = {
    "a flipped bit": (flip, r"is damaged: the checksum of .* is wrong"),
    "another digit": (change_a_digit, "is damaged: the checksum of its description is wrong"),
    "cut short": (lambda path: os.truncate(path, path.stat().st_size - 4), "is damaged or cut short"),
    "empty": (lambda path: os.truncate(path, 0), "is damaged or cut short"),
    "text": (lambda path: path.write_text("hello"), "is a text file, not weights"),
    "another program's": (lambda path: save_file(TENSORS, path), "it holds tensors of something else"),
    "weights": (lambda path: save_weights(path, TENSORS, {}), "it holds weights alone; start from them with --weights"),
    "newer": (lambda path: rewrite(path, format=3), "a newer npalexnet: its format is 3, this one reads up to 2"),
    "older": (lambda path: rewrite(path, format=1), "an older npalexnet: its format is 1, not 2"),
    "no format": (lambda path: rewrite(path, format=None), "its description can't be read"),
    "no names": (lambda path: rewrite(path), "does not hold the tensors that it names"),
}


@pytest.mark.parametrize(("damage", "message"), DAMAGES.values(), ids=DAMAGES)
def test_a_checkpoint_that_can_not_be_used_is_explained_and_the_older_one_is_offered(tmp_path, damage, message):
    two(tmp_path)
    damage(tmp_path / LAST)
    with pytest.raises(CheckpointError, match=message) as caught:
        load_newest(tmp_path)
    offer = f"the one before it, of step 3, is good: go on from there with --resume {tmp_path / PREVIOUS}"
    assert str(caught.value).startswith(str(tmp_path / LAST))
    assert offer in str(caught.value)
    (tmp_path / PREVIOUS).write_text("hello")
    with pytest.raises(CheckpointError, match=message + r".*there is no older one that could be used"):
        load_newest(tmp_path)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match=re.escape(str(tmp_path / "x.safetensors"))):
        load_checkpoint(tmp_path / "x.safetensors")


@pytest.mark.parametrize("call", ["fsync", "replace"])
def test_a_failed_write_leaves_a_good_checkpoint_and_nothing_else(tmp_path, monkeypatch, call):
    two(tmp_path)

    def fail(*arguments):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, call, fail)
    with pytest.raises(OSError, match="No space left"):
        save_checkpoint(tmp_path / LAST, TENSORS, {**METADATA, "step": 11})
    monkeypatch.undo()
    assert load_newest(tmp_path)[2]["step"] == 7
    assert {path.name for path in tmp_path.iterdir()} == {LAST, PREVIOUS}
