"""ONNX files, made by the onnx package; and hostile ones."""

import ml_dtypes
import numpy as np
import onnx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from onnx import TensorProto, helper, numpy_helper

from npalexnet.formats.reader import read_tensor_file
from npalexnet.formats.tensor_file import Operator
from tests.formats.files import A, assert_tensors, message, number, refused, survives
from tests.support import PROPERTY, normal


def model(tensors, nodes=(), **metadata):
    ends = [helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in ("x", "y")]
    graph = helper.make_graph(list(nodes), "graph", ends[:1], ends[1:], list(tensors))
    made = helper.make_model(graph, producer_name="tests")
    helper.set_model_props(made, metadata)
    return made


def read(path, made):
    path.write_bytes(made.SerializeToString())
    return read_tensor_file(path)


TYPES = ("FLOAT", "DOUBLE", "FLOAT16", "BFLOAT16", "INT64", "INT32", "INT16", "INT8", "UINT64", "UINT32", "UINT16",
         "UINT8", "BOOL")  # fmt: skip


@pytest.mark.parametrize("raw", [True, False])
@pytest.mark.parametrize("kind", TYPES)
def test_initialisers_of_every_type_are_the_packages_to_the_bit(tmp_path, kind, raw):
    values = np.array([[-3, 0, 1], [100, 2, 7]])
    values = np.abs(values) if kind.startswith(("U", "BOOL")) else values
    dtype = helper.tensor_dtype_to_np_dtype(getattr(TensorProto, kind))
    values = values.astype(dtype)
    content = values.tobytes() if raw else values.reshape(-1)
    tensor = helper.make_tensor("a", getattr(TensorProto, kind), values.shape, content, raw=raw)
    np.testing.assert_array_equal(numpy_helper.to_array(tensor).astype("f8"), values.astype("f8"))
    expected = values.astype(np.float32) if kind == "BFLOAT16" else values
    file = read(tmp_path / "w.bin", model([tensor], source="tests"))
    assert (file.kind, file.texts) == ("onnx", {"source": "tests"})
    assert_tensors(file, {"a": expected})


# Numbers that NumPy does not have, by ONNX's numbers of their types, which not every onnx package knows.
SMALL = {
    17: "float8_e4m3fn", 18: "float8_e4m3fnuz", 19: "float8_e5m2", 20: "float8_e5m2fnuz", 21: "uint4", 22: "int4",
    23: "float4_e2m1fn", 24: "float8_e8m0fnu", 25: "uint2", 26: "int2", 27: "float6_e2m3fn", 28: "float6_e3m2fn",
}  # fmt: skip


def in_bytes(codes, bits):
    """Return codes packed, the first in the lowest bits."""
    whole = sum(int(code) << bits * place for place, code in enumerate(codes))
    return whole.to_bytes((len(codes) * bits + 7) // 8, "little")


@pytest.mark.parametrize("raw", [True, False])
@pytest.mark.parametrize("count", [256, 255, 1])
@pytest.mark.parametrize("kind", SMALL)
def test_numbers_of_few_bits_are_those_of_ml_dtypes(tmp_path, kind, count, raw):
    dtype = getattr(ml_dtypes, SMALL[kind])
    bits = int(SMALL[kind].removeprefix("float").removeprefix("uint").removeprefix("int")[0])
    codes = np.arange(256, dtype=np.uint8)[::-1][:count] & np.uint8(2**bits - 1)
    listed = codes if bits == 6 else in_bytes(codes, bits)  # of 6 bits, one number in each
    content = message(9, in_bytes(codes, bits)) if raw else b"".join(number(5, int(byte)) for byte in listed)
    (tmp_path / "w").write_bytes(wrapped(number(1, count), number(2, kind), NAME, content))
    wide = {"f": np.float32, "i": np.int8, "u": np.uint8}[SMALL[kind][0]]
    assert_tensors(read_tensor_file(tmp_path / "w"), {"a": codes.view(dtype).astype(wide)})


@pytest.mark.parametrize("kind", ["FLOAT8E4M3FN", "FLOAT8E4M3FNUZ", "FLOAT8E5M2", "FLOAT8E5M2FNUZ", "FLOAT4E2M1",
                                  "UINT4", "INT4"])  # fmt: skip
@pytest.mark.parametrize("raw", [True, False])
def test_numbers_of_few_bits_are_the_packages_to_the_bit(tmp_path, kind, raw):
    number = getattr(TensorProto, kind)
    dtype = helper.tensor_dtype_to_np_dtype(number)
    values = np.array([[0.5, 1, 6], [2, 3, -4 * (kind != "UINT4")]]).astype(dtype)
    tensor = numpy_helper.from_array(values, "a")
    if not raw:
        tensor = helper.make_tensor("a", number, values.shape, values.astype("f4").reshape(-1))
    file = read(tmp_path / "w", model([tensor]))
    expected = numpy_helper.to_array(tensor).astype({"F": "f4", "U": "u1", "I": "i1"}[kind[0]])
    assert expected.any()
    assert_tensors(file, {"a": expected})


@pytest.mark.parametrize("dtype", ["complex64", "complex128"])
@pytest.mark.parametrize("raw", [True, False])
def test_complex_numbers_are_read(tmp_path, dtype, raw):
    values = np.array([1 + 2j, -3j, 0.5], dtype)
    content = values.tobytes() if raw else values
    tensor = helper.make_tensor("a", getattr(TensorProto, dtype.upper()), [3], content, raw=raw)
    assert_tensors(read(tmp_path / "w", model([tensor])), {"a": values})


def test_layers_come_in_their_order_with_weights_turned_as_torch_has_them(tmp_path):
    conv, fc = normal((4, 3, 3, 3), "float32"), normal((5, 16), "float32", seed=1)
    biases = {name: normal(n, "float32", seed=n) for name, n in (("cb", 4), ("fb", 5), ("gb", 6), ("hb", 7))}
    gemm, product = normal((5, 6), "float32", seed=3), normal((6, 7), "float32", seed=4)
    arrays = {"late": product, "gemm": gemm, "fc": fc, "conv": conv, **biases, "shape": np.array([1, -1])}
    nodes = [
        helper.make_node("Identity", ["conv"], ["same"]),
        helper.make_node("Conv", ["x", "same", "cb"], ["1"], group=1),
        helper.make_node("Relu", ["1"], ["2"]),
        helper.make_node("LRN", ["2"], ["3"], size=5),
        helper.make_node("MaxPool", ["3"], ["4"], kernel_shape=[2, 2]),
        helper.make_node("Reshape", ["4", "shape"], ["5"]),
        helper.make_node("Gemm", ["5", "fc", "fb"], ["6"], transB=1),
        helper.make_node("Gemm", ["6", "gemm", "gb"], ["7"]),
        helper.make_node("Constant", [], ["late2"], value=numpy_helper.from_array(product)),
        helper.make_node("MatMul", ["7", "late2"], ["8"]),
        helper.make_node("Add", ["8", "hb"], ["y"]),
    ]
    arrays.pop("late")
    file = read(tmp_path / "w", model([numpy_helper.from_array(a, n) for n, a in arrays.items()], nodes))
    assert file.operators == (
        Operator("conv", "conv", "cb"), Operator("relu"), Operator("lrn"), Operator("max_pool"), Operator("Reshape"),
        Operator("linear", "fc", "fb"), Operator("linear", "gemm", "gb"), Operator("linear", "late2", "hb"),
    )  # fmt: skip
    np.testing.assert_array_equal(file.tensors["conv"], conv)
    np.testing.assert_array_equal(file.tensors["fc"], fc)
    np.testing.assert_array_equal(file.tensors["gemm"], gemm.T)
    np.testing.assert_array_equal(file.tensors["late2"], product.T)


def test_numbers_in_other_files_are_refused_with_what_to_do(tmp_path):
    made = model([numpy_helper.from_array(np.zeros(1000, np.float32), "a")])
    onnx.save(made, tmp_path / "w.onnx", save_as_external_data=True, location="numbers", size_threshold=0)
    content = (tmp_path / "w.onnx").read_bytes()
    refused(tmp_path / "w", content, r'keeps the numbers of "a" in another file \(ONNX\'s external data\)')


def wrapped(*fields):
    """A model whose graph has one initialiser of these fields."""
    return number(1, 8) + message(7, message(5, b"".join(fields)))


NAME, FLOAT = message(8, b"a"), number(2, 1)
LIES = {
    "2 GB": (number(1, 2**29), FLOAT, NAME, message(9, b"\0" * 24)),
    "a huge shape": (number(1, 2**40), number(1, 2**40), FLOAT, NAME, message(9, b"\0" * 24)),
    "2 GB of 4 bits": (number(1, 2**32), number(2, 23), NAME, message(9, b"\0" * 24)),
    "fewer of 4 bits": (number(1, 46), number(2, 23), NAME, message(9, b"\0" * 24)),
    "fewer of 6 bits": (number(1, 30), number(2, 27), NAME, message(9, b"\0" * 24)),
    "fewer of 6 bits in a list": (number(1, 2), number(2, 27), NAME, number(5, 1) * 3),
    "fewer of 8 bits": (number(1, 23), number(2, 17), NAME, message(9, b"\0" * 24)),
    "a negative shape of 4 bits": (number(1, 2**64 - 2), number(2, 23), NAME, message(9, b"")),
    "a negative shape": (number(1, 2**64 - 2), number(1, 2**64 - 3), FLOAT, NAME, message(9, b"\0" * 24)),
    "no elements, and huge": (number(1, 0), number(1, 2**62), number(1, 2**62), FLOAT, NAME),
    "many dimensions": (number(1, 1) * 40, number(1, 6), FLOAT, NAME, message(9, b"\0" * 24)),
    "part of a number": (number(1, 6), FLOAT, NAME, message(9, b"\0" * 23)),
    "floats as a number": (number(1, 1), FLOAT, NAME, number(9, 7)),
    "a name that is no text": (number(1, 6), FLOAT, message(8, b"\xff\xff"), message(9, b"\0" * 24)),
    "an endless number": (b"\x08" + b"\xff" * 11,),
    "a group": (b"\x0b\x0c",),
    "the field 0": (b"\x02\x00",),
    "a length beyond the end": (b"\x4a\xff\xff\xff\xff\x07",),
}  # fmt: skip


@pytest.mark.parametrize("kind", [0, 29, 2**31])
def test_a_type_that_onnx_does_not_have_is_refused_by_its_number(tmp_path, kind):
    content = wrapped(number(1, 6), number(2, kind), NAME, message(9, b"\0" * 24))
    refused(tmp_path / "w", content, f'tensor "a" is of the type number {kind}; save it as float32, float16 or bfloat')


@pytest.mark.parametrize("fields", LIES.values(), ids=LIES)
def test_a_tensor_that_claims_more_than_there_is_is_refused(tmp_path, fields):
    refused(tmp_path / "w", wrapped(*fields), "w is damaged or cut short: ")


def test_the_tensor_that_is_true_is_read(tmp_path):
    (tmp_path / "w").write_bytes(wrapped(number(1, 2), number(1, 3), FLOAT, NAME, message(9, A.tobytes())))
    assert_tensors(read_tensor_file(tmp_path / "w"), {"a": A})


def test_a_tensorflow_model_is_not_taken_for_one_of_onnx(tmp_path):
    refused(tmp_path / "w", number(1, 1) + message(2, message(1, b"\x0a\x03abc")), "holds no graph of ONNX; a TensorFl")


@PROPERTY
@given(data=st.data())
def test_files_cut_short_or_with_flipped_bits_are_refused_or_read_without_taking_memory(tmp_path, data):
    nodes = [helper.make_node("Gemm", ["x", "a", "b"], ["y"])]
    content = bytearray(
        model([numpy_helper.from_array(A, "a"), numpy_helper.from_array(A[0], "b")], nodes).SerializeToString()
    )
    if data.draw(st.booleans()):
        survives(tmp_path / "w", bytes(content[: data.draw(st.integers(0, len(content) - 1))]))
        return
    for _ in range(data.draw(st.integers(1, 3))):
        content[data.draw(st.integers(0, len(content) - 1))] ^= 1 << data.draw(st.integers(0, 7))
    survives(tmp_path / "w", bytes(content))
