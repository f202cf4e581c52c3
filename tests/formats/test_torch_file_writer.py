import json
import struct
import zipfile
from collections import OrderedDict

import ml_dtypes
import numpy as np
import pytest
import torch

import npalexnet as na
from npalexnet.formats import torch_file_writer
from npalexnet.formats.torch_file_writer import write_torch_file
from tests.support import normal

DTYPES = {"float64": torch.float64, "float32": torch.float32, "float16": torch.float16, "bfloat16": torch.bfloat16}


def bits(tensor):
    return tensor.contiguous().view(torch.uint8).numpy().tobytes() if tensor.ndim else tensor.numpy().tobytes()


@pytest.mark.parametrize("mapped", [False, True])
@pytest.mark.parametrize("dtype", DTYPES)
def test_torch_reads_every_bit(tmp_path, dtype, mapped):
    arrays = {
        "layers.0.weight": normal((3, 2, 5, 4)).astype(dtype),
        "transposed": normal((7, 3)).astype(dtype).T,
        "every other": normal(10).astype(dtype)[::2],
        "odd numbers": np.array([np.inf, -np.inf, -0.0, 1e-7]).astype(dtype),
        "none": np.zeros((0, 3), dtype),
        "ünïcode 猫": normal(1).astype(dtype),
    }
    write_torch_file(tmp_path / "w.pth", arrays)
    state = torch.load(tmp_path / "w.pth", weights_only=True, mmap=mapped)
    assert type(state) is OrderedDict
    assert list(state) == list(arrays)
    for name, array in arrays.items():
        assert state[name].dtype == DTYPES[dtype]
        assert tuple(state[name].shape) == array.shape
        assert state[name].is_contiguous()
        assert not state[name].requires_grad
        assert bits(state[name]) == array.tobytes()


def test_a_single_number_and_other_byte_orders_are_read(tmp_path):
    write_torch_file(tmp_path / "w.pth", {"pi": np.array(np.pi), "big": np.array([1, 2, 256], ">f4")})
    state = torch.load(tmp_path / "w.pth", weights_only=True)
    assert state["pi"].shape == ()
    assert state["pi"].item() == np.pi
    assert state["big"].tolist() == [1, 2, 256]


def test_nan_keeps_its_bits(tmp_path):
    nan = np.array([0x7FC00001, 0xFFC12345], np.uint32).view(np.float32)
    write_torch_file(tmp_path / "w.pth", {"nan": nan})
    assert bits(torch.load(tmp_path / "w.pth", weights_only=True)["nan"]) == nan.tobytes()


def test_an_equivalent_torch_network_takes_the_file_and_answers_alike(tmp_path):
    model = na.Sequential(na.Conv2d(3, 4, 3, seed=0), na.ReLU(), na.Flatten(), na.Linear(36, 5, seed=1))
    twin = torch.nn.Sequential(torch.nn.Conv2d(3, 4, 3), torch.nn.ReLU(), torch.nn.Flatten(), torch.nn.Linear(36, 5))
    write_torch_file(tmp_path / "w.pth", model.state_dict())
    twin.load_state_dict(torch.load(tmp_path / "w.pth", weights_only=True))
    x = normal((2, 3, 5, 5), "float32")
    np.testing.assert_allclose(twin(torch.from_numpy(x)).detach().numpy(), model(x), rtol=1e-5, atol=1e-6)


def test_the_records_are_those_that_torch_writes(tmp_path):
    state = OrderedDict(a=torch.arange(6.0).reshape(2, 3), b=torch.ones(3, dtype=torch.bfloat16))
    torch.save(state, tmp_path / "archive.pth")
    write_torch_file(tmp_path / "own.pth", {"a": state["a"].numpy(), "b": np.ones(3, ml_dtypes.bfloat16)})
    with zipfile.ZipFile(tmp_path / "archive.pth") as theirs, zipfile.ZipFile(tmp_path / "own.pth") as own:
        names = set(theirs.namelist()) - {"archive/.data/serialization_id"}  # a random number
        assert set(own.namelist()) == names
        for name in names - {"archive/data.pkl"}:
            assert own.read(name) == theirs.read(name)


def test_the_same_tensors_give_the_same_bytes_whatever_the_files_name(tmp_path):
    for name in ("one.pth", "another name.pt"):
        write_torch_file(tmp_path / name, {"a": normal((3, 4)), "b": normal(5)}, {"classes": ["cat"]})
    assert (tmp_path / "one.pth").read_bytes() == (tmp_path / "another name.pt").read_bytes()


@pytest.mark.parametrize("large", [2**30, 0])  # all entries that are not empty are large, too
def test_every_record_begins_where_it_can_be_mapped(tmp_path, monkeypatch, large):
    monkeypatch.setattr(torch_file_writer, "LARGE_ENTRY", large)
    arrays = {"a": normal(3, "float32"), "b": normal((2, 7)), "c": normal(5)}
    path = tmp_path / "w.pth"
    write_torch_file(path, arrays, {"variant": "seed"})
    content = path.read_bytes()
    with zipfile.ZipFile(path) as archive:
        assert archive.testzip() is None
        for entry in archive.infolist():
            assert entry.compress_type == zipfile.ZIP_STORED
            name, extra = struct.unpack("<HH", content[entry.header_offset + 26 :][:4])
            assert (entry.header_offset + 30 + name + extra) % 64 == 0
    for mapped in (False, True):
        state = torch.load(path, weights_only=True, mmap=mapped)
        assert all(bits(state[name]) == array.tobytes() for name, array in arrays.items())


def test_the_description_stands_beside_the_tensors(tmp_path):
    write_torch_file(tmp_path / "w.pth", {"a": normal(2)}, {"classes": ["猫", "dog"]})
    assert list(torch.load(tmp_path / "w.pth", weights_only=True)) == ["a"]
    with zipfile.ZipFile(tmp_path / "w.pth") as archive:
        assert json.loads(archive.read("archive/extra/npalexnet.json")) == {"classes": ["猫", "dog"]}


def test_lengths_beyond_32_bits_are_written(tmp_path):
    """No such tensor is made here; what is pickled of it, is read by Python's own unpickler."""
    import pickle

    class Reader(pickle.Unpickler):
        def persistent_load(self, name):
            return name

        def find_class(self, module, name):
            return {"OrderedDict": OrderedDict, "_rebuild_tensor_v2": lambda *given: given}.get(name, name)

    huge = np.broadcast_to(np.float32(0), (2**32, 3))
    import io

    state = Reader(io.BytesIO(torch_file_writer.pickled({"a": huge}))).load()
    storage = ("storage", "FloatStorage", "0", "cpu", 3 * 2**32)
    assert state == {"a": (storage, 0, (2**32, 3), (3, 1), False, OrderedDict())}


def test_what_fails_leaves_the_file_that_was_there_and_nothing_else(tmp_path):
    (tmp_path / "w.pth").write_bytes(b"before")
    with pytest.raises(TypeError):
        write_torch_file(tmp_path / "w.pth", {"a": normal(2)}, {"not for JSON": object()})
    assert [path.name for path in tmp_path.iterdir()] == ["w.pth"]
    assert (tmp_path / "w.pth").read_bytes() == b"before"
