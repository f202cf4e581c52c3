"""Files of torch.save, read without torch, held to what torch itself reads; and hostile ones."""

import io
import os
import pickle
import pickletools
import struct
import zipfile

import ml_dtypes
import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from npalexnet.formats.reader import read_tensor_file
from tests.formats.files import assert_tensors, refused, survives
from tests.support import PROPERTY

FORMS = {"zip": {}, "legacy": {"_use_new_zipfile_serialization": False}}
DTYPES = (
    "float64", "float32", "float16", "bfloat16", "int64", "int32", "int16", "int8", "uint8", "bool", "complex64",
    "complex128",
)  # fmt: skip


@pytest.fixture(params=FORMS)
def form(request):
    return FORMS[request.param]


def saved(content, form=FORMS["zip"], **settings):
    file = io.BytesIO()
    torch.save(content, file, **form, **settings)
    return file.getvalue()


def read(path, content):
    path.write_bytes(content)
    return read_tensor_file(path)


def as_numpy(tensor):
    return tensor.float().numpy() if tensor.dtype == torch.bfloat16 else tensor.detach().numpy()


@pytest.mark.parametrize("dtype", DTYPES)
def test_tensors_of_every_dtype_are_torchs_to_the_bit(tmp_path, form, dtype):
    values = torch.linspace(-3, 300, 12).reshape(3, 4).to(getattr(torch, dtype))
    state = {"a.weight": values, "a.scalar": values[0, 1].clone(), "a.none": values[:0].clone()}
    file = read(tmp_path / "w.bin", saved(state, form))
    assert file.kind == "torch"
    assert_tensors(file, {name: as_numpy(tensor) for name, tensor in state.items()})


@pytest.mark.parametrize("dtype", ["uint16", "uint32", "uint64"])
def test_dtypes_without_a_storage_of_their_own_are_read(tmp_path, dtype):
    values = torch.arange(5).to(getattr(torch, dtype))
    assert_tensors(read(tmp_path / "w", saved({"a": values})), {"a": values.numpy()})


FLOAT8 = ("float8_e4m3fn", "float8_e4m3fnuz", "float8_e5m2", "float8_e5m2fnuz", "float8_e8m0fnu")


@pytest.mark.parametrize("dtype", FLOAT8)
def test_float8_is_read_as_float32(tmp_path, form, dtype):
    x = torch.arange(256, dtype=torch.uint8).view(getattr(torch, dtype)).reshape(4, 64)
    state = {"a": x, "a.view": x.T[5:], "a.part": x[1:3, 7], "a.one": x[0, 9].clone()}
    assert_tensors(read(tmp_path / "w", saved(state, form)), {n: t.float().numpy() for n, t in state.items()})


def test_pairs_of_4_bits_are_read_as_twice_as_many_numbers(tmp_path, form):
    content = torch.arange(1, 13, dtype=torch.uint8).reshape(3, 4) * 21
    x = content.view(torch.float4_e2m1fn_x2)
    codes = np.stack([content.numpy() & 15, content.numpy() >> 4], axis=-1).reshape(3, 8)
    expected = codes.view(ml_dtypes.float4_e2m1fn).astype(np.float32)
    state = {"a": x, "rows": x[1:], "columns": x[:, 1:3], "one": x[1, 2:3], "none": x[:0]}
    expected = {"a": expected, "rows": expected[1:], "columns": expected[:, 2:6], "one": expected[1, 4:6],
                "none": expected[:0]}  # fmt: skip
    assert_tensors(read(tmp_path / "w", saved(state, form)), expected)
    for other in (x.T, x[0, 0]):
        refused(tmp_path / "w", saved({"a": other}, form), 'the tensor "a" of float4_e2m1fn_x2 has the shape')


def test_other_types_are_refused_by_their_names(tmp_path):
    content = saved({"a": torch.zeros(4, dtype=torch.float8_e4m3fn)}, FORMS["legacy"])
    content = content.replace(b"float8_e4m3fn", b"float8_e3m4fn")
    refused(
        tmp_path / "w", content, r'tensor "a" is of the type "float8_e3m4fn"; save it as float32, float16 or bfloat16'
    )


@pytest.mark.parametrize("dtype", ["float8_e5m2", "float4_e2m1fn_x2"])
def test_a_storage_of_small_floats_that_is_shorter_than_stated_is_refused(tmp_path, dtype):
    content = saved({"a": torch.arange(200, dtype=torch.uint8).view(getattr(torch, dtype))}, FORMS["legacy"])
    refused(tmp_path / "w", content[:-1], "damaged or cut short")
    place = len(content) - 208
    assert content[place : place + 8] == struct.pack("<q", 200)
    refused(tmp_path / "w", content[:place] + struct.pack("<q", 2**40) + content[place + 8 :], "damaged or cut short")


def test_views_parameters_and_shared_storages_are_read(tmp_path, form):
    x = torch.arange(24.0).reshape(4, 6)
    state = {"t": x.T, "part": x[1:3, ::2], "same": x, "parameter": torch.nn.Parameter(x[2].clone())}
    assert_tensors(read(tmp_path / "w", saved(state, form)), {name: as_numpy(t) for name, t in state.items()})


@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
def test_state_dicts_of_modules_are_read_whatever_the_pickles_protocol(tmp_path, form, protocol):
    torch.manual_seed(0)
    state = torch.nn.Sequential(torch.nn.Conv2d(3, 4, 3), torch.nn.Linear(4, 2)).state_dict()
    file = read(tmp_path / "w", saved(state, form, pickle_protocol=protocol))
    assert_tensors(file, {name: tensor.numpy() for name, tensor in state.items()})


@pytest.mark.parametrize("key", ["state_dict", "model_state_dict", "model", "something"])
def test_of_a_checkpoint_the_weights_are_taken(tmp_path, form, key):
    model = torch.nn.Linear(3, 2)
    optimizer = {  # as SGD.state_dict() gives it
        "state": {0: {"momentum_buffer": torch.ones(2, 3)}, 1: {"momentum_buffer": None}},
        "param_groups": [{"lr": 0.1, "momentum": 0.9, "nesterov": False, "foreach": None, "params": [0, 1]}],
    }
    content = {
        "epoch": 7, "best": 81.25, "arch": "alexnet", "sizes": (1, [2, None, True]), "shape": torch.Size([2, 3]),
        key: model.state_dict(), "optimizer": optimizer, "device": torch.device("cpu"),
        "dtype": torch.float32,
    }  # fmt: skip
    file = read(tmp_path / "w", saved(content, form))
    assert_tensors(file, {name: tensor.numpy() for name, tensor in model.state_dict().items()})
    assert file.texts == {"arch": "alexnet"}


def test_a_file_that_python_2_wrote_is_read(tmp_path):
    """Its texts have instructions of their own."""
    state = {"a": torch.arange(3.0)}
    content = saved(state, FORMS["legacy"])
    assert content.count(b"X\x01\x00\x00\x00aq") == 1
    content = content.replace(b"X\x01\x00\x00\x00aq", b"U\x01aq")
    assert_tensors(read(tmp_path / "w", content), {"a": np.arange(3, dtype=np.float32)})


def test_a_file_of_a_machine_of_the_other_byte_order_is_read(tmp_path):
    values = np.arange(5, dtype=np.float32)
    source = zipfile.ZipFile(io.BytesIO(saved({"a": torch.from_numpy(values)})))
    with zipfile.ZipFile(tmp_path / "w", "w") as archive:
        for name in source.namelist():
            content = {"byteorder": b"big", "0": values.astype(">f4").tobytes()}.get(name.split("/")[-1])
            archive.writestr(name, source.read(name) if content is None or name.endswith("id") else content)
    assert_tensors(read_tensor_file(tmp_path / "w"), {"a": values})


# --- hostile files ----------------------------------------------------------------------------------------------------


class Writes:
    """Unpickled by pickle, this writes a file."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.system, (f"touch {self.path}",)


@pytest.mark.parametrize("place", ["weights", "beside", "key", "state"])
def test_a_pickle_that_would_write_a_file_is_refused_and_writes_nothing(tmp_path, form, place):
    trap = Writes(tmp_path / "trap")
    state = {"a": torch.ones(3)}
    content = {
        "weights": {"a": trap}, "beside": {"state_dict": state, "x": trap}, "key": {**state, "x": [(trap,)]},
        "state": {**state, "x": {"deep": {"deeper": trap}}},
    }[place]  # fmt: skip
    refused(tmp_path / "w.pth", saved(content, form), r'asks for "(posix|nt)\.system", which is not loaded')
    assert not (tmp_path / "trap").exists()
    pickle.loads(pickle.dumps(trap))
    assert (tmp_path / "trap").exists()  # so that the test would notice


HOSTILE = {
    "getattr": (b"cbuiltins\ngetattr\n.", r"builtins\.getattr"),
    "eval": (b"\x80\x04\x8c\x08builtins\x8c\x04eval\x93\x8c\x011\x85R.", r"builtins\.eval"),
    "torch's own loader": (b"ctorch.storage\n_load_from_bytes\n(tR.", r"torch\.storage\._load_from_bytes"),
    "a class made new": (b"(cos\nsystem\no.", "os.system|instruction OBJ"),
    "an instance": (b"(ios\nsystem\n.", "instruction INST"),
    "an extension": (b"\x80\x02\x82\x01.", "instruction EXT1"),
    "dotted": (b"\x80\x04\x8c\x05torch\x8c\x0dload.__call__\x93.", r"torch\.load\.__call__"),
    "NumPy's objects": (b"cnumpy.core.multiarray\n_reconstruct\n.", "numpy.core.multiarray._reconstruct"),
    "attributes of what is called": (
        b"\x80\x02ctorch._utils\n_rebuild_tensor_v2\n}X\x05\x00\x00\x00helloK\x01sb.", "holds",
    ),
    "a call of a text": (b"\x80\x02X\x01\x00\x00\x00a)R.", "can't be read"),
    "a call of a number": (b"\x80\x02K\x01)R.", "can't be read"),
    "a storage of nothing": (b"\x80\x02X\x07\x00\x00\x00storageQ.", "something else than a storage"),
    "a deep list": (b"\x80\x02" + b"]" * 20_000 + b"a" * 19_999 + b".", "holds a list"),
    "an empty stack": (b"\x80\x02.", "can't be read"),
}  # fmt: skip


@pytest.mark.parametrize(("pickled", "message"), HOSTILE.values(), ids=HOSTILE)
def test_hostile_pickles_are_refused(tmp_path, pickled, message):
    with zipfile.ZipFile(tmp_path / "x", "w") as archive:
        archive.writestr("a/data.pkl", pickled)
    refused(tmp_path / "w", (tmp_path / "x").read_bytes(), message)


def test_numbers_that_are_stored_negated_are_refused(tmp_path):
    negated = torch.ones(2, dtype=torch.complex64).conj().imag
    assert negated.is_neg()
    refused(tmp_path / "w", saved({"a": negated}), "holds a view of negated or conjugated numbers")


def test_whole_modules_and_scripts_are_called_what_they_are(tmp_path):
    refused(tmp_path / "w", saved(torch.nn.Linear(2, 3)), r"holds a whole network .* \"torch\.nn\.modules\.linear\.Lin")
    with zipfile.ZipFile(tmp_path / "x", "w") as archive:
        for name in ("a/data.pkl", "a/code/__torch__.py", "a/constants.pkl"):
            archive.writestr(name, b"")
    refused(tmp_path / "w", (tmp_path / "x").read_bytes(), "is a TorchScript archive")


@pytest.mark.parametrize("content", [torch.ones(3), [torch.ones(3)], {"a": 1}, {1: torch.ones(2)}, {}, "text"])
def test_files_without_a_dict_of_tensors_are_refused(tmp_path, form, content):
    refused(tmp_path / "w", saved(content, form), "dict of tensors")


# --- lies -------------------------------------------------------------------------------------------------------------


def claiming(shape, strides, *, offset=0, size=4, key="0", storage="FloatStorage", data=b"\0" * 16, records=None):
    """A zip file whose one tensor claims all this of a storage of 16 bytes."""
    text = lambda t: b"X" + struct.pack("<I", len(t)) + t.encode()  # noqa: E731
    whole = lambda n: b"\x8a\x09" + n.to_bytes(9, "little", signed=True)  # noqa: E731
    several = lambda ns: b"(" + b"".join(map(whole, ns)) + b"t"  # noqa: E731
    pickled = b"\x80\x02}" + text("a") + b"ctorch._utils\n_rebuild_tensor_v2\n((" + text("storage")
    pickled += b"ctorch\n" + storage.encode() + b"\n" + text(key) + text("cpu") + whole(size) + b"tQ"
    pickled += whole(offset) + several(shape) + several(strides) + b"\x89)tRs."
    pickletools.dis(pickled, out=io.StringIO())  # well formed
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("a/data.pkl", pickled)
        for name, content in (records or {"a/data/0": data}).items():
            archive.writestr(name, content)
    return file.getvalue()


def test_the_claims_that_are_true_are_read(tmp_path):
    content = claiming([2, 2], [2, 1], data=np.arange(4, dtype="<f4").tobytes())
    assert_tensors(read(tmp_path / "w", content), {"a": np.array([[0, 1], [2, 3]], np.float32)})


LIES = {
    "2 GB": {"shape": [2**29], "strides": [1], "size": 2**29},
    "2 GB of a small storage": {"shape": [2**29], "strides": [1]},
    "2 GB of one number": {"shape": [2**29], "strides": [0]},
    "2 GB of windows": {"shape": [2**15, 2**14], "strides": [0, 0]},
    "a huge stride": {"shape": [2, 2], "strides": [2**60, 1]},
    "a negative stride": {"shape": [2], "strides": [-1]},
    "a negative offset": {"shape": [2], "strides": [1], "offset": -1},
    "a huge offset": {"shape": [2], "strides": [1], "offset": 2**60},
    "an offset by one too large": {"shape": [4], "strides": [1], "offset": 1},
    "a negative shape": {"shape": [-4], "strides": [1]},
    "a negative storage": {"shape": [1], "strides": [1], "size": -1},
    "another number of strides": {"shape": [2], "strides": [1, 1]},
    "many dimensions": {"shape": [1] * 40, "strides": [1] * 40},
    "no elements, and huge": {"shape": [0, 2**61, 2**61], "strides": [1, 1, 1]},
    "a longer type": {"shape": [4], "strides": [1], "storage": "DoubleStorage"},
    "another key": {"shape": [4], "strides": [1], "key": "1"},
    "a key that leads out": {"shape": [4], "strides": [1], "key": "../../0"},
    "less data": {"shape": [4], "strides": [1], "data": b"\0" * 15},
}


@pytest.mark.parametrize("claims", LIES.values(), ids=LIES)
def test_a_tensor_that_claims_more_than_there_is_is_refused_and_takes_no_memory(tmp_path, claims):
    refused(tmp_path / "w", claiming(**claims), r"w is damaged or cut short: ")


def test_records_that_inflate_or_overlap_are_refused(tmp_path):
    with zipfile.ZipFile(tmp_path / "x", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a/data.pkl", b"\0" * 30_000_000)
    refused(tmp_path / "w", (tmp_path / "x").read_bytes(), "has 30,000,000 bytes, more than the 5,000,000 that are")
    content = bytearray(claiming([4], [1]))
    central = content.rindex(b"PK\1\2", 0, content.rindex(b"PK\1\2"))  # of data.pkl
    content[central + 20 : central + 28] = struct.pack("<II", 2**31, 2**31)
    refused(tmp_path / "w", bytes(content), "its records take more bytes than it has")
    content = bytearray(claiming([4], [1]))
    content[central + 42 : central + 46] = struct.pack("<I", 2**32 - 2)  # where it begins
    refused(tmp_path / "w", bytes(content), "its records do not lie within it")
    content[-6:-2] = struct.pack("<I", len(content))  # where the directory does
    refused(tmp_path / "w", bytes(content), "damaged or cut short")


def test_a_legacy_file_whose_storages_lie_is_refused(tmp_path):
    content = saved({"a": torch.arange(4.0)}, FORMS["legacy"])
    assert content[-24:-16] == struct.pack("<q", 4)
    for count in (3, 5, -1, 2**29, 2**62):
        refused(tmp_path / "w", content[:-24] + struct.pack("<q", count) + content[-16:], "damaged or cut short")
    refused(tmp_path / "w", content[:-1], "damaged or cut short")


@pytest.mark.parametrize("name", FORMS)
@PROPERTY
@given(data=st.data())
def test_files_cut_short_or_with_flipped_bits_are_refused_or_read_without_taking_memory(tmp_path, name, data):
    state = {"a.weight": torch.arange(6.0).reshape(2, 3), "a.bias": torch.ones(2, dtype=torch.bfloat16)}
    content = bytearray(saved({"state_dict": state, "epoch": 1}, FORMS[name]))
    if data.draw(st.booleans()):
        assert not survives(tmp_path / "w", bytes(content[: data.draw(st.integers(0, len(content) - 1))]))
        return
    for _ in range(data.draw(st.integers(1, 3))):
        content[data.draw(st.integers(0, len(content) - 1))] ^= 1 << data.draw(st.integers(0, 7))
    survives(tmp_path / "w", bytes(content))


def test_settings_under_a_name_that_weights_often_have_are_not_taken_for_them(tmp_path):
    shared = {"a": 1}
    content = {"model": {"name": "alexnet", "widths": [shared, shared]}, "net": {"module": {"w": torch.ones(2)}}}
    assert_tensors(read(tmp_path / "w", saved(content)), {"w": np.ones(2, np.float32)})
