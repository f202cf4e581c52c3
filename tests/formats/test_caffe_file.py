"""Caffe's files, put together by hand after its caffe.proto; and hostile ones."""

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from npalexnet.formats.reader import read_tensor_file
from npalexnet.formats.tensor_file import Operator
from tests.formats.files import A, assert_tensors, floats, message, number, refused, survives, varint
from tests.support import PROPERTY, normal

CONV, FC = normal((4, 3, 2, 2), "float32"), normal((5, 16), "float32", seed=1)
CONV_BIAS, FC_BIAS = normal(4, "float32", seed=2), normal(5, "float32", seed=3)
ARRAYS = {"conv1.weight": CONV, "conv1.bias": CONV_BIAS, "fc8.weight": FC, "fc8.bias": FC_BIAS}


def blob(array, shape=None):
    """A blob with its shape as a message."""
    lengths = b"".join(varint(n) for n in (array.shape if shape is None else shape))
    return message(7, message(1, lengths)) + message(5, floats(array.reshape(-1).tolist()))


def legacy_blob(array):
    """A blob with its shape as num, channels, height and width."""
    shape = (1,) * (4 - array.ndim) + array.shape
    return b"".join(number(i + 1, n) for i, n in enumerate(shape)) + message(5, floats(array.reshape(-1).tolist()))


def layer(name, kind, *blobs):
    return message(100, message(1, name) + message(2, kind) + b"".join(message(7, blob) for blob in blobs))


def layer_v1(name, kind, *blobs):
    return message(2, message(4, name) + number(5, kind) + b"".join(message(6, blob) for blob in blobs))


def layer_v0(name, kind, *blobs):
    return message(2, message(1, message(1, name) + message(2, kind) + b"".join(message(50, blob) for blob in blobs)))


def network(layer, blob, kinds):
    data, conv, relu, lrn, pool, linear = kinds
    return (
        message(1, b"CaffeNet") + layer(b"data", data) + layer(b"conv1", conv, blob(CONV), blob(CONV_BIAS))
        + layer(b"relu1", relu) + layer(b"norm1", lrn) + layer(b"pool1", pool)
        + layer(b"fc8", linear, blob(FC), blob(FC_BIAS))
    )  # fmt: skip


NETWORKS = {
    "current": network(layer, blob, (b"Data", b"Convolution", b"ReLU", b"LRN", b"Pooling", b"InnerProduct")),
    "of the first version": network(layer_v1, legacy_blob, (5, 4, 18, 15, 17, 14)),
    "before that": network(layer_v0, legacy_blob, (b"data", b"conv", b"relu", b"lrn", b"pool", b"innerproduct")),
    "current with older shapes": network(
        layer, legacy_blob, (b"Data", b"Convolution", b"ReLU", b"LRN", b"Pooling", b"InnerProduct")
    ),
}


@pytest.mark.parametrize("content", NETWORKS.values(), ids=NETWORKS)
def test_all_generations_of_layers_are_read(tmp_path, content):
    (tmp_path / "w.bin").write_bytes(content)
    file = read_tensor_file(tmp_path / "w.bin")
    assert (file.kind, file.texts) == ("caffe", {"name": "CaffeNet"})
    assert_tensors(file, ARRAYS)
    assert file.operators[1:] == (
        Operator("conv", "conv1.weight", "conv1.bias"), Operator("relu"), Operator("lrn"), Operator("max_pool"),
        Operator("linear", "fc8.weight", "fc8.bias"),
    )  # fmt: skip


def test_doubles_and_unpacked_floats_are_read(tmp_path):
    unpacked = b"".join(varint(5 << 3 | 5) + struct.pack("<f", x) for x in A.reshape(-1))
    doubles = message(8, A.astype("<f8").tobytes())
    shape = message(7, number(1, 2) + number(1, 3))
    content = layer(b"a", b"Convolution", shape + unpacked, shape + doubles)
    (tmp_path / "w").write_bytes(content)
    assert_tensors(read_tensor_file(tmp_path / "w"), {"a.weight": A, "a.bias": A.astype("f8")})


LIES = {
    "2 GB": blob(A, (2**29,)),
    "a huge shape": blob(A, (2**40, 2**40)),
    "a negative shape": message(7, message(1, varint(2**64 - 2) + varint(2**64 - 3))) + message(5, A.tobytes()),
    "no elements, and huge": blob(A[:0], (0, 2**62, 2**62)),
    "older, and huge": number(1, 2**31) + number(2, 1) + number(3, 1) + number(4, 1) + message(5, A.tobytes()),
    "older, without a length": number(1, 2) + number(2, 3) + message(5, A.tobytes()),
    "part of a number": message(7, message(1, varint(6))) + message(5, A.tobytes()[:-1]),
    "numbers that are none": message(7, message(1, varint(1))) + number(5, 7),
    "a list without end": message(7, message(1, b"\x80" * 5)) + message(5, A.tobytes()),
}


@pytest.mark.parametrize("content", LIES.values(), ids=LIES)
def test_a_blob_that_claims_more_than_there_is_is_refused(tmp_path, content):
    refused(tmp_path / "w", message(1, b"Net") + layer(b"a", b"Convolution", content), "w is damaged or cut short: ")


def test_the_same_layer_twice_and_no_weights_at_all_are_refused(tmp_path):
    twice = layer(b"a", b"Convolution", blob(A)) * 2
    refused(tmp_path / "w", message(1, b"Net") + twice, r'the tensor "a\.weight" is in it twice')
    refused(tmp_path / "w", message(1, b"Net") + layer(b"a", b"ReLU"), "no .caffemodel, or one of layers without weigh")


@PROPERTY
@given(data=st.data())
def test_files_cut_short_or_with_flipped_bits_are_refused_or_read_without_taking_memory(tmp_path, data):
    content = bytearray(data.draw(st.sampled_from(list(NETWORKS.values()))))
    if data.draw(st.booleans()):
        survives(tmp_path / "w", bytes(content[: data.draw(st.integers(0, len(content) - 1))]))
        return
    for _ in range(data.draw(st.integers(1, 3))):
        content[data.draw(st.integers(0, len(content) - 1))] ^= 1 << data.draw(st.integers(0, 7))
    survives(tmp_path / "w", bytes(content))
