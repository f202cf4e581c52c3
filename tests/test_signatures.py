"""Files that hold no weights are called what they are."""

import gzip
import io
import pickle
import tarfile
import zipfile

import numpy as np
import pytest
from PIL import Image

from tests.formats.files import refused


def archive(*names):
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as opened:
        for name in names:
            opened.writestr(name, b"content")
    return file.getvalue()


def tar():
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w") as opened:
        opened.addfile(tarfile.TarInfo("tensors"))
    return file.getvalue()


def image(kind):
    file = io.BytesIO()
    Image.new("RGB", (9, 9)).save(file, kind)
    return file.getvalue()


def array():
    file = io.BytesIO()
    np.save(file, np.ones(3))
    return file.getvalue()


FILES = {
    "pointer": (b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n", "a pointer of Git LFS, not the file"),
    "page": (b"\n<!DOCTYPE html><html><head>", r"a web page \(HTML\), not weights: the download went wrong"),
    "xml": (b"<?xml version='1.0'?><Error><Code>AccessDenied", "XML or a web page, not weights"),
    "json": (b'{"metadata": {}, "weight_map": {}}', "JSON, not weights"),
    "text": (b"Not found", "a text file, not weights"),
    "prototxt": (b'name: "AlexNet"\nlayer {', "a description of a Caffe network in text"),
    "list of checkpoints": (b'model_checkpoint_path: "x"\n', "the index of TensorFlow checkpoints"),
    "Keras": (b"\x89HDF\r\n\x1a\n" + b"\0" * 99, "an HDF5 file, as Keras or MATLAB writes"),
    "Keras 3": (archive("metadata.json", "config.json", "model.weights.h5"), "a Keras file"),
    "TensorFlow": (b"\0\1\2" * 99 + b"\x57\xfb\x80\x8b\x24\x75\x47\xdb", "a TensorFlow checkpoint"),
    "TensorFlow Lite": (b"\x1c\0\0\0TFL3" + b"\0" * 99, "a TensorFlow Lite file"),
    "Flax": (b"\x81\xa6params\x82\xa5Conv0", "a MessagePack file, as Flax writes"),
    "GGUF": (b"GGUF\3\0\0\0", "a GGUF file"),
    "MATLAB": (b"MATLAB 5.0 MAT-file, Platform: GLNXA64", "a MATLAB file"),
    "array": (array(), "one array of NumPy"),
    "pickle": (pickle.dumps({"a": 1}), "a pickle, but none of torch.save"),
    "gzip": (gzip.compress(b"x"), "a gzip archive: unpack it first"),
    "tar": (tar(), "a tar archive: unpack it first"),
    "zip": (archive("a/weights.pth"), "a zip archive without weights of a known kind"),
    "empty zip": (archive(), "an empty zip archive"),
    "TorchServe": (archive("model.pth", "MAR-INF/MANIFEST.json"), "an archive of TorchServe"),
    "image": (image("PNG"), "a PNG image, not weights"),
    "photograph": (image("JPEG"), "a JPEG image, not weights"),
    "nothing": (b"", "damaged or cut short: it is empty"),
    "noise": (bytes(range(255, 0, -1)), "no file of weights, or damaged"),
    "zeros": (b"\0" * 999, "is damaged or cut short, or no safetensors file"),
}


@pytest.mark.parametrize(("content", "what"), FILES.values(), ids=FILES)
def test_a_file_of_another_kind_is_called_what_it_is_whatever_its_name(tmp_path, content, what):
    refused(tmp_path / "weights.pth", content, rf"weights\.pth is {what.removeprefix('is ')}")


def test_folders_pipes_and_missing_files_are_refused(tmp_path):
    from npalexnet.formats.reader import read_tensor_file

    with pytest.raises(ValueError, match="is a folder, not a file"):
        read_tensor_file(tmp_path)
    with pytest.raises(FileNotFoundError, match="nothing"):
        read_tensor_file(tmp_path / "nothing")
