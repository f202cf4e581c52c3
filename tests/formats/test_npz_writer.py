import json

import ml_dtypes
import numpy as np
import pytest

import npalexnet as na
from npalexnet.formats.npz_writer import write_npz
from tests.support import normal


@pytest.mark.parametrize("dtype", ["float64", "float32", "float16"])
def test_numpy_reads_every_bit(tmp_path, dtype):
    arrays = {
        "layers.0.weight": normal((3, 2, 5, 4)).astype(dtype),
        "file": normal((7, 3)).astype(dtype).T,  # which numpy.savez can't be told
        "one": np.array(np.pi, dtype),
        "none": np.zeros((0, 3), dtype),
    }
    write_npz(tmp_path / "w.npz", arrays)
    with np.load(tmp_path / "w.npz", allow_pickle=False) as file:
        assert file.files == list(arrays)
        for name, array in arrays.items():
            np.testing.assert_array_equal(file[name], array, strict=True)


def test_a_model_takes_what_numpy_loads(tmp_path):
    model, other = na.Linear(3, 2, seed=0), na.Linear(3, 2, seed=1)
    write_npz(tmp_path / "w.npz", model.state_dict())
    with np.load(tmp_path / "w.npz") as file:
        other.load_state_dict(file)
    np.testing.assert_array_equal(other.weight.data, model.weight.data)


def test_the_description_stands_beside_the_arrays(tmp_path):
    write_npz(tmp_path / "w.npz", {"a": normal(2)}, {"classes": ["猫", "dog"]})
    with np.load(tmp_path / "w.npz", allow_pickle=False) as file:
        assert file.files == ["a", "npalexnet.json"]
        assert json.loads(file["npalexnet.json"]) == {"classes": ["猫", "dog"]}


def test_the_same_arrays_give_the_same_bytes(tmp_path):
    for name in ("one.npz", "another.npz"):
        write_npz(tmp_path / name, {"a": normal((3, 4)), "b": np.arange(3.0).astype(">f8")}, {"variant": "seed"})
    assert (tmp_path / "one.npz").read_bytes() == (tmp_path / "another.npz").read_bytes()


def test_what_fails_leaves_the_file_that_was_there_and_nothing_else(tmp_path):
    (tmp_path / "w.npz").write_bytes(b"before")
    with pytest.raises(TypeError):
        write_npz(tmp_path / "w.npz", {"a": normal(2)}, {"not for JSON": object()})
    with pytest.raises(ValueError, match=r"can't hold bfloat16, as b is: export float32"):
        write_npz(tmp_path / "w.npz", {"a": normal(2), "b": np.ones(2, ml_dtypes.bfloat16)})
    assert [path.name for path in tmp_path.iterdir()] == ["w.npz"]
    assert (tmp_path / "w.npz").read_bytes() == b"before"
