"""Whose weights a file holds. Networks are narrow: hidden layers have 64 numbers; the convolutions are whole."""

import warnings
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from onnx import numpy_helper
from safetensors.numpy import save_file

import npalexnet as na
from npalexnet.formats.reader import read_tensor_file
from npalexnet.formats.tensor_file import Operator, TensorFile
from npalexnet.pretrained.figures import figure_of
from npalexnet.pretrained.identify import identify
from tests.formats.files import message, number
from tests.networks import WIDTH

ALIKE = {"paper", "caffe", "caffenet"}  # whose parameters have the same names and shapes


def states():
    return {variant: na.AlexNet(3, init="torch", seed=i, variant=variant) for i, variant in enumerate(na.VARIANTS)}


@pytest.fixture(scope="module")
def networks():
    with pytest.MonkeyPatch.context() as patch:
        from tests.networks import narrow

        narrow(patch)
        return {variant: model.state_dict() for variant, model in states().items()}


def tensors(state, prefix=""):
    return TensorFile(Path("w"), "safetensors", {prefix + name: array for name, array in state.items()})


def assert_found(file, variant, state, given=None, **changed):
    found = identify(file, given)
    assert (found.variant, found.new) == (variant, ())
    assert found.state.keys() == state.keys()
    for name, array in {**state, **changed}.items():
        np.testing.assert_array_equal(found.state[name], array, strict=True, err_msg=name)
    return found


@pytest.mark.parametrize("variant", na.VARIANTS)
def test_a_figure_has_the_names_and_shapes_of_the_network_itself(networks, variant):
    figure = figure_of(variant)
    assert [f"{name}.{part}" for name in figure.names for part in ("weight", "bias")] == list(networks[variant])
    for name, shape in list(zip(figure.names, figure.shapes, strict=True))[:5]:
        assert networks[variant][f"{name}.weight"].shape == shape
    assert figure.shapes[5:] == ((4096, 9216), (4096, 4096), (1, 4096))


@pytest.mark.parametrize("prefix", ["", "module.", "model.", "_orig_mod.", "module.net/"])
@pytest.mark.parametrize("variant", na.VARIANTS)
def test_names_and_shapes_decide_the_variant_behind_any_prefix(networks, variant, prefix):
    file = tensors(networks[variant], prefix)
    if variant in ALIKE:
        with pytest.raises(ValueError, match=r"w holds weights that fit paper, caffe, caffenet alike.*by --variant"):
            identify(file)
    assert_found(file, variant, networks[variant], variant if variant in ALIKE else None)


def test_two_networks_in_a_file_and_those_of_others_are_refused(networks):
    both = {f"{prefix}.{name}": array for prefix in "ab" for name, array in networks["seed"].items()}
    with pytest.raises(ValueError, match=r'holds several networks, whose names begin with "a\." and "b\."'):
        identify(tensors(both))
    vgg = {"features.0.weight": np.ones((64, 3, 3, 3), "f"), "features.0.bias": np.ones(64, "f")}
    message = (
        r"the AlexNet torchvision: \"features\.0\.weight\" has shape \(64, 3, 3, 3\) .* has \(64, 3, 11, 11\) and 64"
    )
    with pytest.raises(ValueError, match=message):
        identify(tensors(vgg))


@pytest.mark.parametrize("shape", ["transposed", "flat", "convolutions", "four lengths"])
def test_linear_weights_are_turned_into_torchs_shape(networks, shape):
    state = networks["torchvision"]
    change = {
        "transposed": lambda w: w.T, "flat": lambda w: w.reshape(-1),
        "convolutions": lambda w: w.reshape(len(w), -1, 6, 6) if w.shape[1] == 9216 else w[:, :, None, None],
        "four lengths": lambda w: w[None, None],
    }[shape]  # fmt: skip
    altered = {name: change(array) if array.ndim == 2 else array for name, array in state.items()}
    assert_found(tensors(altered), "torchvision", state)


# --- Caffe ------------------------------------------------------------------------------------------------------------

CAFFE_ORDER = {  # models/bvlc_alexnet and models/bvlc_reference_caffenet, train_val.prototxt
    "caffe": "Convolution ReLU LRN Pooling Convolution ReLU LRN Pooling Convolution ReLU Convolution ReLU Convolution "
    "ReLU Pooling InnerProduct ReLU Dropout InnerProduct ReLU Dropout InnerProduct",
    "caffenet": "Convolution ReLU Pooling LRN Convolution ReLU Pooling LRN Convolution ReLU Convolution ReLU "
    "Convolution ReLU Pooling InnerProduct ReLU Dropout InnerProduct ReLU Dropout InnerProduct",
}
NAMES = ("conv1", "conv2", "conv3", "conv4", "conv5", "fc6", "fc7", "fc8_flickr")


def caffemodel(arrays, kinds):
    """A .caffemodel of some layers, with blobs in turn for those that have some."""
    arrays, names, content = iter(arrays), iter(NAMES), message(1, b"AlexNet")
    for kind in kinds.split():
        name, blobs = kind.lower(), b""
        if kind in ("Convolution", "InnerProduct"):
            name = next(names)
            for array in (next(arrays), next(arrays)):
                shape = b"".join(number(1, length) for length in array.shape)
                blobs += message(7, message(7, shape) + message(5, array.astype("<f4").tobytes()))
        content += message(100, message(1, name.encode()) + message(2, kind.encode()) + blobs)
    return content


@pytest.mark.parametrize("variant", CAFFE_ORDER)
def test_caffes_networks_are_told_by_the_order_of_layers_and_take_rgb(networks, tmp_path, variant):
    """Caffe's first convolution has the weights for blue first."""
    state = networks[variant]
    first = state["layers.0.weight"]
    blue_first = {**state, "layers.0.weight": first[:, [2, 1, 0]]}
    (tmp_path / "w").write_bytes(caffemodel(blue_first.values(), CAFFE_ORDER[variant]))
    found = assert_found(read_tensor_file(tmp_path / "w"), variant, state)
    assert found.notes == ("its first convolution takes blue, green and red, as Caffe's do: turned round",)
    kinds = CAFFE_ORDER[variant].replace("LRN ", "").replace("Pooling ", "")
    (tmp_path / "w").write_bytes(caffemodel(blue_first.values(), kinds))
    file = read_tensor_file(tmp_path / "w")
    with pytest.raises(ValueError, match="another order of layers: conv, relu, conv"):
        identify(file)


def test_weights_under_caffes_names_in_another_format_take_rgb_too(networks, tmp_path):
    named = {}
    for name, (weight, bias) in zip((*NAMES[:7], "fc8"), pairs(networks["caffe"]), strict=True):
        named |= {f"{name}.weight": weight[:, ::-1].copy() if name == "conv1" else weight, f"{name}.bias": bias}
    save_file(named, tmp_path / "w")
    with pytest.raises(ValueError, match="fit caffe, caffenet alike"):
        identify(read_tensor_file(tmp_path / "w"))
    assert_found(read_tensor_file(tmp_path / "w"), "caffe", networks["caffe"], "caffe")


def pairs(state):
    values = list(state.values())
    return list(zip(values[::2], values[1::2], strict=True))


# --- ONNX -------------------------------------------------------------------------------------------------------------


def twin():
    """torchvision's network with narrow hidden layers, in torch."""
    nn = torch.nn
    c, relu, pool = nn.Conv2d, nn.ReLU(), nn.MaxPool2d(3, 2)
    return nn.Sequential(
        c(3, 64, 11, 4, 2), relu, pool, c(64, 192, 5, padding=2), relu, pool, c(192, 384, 3, padding=1), relu,
        c(384, 256, 3, padding=1), relu, c(256, 256, 3, padding=1), relu, pool, nn.AdaptiveAvgPool2d(6), nn.Flatten(),
        nn.Dropout(), nn.Linear(9216, WIDTH), relu, nn.Dropout(), nn.Linear(WIDTH, WIDTH), relu, nn.Linear(WIDTH, 3),
    )  # fmt: skip


def test_torchs_own_export_is_told_by_its_graph_whatever_its_names(tmp_path):
    model = twin()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(model.eval(), torch.zeros(1, 3, 224, 224), tmp_path / "w.onnx", dynamo=False)
    names = list(na.AlexNet(3, init="torch", variant="torchvision").state_dict())
    expected = dict(zip(names, (tensor.numpy() for tensor in model.state_dict().values()), strict=True))
    found = identify(read_tensor_file(tmp_path / "w.onnx"))
    assert (found.variant, found.new, found.notes) == ("torchvision", (), ())
    for name, array in expected.items():
        np.testing.assert_array_equal(found.state[name], array)


def test_a_graph_with_normalisation_is_not_taken_for_one_without(networks):
    """torchvision's and the network of 2014 have weights of the same shapes."""
    state = networks["torchvision"]
    names = list(state)
    kinds = {variant: figure_of(variant).order for variant in ("torchvision", "one-weird-trick")}
    for variant, order in kinds.items():
        layers = iter(zip(names[::2], names[1::2], strict=True))
        operators = [Operator(kind, *next(layers)) if kind == "conv" else Operator(kind) for kind in order]
        operators += [Operator("linear", *layer) for layer in layers]
        file = TensorFile(Path("w"), "onnx", state, operators=tuple(operators))
        assert identify(file).variant == variant
        without = TensorFile(Path("w"), "onnx", state, operators=tuple(o for o in operators if o.kind != "max_pool"))
        with pytest.raises(ValueError, match="but another order of layers"):
            identify(without)
        assert identify(without, variant).variant == variant


@pytest.mark.parametrize("scale", ["weight_scale", "weight_scale_inv", "scale_weight", "input_scale", "zero_point"])
def test_weights_with_scales_beside_them_are_refused(networks, scale):
    """Vendors' float8 files have them: the weights are products, of which the file's numbers are one factor."""
    state = {**networks["torchvision"], f"classifier.1.{scale}": np.ones(1, np.float32)}
    with pytest.raises(ValueError, match=f'it has further parameters: "classifier.1.{scale}"'):
        identify(TensorFile(Path("w"), "safetensors", state))


@pytest.mark.parametrize("kind", ["BatchNormalization", "DequantizeLinear"])
def test_a_graph_with_other_layers_is_refused(networks, kind):
    """Its convolutions have the shapes of an AlexNet's, but learned something else."""
    names = list(networks["seed"])
    operators = []
    for weight, bias in zip(names[::2], names[1::2], strict=True):
        operators += [Operator("linear" if "classifier" in weight else "conv", weight, bias), Operator(kind)]
    file = TensorFile(Path("w"), "onnx", networks["seed"], operators=tuple(operators))
    with pytest.raises(ValueError, match=f"the AlexNet seed: it has layers of another kind: {kind}"):
        identify(file)


def test_the_onnx_packages_bvlc_alexnet_is_caffes_once_weights_are_put_in(networks, tmp_path):
    """Its own come from operators that fill them; the zoo's file has them as initialisers of the same names."""
    path = Path(onnx.__file__).parent / "backend" / "test" / "data" / "light" / "light_bvlc_alexnet.onnx"
    if not path.exists():
        pytest.skip("this version of onnx comes without it")
    model = onnx.load(path)
    names = [name for node in model.graph.node if node.op_type in ("Conv", "Gemm") for name in node.input[1:3]]
    nodes = [node for node in model.graph.node if not set(node.output) & set(names)]
    del model.graph.node[:]
    model.graph.node.extend(nodes)
    state = dict(networks["caffe"])
    blue_first = {**state, "layers.0.weight": np.ascontiguousarray(state["layers.0.weight"][:, ::-1])}
    arrays = zip(names, blue_first.values(), strict=True)
    model.graph.initializer.extend(numpy_helper.from_array(array, name) for name, array in arrays)
    onnx.save(model, tmp_path / "w")
    assert_found(read_tensor_file(tmp_path / "w"), "caffe", state)
