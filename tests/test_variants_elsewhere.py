"""Variants against other programs' own definitions of them: the onnx package's and torchvision's."""

from pathlib import Path

import numpy as np
import pytest
from torch import nn

from npalexnet import AlexNet
from tests.support import assert_matches_torch, normal


def test_caffes_is_that_of_the_onnx_package_with_the_same_weights(narrow):
    """``light_bvlc_alexnet.onnx``, converted from Caffe's, has constants in the place of weights.

    It says that its images are of 224 pixels, and pads its last pooling so that 6 x 6 comes out of these nevertheless.
    With Caffe's 227 pixels nothing reaches the padding.
    """
    onnx = pytest.importorskip("onnx")
    runtime = pytest.importorskip("onnxruntime")
    data = Path(onnx.__file__).parent / "backend" / "test" / "data" / "light" / "light_bvlc_alexnet.onnx"
    if not data.exists():
        pytest.skip("this version of onnx does not have light_bvlc_alexnet.onnx")
    network = onnx.load(data)
    model = AlexNet(1000, seed=3, variant="caffe")
    for name, parameter in model.named_parameters():
        if name.endswith("bias"):
            parameter.data[...] = normal(parameter.shape, "float32", seed=len(name))

    graph = network.graph
    layers = [f"{kind}{number}" for number, kind in enumerate(["conv"] * 5 + ["fc"] * 3, start=1)]
    names = [f"{layer}_{letter}_0" for layer in layers for letter in "wb"]
    weights = [
        onnx.numpy_helper.from_array(value, name)
        for name, value in zip(names, model.state_dict().values(), strict=True)
    ]
    nodes = [node for node in graph.node if node.op_type != "ConstantOfShape"]
    assert len(graph.node) - len(nodes) == len(weights)
    shapes = [value for value in graph.initializer if not value.name.endswith("__SHAPE")]
    for field, values in (("node", nodes), ("initializer", [*shapes, *weights]), ("value_info", [])):
        del getattr(graph, field)[:]
        getattr(graph, field).extend(values)
    for value in [value for value in graph.input if value.name != "data_0"]:
        graph.input.remove(value)
    for axis in (2, 3):
        graph.input[0].type.tensor_type.shape.dim[axis].dim_value = 227
    logits = nodes[-1].input[0]
    graph.output.append(onnx.helper.make_tensor_value_info(logits, onnx.TensorProto.FLOAT, [1, 1000]))

    x = normal((1, 3, 227, 227), "float32") * 50
    session = runtime.InferenceSession(network.SerializeToString(), providers=["CPUExecutionProvider"])
    (expected,) = session.run([logits], {"data_0": x})
    assert np.abs(model.eval()(x) - expected).max() <= 1e-5 * np.abs(expected).max()
    other = AlexNet(1000, variant="paper")  # whose normalisation differs: the images are such that this shows
    other.load_state_dict(model.state_dict())
    assert np.abs(other.eval()(x) - expected).max() > 0.1 * np.abs(expected).max()


def test_torchvisions_is_torchvisions(narrow, monkeypatch):
    try:
        alexnet = pytest.importorskip("torchvision", exc_type=ImportError).models.alexnet
    except RuntimeError as error:  # of a build for another build of torch
        pytest.skip(f"torchvision does not go with this torch: {error}")
    linear = nn.Linear

    def narrowed(features, outputs):
        return linear(64 if features == 4096 else features, 64 if outputs == 4096 else outputs)

    monkeypatch.setattr(nn, "Linear", narrowed)
    twin = alexnet(weights=None, num_classes=5, dropout=0.0)
    model = AlexNet(5, dropout=0, dtype="float64", seed=3, variant="torchvision")
    assert list(model.state_dict()) == list(twin.state_dict())
    assert_matches_torch(model, twin, normal((1, 3, 224, 224)))
