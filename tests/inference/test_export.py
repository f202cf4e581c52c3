import json
import zipfile

import numpy as np
import onnxruntime
import pytest
import torch

import npalexnet as na
from npalexnet.inference.classifier import Classifier
from npalexnet.weights import load_weights
from tests.support import assert_close, get, normal, put

SUFFIXES = (".onnx", ".pth", ".pt", ".safetensors", ".npz")


@pytest.fixture
def model():
    return na.Sequential(
        layers=na.Sequential(na.Conv2d(3, 4, 3, seed=0), na.ReLU(), na.Flatten()), classifier=na.Linear(36, 5, seed=1)
    ).eval()


def onnx_answers(path, images):
    (logits,) = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"]).run(None, {"images": images})
    return logits


def torch_twin(layer):
    """A torch module with the same parameters under the same names; it computes nothing."""
    match layer:
        case na.Conv2d():
            sizes = layer.in_channels, layer.out_channels, layer.kernel_size
            return torch.nn.Conv2d(*sizes, groups=layer.groups, bias=layer.bias is not None)
        case na.Linear():
            return torch.nn.Linear(layer.in_features, layer.out_features)
    module = torch.nn.Module()
    for name, child in layer.named_children():
        module.add_module(name, torch_twin(child))
    return module


@pytest.mark.parametrize("variant", na.VARIANTS)
def test_every_variant_answers_alike_in_onnx_runtime_and_its_weights_fit_a_torch_network(narrow, tmp_path, variant):
    model = na.AlexNet(10, variant=variant).eval()
    images = normal((1, 3, model.image_size, model.image_size), "float32")
    na.export(model, tmp_path / "network.onnx")
    assert_close(onnx_answers(tmp_path / "network.onnx", images), model(images), 5e-6)
    na.export(model, tmp_path / "weights.pth")
    twin = torch_twin(model)
    twin.load_state_dict(torch.load(tmp_path / "weights.pth", weights_only=True))
    for name, value in model.state_dict().items():
        np.testing.assert_array_equal(twin.state_dict()[name].numpy(), value, strict=True)


def test_torchvisions_variant_is_exported_for_images_of_other_sizes(narrow, tmp_path):
    model = na.AlexNet(10, variant="torchvision").eval()
    na.export(model, tmp_path / "network.onnx", input_shape=(3, 80, 127))
    images = normal((2, 3, 80, 127), "float32")
    assert_close(onnx_answers(tmp_path / "network.onnx", images), model(images), 5e-6)


def test_a_classifier_keeps_its_classes_and_how_pictures_are_prepared_in_every_format(trained_run, tmp_path):
    classifier = Classifier.load(trained_run)
    state = classifier.model.state_dict()
    pipeline = json.loads(json.dumps(classifier.pipeline.to_json()))
    expected = {"variant": "seed", "classes": classifier.classes, "pipeline": pipeline}
    for suffix in SUFFIXES:
        exported = na.export(classifier, tmp_path / f"w{suffix}")
        assert exported.path == tmp_path / f"w{suffix}"
        assert exported.size == exported.path.stat().st_size
    descriptions = [load_weights(tmp_path / "w.safetensors")[1]]
    for name, entry in (("w.pth", "archive/extra/npalexnet.json"), ("w.npz", "npalexnet.json")):
        with zipfile.ZipFile(tmp_path / name) as archive:
            descriptions.append(json.loads(archive.read(entry)))
    metadata = onnxruntime.InferenceSession(tmp_path / "w.onnx").get_modelmeta().custom_metadata_map
    descriptions.append(json.loads(metadata["npalexnet"]))
    assert descriptions == [expected] * 4
    with np.load(tmp_path / "w.npz") as arrays:
        tensors = torch.load(tmp_path / "w.pth", weights_only=True)
        for name, value in state.items():
            np.testing.assert_array_equal(arrays[name], value, strict=True)
            np.testing.assert_array_equal(tensors[name].numpy(), value, strict=True)
    inputs = classifier.inputs([np.full((30, 40, 3), 99, np.uint8)])
    assert_close(onnx_answers(tmp_path / "w.onnx", inputs), classifier.model(inputs), 5e-6)
    for suffix in SUFFIXES:
        again = na.load(tmp_path / f"w{suffix}")
        assert again.classes == classifier.classes
        np.testing.assert_array_equal(
            again.inputs([np.eye(9, dtype=np.uint8)]), classifier.inputs([np.eye(9, dtype=np.uint8)])
        )
        np.testing.assert_array_equal(again.log_probabilities(inputs), classifier.log_probabilities(inputs))


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_classes_may_have_any_names(narrow, trained_run, tmp_path, suffix):
    names = ["caf\udce9", "猫", "two\nlines", "", *"abcdef"]  # the first as a folder whose name is no text gives it
    na.export(na.load(trained_run, classes=names), tmp_path / f"w{suffix}")
    assert na.load(tmp_path / f"w{suffix}").classes == names


@pytest.mark.parametrize("suffix", [".onnx", ".pth", ".safetensors", ".npz"])
@pytest.mark.parametrize("variant", ["torchvision", "caffenet", "released"])
def test_a_model_alone_is_loaded_as_the_variant_that_it_was(narrow, tmp_path, variant, suffix):
    model = na.AlexNet(10, variant=variant, init="torch")
    na.export(model, tmp_path / f"w{suffix}")
    told = (
        {"variant": variant} if (variant, suffix) == ("caffenet", ".npz") else {}
    )  # Caffe's two, and the paper's, fit
    again = na.load(tmp_path / f"w{suffix}", **told)
    assert again.model.variant == variant
    for name, value in model.state_dict().items():
        np.testing.assert_array_equal(again.model.state_dict()[name], value, strict=True)


@pytest.mark.parametrize("dtype", ["float64", "float32", "float16", "bfloat16"])
def test_weights_are_rounded_once_if_asked_for_and_otherwise_keep_every_bit(model, tmp_path, dtype):
    state = model.state_dict()
    rounded = {name: torch.from_numpy(value).to(getattr(torch, dtype)) for name, value in state.items()}
    exported = na.export(model, tmp_path / "w.pth", dtype=dtype)
    assert exported.dtypes == [dtype]
    found = torch.load(tmp_path / "w.pth", weights_only=True)
    assert all(torch.equal(found[name], value) and found[name].dtype == value.dtype for name, value in rounded.items())
    for name, parameter in model.named_parameters():
        assert parameter.dtype == np.float32
        parameter.data = parameter.data.astype(na.backend.input_dtype(dtype))
        state[name] = parameter.data
    na.export(model, tmp_path / "same.safetensors")
    for name, value in load_weights(tmp_path / "same.safetensors")[0].items():
        np.testing.assert_array_equal(value, state[name].astype(value.dtype), strict=True)
    if dtype != "bfloat16":
        na.export(model, tmp_path / "same.npz")
        with np.load(tmp_path / "same.npz") as arrays:
            for name, value in state.items():
                np.testing.assert_array_equal(arrays[name], value, strict=True)


def test_numbers_that_a_dtype_cannot_hold_are_refused(model, tmp_path):
    model.classifier.bias.data[0] = 1e5
    with pytest.raises(ValueError, match=r"classifier\.bias has numbers that are too large for float16"):
        na.export(model, tmp_path / "w.pth", dtype="float16")
    with pytest.raises(ValueError, match=r"dtype must be one of 'float32'.*got 'int8'"):
        na.export(model, tmp_path / "w.pth", dtype="int8")
    assert not list(tmp_path.iterdir())
    model.classifier.bias.data[0] = np.inf  # as it was
    na.export(model, tmp_path / "w.pth", dtype="float16")


def test_a_network_on_a_device_is_exported_as_on_the_cpu(model, tmp_path, device):
    images = normal((2, 3, 5, 5), "float32")
    for suffix in SUFFIXES:
        na.export(model, tmp_path / f"cpu{suffix}", input_shape=(3, 5, 5))
    moved = model.to(device)
    for suffix in SUFFIXES:
        na.export(moved, tmp_path / f"device{suffix}", input_shape=(3, 5, 5))
        assert (tmp_path / f"device{suffix}").read_bytes() == (tmp_path / f"cpu{suffix}").read_bytes()
    assert model.device == moved.device
    assert_close(onnx_answers(tmp_path / "device.onnx", images), get(moved(put(images, device))), 3e-6)


def test_a_network_of_layers_of_ones_own_is_exported_where_only_weights_are(tmp_path):
    class Scale(na.Layer):
        def __init__(self):
            self.by = na.Parameter(np.ones(3, np.float32))

    na.export(Scale(), tmp_path / "w.pth")
    assert torch.load(tmp_path / "w.pth", weights_only=True)["by"].tolist() == [1, 1, 1]
    with pytest.raises(TypeError, match="Scale can't be exported to ONNX"):
        na.export(Scale(), tmp_path / "w.onnx", input_shape=(3,))


@pytest.mark.parametrize(
    ("name", "options", "error", "message"),
    [
        ("w.bin", {}, ValueError, r"one of \.onnx, \.pth, \.pt, \.safetensors, \.npz, got .*w\.bin"),
        ("w", {}, ValueError, r"the file's suffix says in which format it is"),
        ("folder.pth", {}, ValueError, "is a folder: name a file"),
        ("nowhere/w.pth", {}, FileNotFoundError, r"there is no folder .*nowhere for w\.pth"),
        ("there.PTH", {}, FileExistsError, r"there\.PTH exists already"),
        ("w.onnx", {}, ValueError, "input_shape is needed: Sequential does not say which images it takes"),
        ("w.onnx", {"input_shape": 5}, TypeError, r"must be a tuple of ints, such as \(3, 227, 227\), got 5"),
        ("w.onnx", {"input_shape": (3, 0, 5)}, ValueError, "input_shape must be at least 1, got 0"),
        ("w.onnx", {"input_shape": (1, 5, 5)}, ValueError, "expects 3 input channels"),
    ],
)  # fmt: skip
def test_what_cannot_be_is_said_and_changes_nothing(model, tmp_path, name, options, error, message):
    (tmp_path / "folder.pth").mkdir()
    (tmp_path / "there.PTH").write_bytes(b"before")
    with pytest.raises(error, match=message):
        na.export(model, tmp_path / name, **options)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["folder.pth", "there.PTH"]
    assert (tmp_path / "there.PTH").read_bytes() == b"before"


def test_a_file_is_replaced_if_that_is_said(model, tmp_path):
    (tmp_path / "w.pth").write_bytes(b"before")
    na.export(model, tmp_path / "w.pth", overwrite=True)
    assert len(torch.load(tmp_path / "w.pth", weights_only=True)) == 4


def test_the_weights_themselves_are_not_replaced_and_what_is_no_network_is_refused(trained_run, tmp_path):
    classifier = Classifier.load(trained_run)
    before = classifier.path.read_bytes()
    with pytest.raises(ValueError, match="holds the weights that are to be exported: name another file"):
        na.export(classifier, trained_run / "weights.safetensors", overwrite=True)
    assert classifier.path.read_bytes() == before
    with pytest.raises(TypeError, match=r"network must be a model, or a classifier from npalexnet\.load, got 'runs/1'"):
        na.export("runs/1", tmp_path / "w.pth")
