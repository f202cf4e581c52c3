"""What is exported, is read back: by the package's own readers, to the bit."""

import numpy as np
import pytest

import npalexnet as na
from npalexnet.formats.npz_writer import write_npz
from npalexnet.formats.onnx_writer import write_onnx
from npalexnet.formats.reader import read_tensor_file
from npalexnet.formats.torch_file_writer import write_torch_file
from npalexnet.weights import description, save_weights

DESCRIPTION = {"variant": "seed", "classes": ["猫", "dog\n"], "pipeline": [{"name": "MiddleSquare", "size": 227}]}


def network():
    return na.Sequential(
        layers=na.Sequential(na.Conv2d(4, 6, 3, groups=2, seed=0), na.ReLU(), na.LocalResponseNorm(4), na.Flatten()),
        classifier=na.Sequential(na.Linear(54, 5, seed=1), na.Dropout(), na.Linear(5, 2, bias=False, seed=2)),
    )


def onnx_file(path, state, about):
    write_onnx(path, network(), state, (4, 5, 5), about)


WRITERS = {"torch": write_torch_file, "npz": write_npz, "safetensors": save_weights, "onnx": onnx_file}


@pytest.mark.parametrize("kind", WRITERS)
@pytest.mark.parametrize("dtype", ["float64", "float32", "float16", "bfloat16"])
def test_tensors_come_back_to_the_bit_and_the_description_with_them(tmp_path, kind, dtype):
    state = {name: value.astype(na.backend.input_dtype(dtype)) for name, value in network().state_dict().items()}
    state["classifier.2.weight"][0, :4] = np.inf, -0.0, 1e-7, np.nan
    if (kind, dtype) == ("npz", "bfloat16"):
        pytest.skip("NumPy has no bfloat16")
    WRITERS[kind](tmp_path / "file", state, DESCRIPTION)
    found = read_tensor_file(tmp_path / "file")
    assert found.kind == kind
    assert set(state) <= set(found.tensors)  # and constants of ONNX
    for name, value in state.items():
        expected = value.astype(np.float32) if dtype == "bfloat16" else value  # which holds all of them
        np.testing.assert_array_equal(found.tensors[name], expected, strict=True)
        np.testing.assert_array_equal(np.signbit(found.tensors[name]), np.signbit(expected))
    assert description("file", found.texts) == DESCRIPTION
