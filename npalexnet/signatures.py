"""What a file is, told from how it begins: for messages that name what was given instead of weights."""

from __future__ import annotations

import re

HEAD, TAIL = 512, 16  # bytes of a file's beginning and end that tell
_SAFETENSORS_ADVICE = "save its weights as safetensors, under torch's names"
_NO_WEIGHTS = "not weights: to classify it, name the network first, npalexnet predict RUN IMAGE"
_BY_BEGINNING: tuple[tuple[bytes, str], ...] = (
    (b"version https://git-lfs", "a pointer of Git LFS, not the file itself: get that with git lfs pull"),
    (b"\x93NUMPY", "one array of NumPy, where weights are several, by names: save them with numpy.savez"),
    (b"\x89HDF", f"an HDF5 file, as Keras or MATLAB writes: {_SAFETENSORS_ADVICE}"),
    (b"GGUF", "a GGUF file, which holds no weights of an AlexNet"),
    (b"MATLAB 5.0", f"a MATLAB file: {_SAFETENSORS_ADVICE}"),
    (b"\x89PNG", f"a PNG image, {_NO_WEIGHTS}"),
    (b"\xff\xd8\xff", f"a JPEG image, {_NO_WEIGHTS}"),
    (b"GIF8", f"a GIF image, {_NO_WEIGHTS}"),
    (b"%PDF", "a PDF document, not weights"),
    (b"\x7fELF", "a program or a library, not weights"),
    (b"\x1f\x8b", "a gzip archive: unpack it first"),
    (b"BZh", "a bzip2 archive: unpack it first"),
    (b"\xfd7zXZ\0", "an xz archive: unpack it first"),
    (b"7z\xbc\xaf\x27\x1c", "a 7z archive: unpack it first"),
    (b"Rar!", "a RAR archive: unpack it first"),
    (b"\x28\xb5\x2f\xfd", "a Zstandard archive: unpack it first"),
    (b"PK\5\6", "an empty zip archive"),
    (b"model_checkpoint_path:", "the index of TensorFlow checkpoints, without any weights"),
)
_PICKLE = re.compile(rb"\x80[\2-\5]")
_TENSORFLOW = b"\x57\xfb\x80\x8b\x24\x75\x47\xdb"  # the end of a LevelDB table
TORCH = "a file of torch.save"


def what_it_is(head: bytes, tail: bytes = b"") -> str | None:
    """Return what a file is and what to do, as the end of "FILE is ...", or None if it can't be told.

    Parameters
    ----------
    head, tail : bytes
        The first `HEAD` bytes, or all if there are fewer, and the last `TAIL`.
    """
    for beginning, what in _BY_BEGINNING:
        if head.startswith(beginning):
            return what
    if _PICKLE.match(head):
        return TORCH if b"\x8a\nl\xfc\x9cF\xf9" in head[:32] or b"torch" in head else "a pickle, but none of torch.save"
    if head.startswith(b"PK\3\4"):
        first = head[30 : 30 + int.from_bytes(head[26:28], "little")]  # the name of the first file
        kinds = {b".npy": "an archive of NumPy", b".pkl": TORCH, b"json": f"an archive of Keras: {_SAFETENSORS_ADVICE}"}
        return kinds.get(first[-4:], "a zip archive: unpack it first")
    if head[4:8] == b"TFL3":
        return f"a TensorFlow Lite file: {_SAFETENSORS_ADVICE}"
    if head[257:262] == b"ustar":
        return "a tar archive: unpack it first"
    if tail.endswith(_TENSORFLOW):
        return f"a TensorFlow checkpoint: {_SAFETENSORS_ADVICE}"
    if re.match(rb"[\x81-\x8f][\xa1-\xbf][A-Za-z_]", head):
        return f"a MessagePack file, as Flax writes: {_SAFETENSORS_ADVICE}"
    return _text(head.removeprefix(b"\xef\xbb\xbf").lstrip())


def _text(head: bytes) -> str | None:
    """Return what a text is, or None if it is none."""
    if re.match(rb"<!doctype html|<html", head, re.IGNORECASE):
        return "a web page (HTML), not weights: the download went wrong"
    if head.startswith(b"<"):
        return "XML or a web page, not weights: the download went wrong"
    if head.startswith((b"name:", b"layer {", b"layers {")):
        return "a description of a Caffe network in text (prototxt), without any weights: give its .caffemodel"
    if re.match(rb'[{\[]\s*["{\[\]}]', head):
        return "JSON, not weights: the file that it describes is another one"
    if head and all(byte in b"\t\r\n" or 32 <= byte < 127 for byte in head):
        return "a text file, not weights"
    return None
