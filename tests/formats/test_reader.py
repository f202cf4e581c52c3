"""Which reader a file gets, and what the readers do without."""

import io
import subprocess
import sys

import numpy as np
import pytest
import torch
from onnx import numpy_helper
from safetensors.numpy import save

from npalexnet.formats.reader import read_tensor_file
from tests.formats.files import A
from tests.formats.test_caffe_file import NETWORKS
from tests.formats.test_onnx_file import model
from tests.formats.test_torch_file import FORMS, saved


def npz():
    file = io.BytesIO()
    np.savez(file, a=A)
    return file.getvalue()


FILES = {
    "torch": saved({"a": torch.from_numpy(A)}), "torch, legacy": saved({"a": torch.from_numpy(A)}, FORMS["legacy"]),
    "npz": npz(), "safetensors": save({"a": A}), "onnx": model([numpy_helper.from_array(A, "a")]).SerializeToString(),
    **{f"caffe, {name}": content for name, content in NETWORKS.items()},
}  # fmt: skip


@pytest.mark.parametrize("suffix", ["", ".pth", ".onnx", ".npz", ".caffemodel", ".safetensors", ".jpg"])
def test_the_content_decides_whatever_the_suffix(tmp_path, suffix):
    for kind, content in FILES.items():
        path = tmp_path / f"weights{suffix}"
        path.write_bytes(content)
        assert read_tensor_file(path).kind == kind.partition(",")[0]


def test_no_reader_needs_the_program_that_wrote_the_file(tmp_path):
    for number, content in enumerate(FILES.values()):
        (tmp_path / f"{number}").write_bytes(content)
    code = (
        "import sys; sys.modules |= dict.fromkeys(('torch', 'onnx', 'google.protobuf', 'safetensors', 'ml_dtypes'));"
        "from npalexnet.formats.reader import read_tensor_file;"
        "print([len(read_tensor_file(path).tensors) for path in sys.argv[1:]])"
    )
    paths = [str(tmp_path / f"{number}") for number in range(len(FILES))]
    found = subprocess.run([sys.executable, "-c", code, *paths], capture_output=True, text=True, check=True)
    assert found.stdout == "[1, 1, 1, 1, 1, 4, 4, 4, 4]\n"
