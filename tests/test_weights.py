import json
from contextlib import suppress

import numpy as np
import pytest
from safetensors.numpy import save_file

from npalexnet.training.checkpoint import save_checkpoint
from npalexnet.weights import describe_weights, load_weights, save_weights, weights_file

STATE = {"a.weight": np.arange(6, dtype=np.float32).reshape(2, 3), "a.bias": np.array([0.5])}
METADATA = {"classes": ["T-shirt/top", "Trouser"], "mean": [0.25, 0.25, 0.25]}


def test_what_is_saved_is_loaded_bit_for_bit(tmp_path):
    save_weights(tmp_path / "w.safetensors", STATE, METADATA)
    state, metadata = load_weights(tmp_path / "w.safetensors")
    assert metadata == METADATA
    assert state.keys() == STATE.keys()
    for name, values in STATE.items():
        np.testing.assert_array_equal(state[name], values, strict=True)


def test_missing_damaged_and_foreign_files_are_refused_by_name(tmp_path):
    path = tmp_path / "w.safetensors"
    with pytest.raises(FileNotFoundError, match=r"w\.safetensors"):
        load_weights(path)
    save_weights(path, STATE, METADATA)
    path.write_bytes(path.read_bytes()[:-4])
    with pytest.raises(ValueError, match=r"w\.safetensors is damaged or cut short, or no safetensors file"):
        load_weights(path)
    path.write_text("hello")
    with pytest.raises(ValueError, match="is a text file, not weights, where a safetensors file is needed"):
        load_weights(path)
    save_file(STATE, path)
    with pytest.raises(ValueError, match="was not written by npalexnet"):
        load_weights(path)


def older(path, state, metadata):
    """Write weights as they were before they had checksums."""
    save_file(state, path, metadata={"npalexnet": json.dumps(metadata)})


def test_every_flipped_byte_of_the_data_is_noticed(tmp_path):
    path = tmp_path / "w.safetensors"
    save_weights(path, STATE, METADATA)
    content = path.read_bytes()
    for place in range(len(content) - sum(array.nbytes for array in STATE.values()), len(content)):
        damaged = bytearray(content)
        damaged[place] ^= 1
        path.write_bytes(damaged)
        with pytest.raises(ValueError, match=r"w\.safetensors is damaged: the checksum of a\.\w+ is wrong"):
            load_weights(path)


def test_every_flipped_byte_of_the_header_is_noticed_or_changes_nothing(tmp_path):
    path = tmp_path / "w.safetensors"
    save_weights(path, STATE, METADATA)
    content = path.read_bytes()
    for place in range(len(content) - sum(array.nbytes for array in STATE.values())):
        damaged = bytearray(content)
        damaged[place] ^= 1
        path.write_bytes(damaged)
        with suppress(ValueError):  # one in the padding changes nothing
            state, metadata = load_weights(path)
            assert metadata == METADATA
            assert all(np.array_equal(state[name], values) for name, values in STATE.items())


def test_the_same_weights_are_the_same_bytes(tmp_path):
    for i in range(8):  # safetensors draws the order of several texts anew each time
        save_weights(tmp_path / f"{i}.safetensors", STATE, METADATA)
    assert len({path.read_bytes() for path in tmp_path.iterdir()}) == 1


def test_files_without_checksums_are_taken(tmp_path):
    path = tmp_path / "w.safetensors"
    older(path, STATE, METADATA)
    assert load_weights(path)[1] == METADATA
    save_file(STATE, path)
    state, metadata = load_weights(path, foreign=True)
    assert metadata is None
    np.testing.assert_array_equal(state["a.weight"], STATE["a.weight"], strict=True)


@pytest.mark.parametrize("save", [save_weights, older])
@pytest.mark.parametrize("dtype", ["int64", "uint8", "bool"])
def test_integers_are_no_weights(tmp_path, save, dtype):
    save(tmp_path / "w.safetensors", {**STATE, "a.bias": np.ones(1, dtype)}, METADATA)
    with pytest.raises(ValueError, match=rf"its tensor a\.bias is {dtype}; weights are floats of 16, 32 or 64 bits"):
        load_weights(tmp_path / "w.safetensors")


def test_the_description_is_read_alone_and_checked(tmp_path):
    path = tmp_path / "w.safetensors"
    save_weights(path, STATE, METADATA)
    assert describe_weights(path) == ({"a.bias": (1,), "a.weight": (2, 3)}, METADATA)
    for metadata, message in (
        ([1], r"its content must be an object, got \[1\]"),
        ({"options": 7}, "options must be an object, or null, got 7"),
        ({"options": {"seed": "x"}}, r"options\.seed must be a whole number of at least 0, got \"x\""),
        ({"steps": float("nan")}, "steps must be a whole number of at least 0, got NaN"),
    ):
        older(path, STATE, metadata)
        for read in (describe_weights, load_weights):
            with pytest.raises(ValueError, match=rf"w\.safetensors is damaged: of its description, {message}"):
                read(path)


def test_a_checkpoint_and_other_files_are_called_what_they_are(tmp_path):
    path = tmp_path / "w.safetensors"
    save_checkpoint(path, STATE, {})
    with pytest.raises(ValueError, match="is a checkpoint, to go on from with npalexnet train --resume"):
        load_weights(path, foreign=True)
    for content, message in (
        (b"version https://git-lfs.github.com/spec/v1\n", "is a pointer of Git LFS"),
        (b"\x80\2ctorch._utils\n", "is a file of torch.save"),
        (b"<!DOCTYPE html>", "is a web page"),
        (b"\x93NUMPY\1\0", "is one array of NumPy"),
    ):
        path.write_bytes(content)
        with pytest.raises(ValueError, match=message):
            load_weights(path, foreign=True)
    with open(path, "wb") as file:
        np.savez(file, a=STATE["a.bias"])
    with pytest.raises(ValueError, match="is an archive of NumPy"):
        load_weights(path, foreign=True)


def test_weights_are_found_by_their_folder_or_it_is_said_what_is_there(tmp_path):
    (tmp_path / "run").mkdir()
    with pytest.raises(FileNotFoundError, match=r"No such file or directory: .*nope; name the folder of a run"):
        weights_file(tmp_path / "nope")
    with pytest.raises(ValueError, match=r"run is not the folder of a run: it holds no weights\.safetensors$"):
        weights_file(tmp_path / "run")
    (tmp_path / "run" / "model.safetensors").touch()
    with pytest.raises(ValueError, match=r"but model\.safetensors: name that file"):
        weights_file(tmp_path / "run")
    (tmp_path / "run" / "config.json").touch()
    with pytest.raises(ValueError, match=r"folder of Hugging Face: begin with npalexnet train --weights .*model\.saf"):
        weights_file(tmp_path / "run")
    (tmp_path / "run" / "last.safetensors").touch()
    with pytest.raises(ValueError, match=r"no weights\.safetensors yet: go on with npalexnet train --resume"):
        weights_file(tmp_path / "run")
    (tmp_path / "run" / "weights.safetensors").touch()
    assert weights_file(tmp_path / "run") == weights_file(tmp_path / "run" / "weights.safetensors")


def test_weights_of_other_programs_in_a_folder_are_called_what_they_are(tmp_path):
    (tmp_path / "config.json").touch()
    (tmp_path / "pytorch_model.bin").write_bytes(b"\x80\2}q\0.")
    with pytest.raises(ValueError, match=r"no weights\.safetensors; .* train --weights \S+pytorch_model\.bin$"):
        weights_file(tmp_path)
    for i in (1, 2):
        (tmp_path / f"model-0000{i}-of-00002.safetensors").touch()
    with pytest.raises(
        ValueError, match=r"its weights are in 2 files, model-00001-of-00002\.safetensors, \.\.\.: load"
    ):
        weights_file(tmp_path)
    (tmp_path / "model.safetensors.index.json").write_text('{"weight_map": {}}')
    with pytest.raises(ValueError, match=r"is JSON, not weights: the file that it describes is another one"):
        load_weights(tmp_path / "model.safetensors.index.json")


@pytest.mark.parametrize(
    ("name", "content", "what"),
    [
        (
            "a.png",
            b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR",
            "a PNG image, not weights: to classify it, name the network first, npalexnet predict RUN IMAGE",
        ),
        (
            "a.jpg",
            b"\xff\xd8\xff\xe0\0\x10JFIF\0",
            "a JPEG image, not weights: to classify it, name the network first, npalexnet predict RUN IMAGE",
        ),
        ("a.bin", b"BZh91AY&SY" + bytes(20), "a bzip2 archive: unpack it first"),
        ("a.mat", b"MATLAB 5.0 MAT-file" + bytes(20), "a MATLAB file: save its weights as safetensors"),
        ("a.bin", b"\n\n <html><body>404", "a web page .HTML., not weights: the download went wrong$"),
        ("a.bin", b"Entry not found\r\n", "a text file, not weights, where a safetensors file is needed"),
        (
            "a.keras",
            b"PK\3\4" + bytes(22) + b"\x0d\0\0\0metadata.json" + bytes(9),
            "an archive of Keras: save its weights",
        ),
    ],
)
def test_files_that_people_have_for_weights_are_called_what_they_are(tmp_path, name, content, what):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(ValueError, match=rf"{name} is {what}"):
        load_weights(tmp_path / name, foreign=True)
