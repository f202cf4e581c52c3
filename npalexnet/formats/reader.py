"""Which format a file has, told from its content, and its tensors by the reader for it."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

from npalexnet.files import open_regular
from npalexnet.formats import wire
from npalexnet.formats.caffe_file import read_caffe
from npalexnet.formats.npz import read_npz
from npalexnet.formats.onnx_file import read_onnx
from npalexnet.formats.tensor_file import TensorFile
from npalexnet.formats.torch_file import read_torch_legacy, read_torch_zip
from npalexnet.formats.zip_records import records
from npalexnet.signatures import HEAD, TAIL, TORCH, what_it_is
from npalexnet.tensors import read_tensors

EXPECTED = (
    "weights are a file of safetensors, of torch.save (.pth), of numpy.savez (.npz), an ONNX file or a .caffemodel"
)


def read_tensor_file(path: str | Path) -> TensorFile:
    """Return the tensors in a file of weights, whatever it is called, and what else it says.

    Parameters
    ----------
    path : str or Path
        A file of safetensors, of torch.save (both forms), of numpy.savez, of ONNX or of Caffe (``.caffemodel``).

    Raises
    ------
    OSError
        If it can't be read.
    ValueError
        If it is damaged, or another kind of file, which the message names. Nothing in it was executed, and no memory
        taken for what it only claims to hold.
    """
    path = Path(path)
    return format_of(path)(path)


def format_of(path: Path) -> Callable[[Path], TensorFile]:
    """Return the reader for a file; a ValueError says what it is if there is none."""
    with open_regular(path) as file:
        size = os.fstat(file.fileno()).st_size
        head = file.read(HEAD)
        file.seek(max(size - TAIL, 0))
        tail = file.read()
    if not head:
        raise ValueError(f"{path} is damaged or cut short: it is empty")
    if head.startswith(b"PK\3\4"):
        return _in_archive(path)
    if head[8:9] == b"{" and int.from_bytes(head[:8], "little") < 2**40:
        return read_safetensors
    what = what_it_is(head, tail)
    if what == TORCH:
        return read_torch_legacy
    if what is None and (reader := _message(head, size)):
        return reader
    if what is None and len(head) >= 8 and not any(head[5:8]):
        return read_safetensors  # whose errors say what is wrong with it
    raise ValueError(f"{path} is {what or 'no file of weights, or damaged'}; {EXPECTED}")


def read_safetensors(path: Path) -> TensorFile:
    """Return the tensors of a safetensors file, and its metadata."""
    tensors, texts = read_tensors(path)
    return TensorFile(path, "safetensors", tensors, texts)


def _in_archive(path: Path) -> Callable[[Path], TensorFile]:
    """Return the reader for a zip archive by the names in it."""
    with records(path) as archive:
        names = archive.names
    if any(name.endswith("data.pkl") for name in names):
        return read_torch_zip
    if any(name.endswith(".npy") for name in names) and all(name.endswith((".npy", ".json")) for name in names):
        return read_npz
    what = "a zip archive without weights of a known kind"
    if "model.weights.h5" in names:
        what = "a Keras file: save its weights as safetensors, under torch's names"
    elif any(name.startswith("MAR-INF/") for name in names):
        what = "an archive of TorchServe: unpack it, and give the .pth in it"
    elif any("archive_format" in name for name in names):
        what = "a program of torch.export: in torch, torch.save(torch.export.load(FILE).state_dict, NEW_FILE)"
    raise ValueError(f"{path} is {what}; {EXPECTED}")


def _message(head: bytes, size: int) -> Callable[[Path], TensorFile] | None:
    """Return the reader for a message of Protocol Buffers: by the fields that it begins with, as far as they go.

    An ONNX model begins with its version, a varint of the number 1, or has producer, graph and opsets under 2 to 14; a
    network of Caffe with its name, text of the number 1, or its layers, 2 or 100.
    """
    try:
        number, kind, place = _key(head)
    except wire.WireError:
        return None
    if (number, kind) == (1, wire.VARINT) and place < size:
        return read_onnx
    if kind == wire.BYTES and number in (2, 7, 8):
        return read_onnx if number != 2 or _is_text(head) else read_caffe
    if kind == wire.BYTES and number in (1, 100):
        return read_caffe
    return None


def _key(head: bytes) -> tuple[int, int, int]:
    key, place = wire.varint(memoryview(head), 0)
    return key >> 3, key & 7, place


def _is_text(head: bytes) -> bool:
    """Whether the first field of a message, of bytes, is a short text: the name of what wrote it."""
    length, place = wire.varint(memoryview(head), 1)
    return length < 64 and head[place : place + length].isascii() and b"\n" not in head[place : place + length]
