"""ONNX Runtime in float32, which is all that it convolves in on a CPU, and ONNX's own reference in float64."""

import json
from functools import partial

import numpy as np
import onnx
import onnxruntime
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from onnx.reference import ReferenceEvaluator

import npalexnet as na
from npalexnet.formats import onnx_writer
from npalexnet.formats.onnx_writer import write_onnx
from npalexnet.layers.average_pooling import AdaptiveAvgPool2d, AvgPool2d
from npalexnet.layers.normalization import SpatialResponseNorm
from tests.support import PROPERTY, assert_close, normal

NETWORKS = {  # each with the shape of an image
    "convolution with windows that hang over": (
        lambda: na.Conv2d(3, 4, 3, stride=2, padding=1, ceil_mode=True),
        (3, 8, 9),
    ),
    "convolution with unequal sides of padding": (
        lambda: na.Conv2d(2, 3, (4, 2), padding="same", dilation=(1, 3)),
        (2, 9, 8),
    ),
    "convolution in groups, without bias": (
        lambda: na.Conv2d(4, 6, (3, 2), stride=(1, 2), groups=2, bias=False),
        (4, 6, 7),
    ),
    "convolution whose last windows see zeros alone": (lambda: na.Conv2d(1, 2, 1, stride=3, padding=3), (1, 3, 4)),
    "pooling that rounds up": (lambda: na.MaxPool2d(3, 2, 1, ceil_mode=True), (2, 8, 9)),
    "pooling that rounds up, with more beyond than a window has": (
        lambda: na.MaxPool2d(2, 3, 1, dilation=3, ceil_mode=True),
        (2, 9, 11),
    ),
    "average pooling": (lambda: AvgPool2d(3, 2), (2, 8, 9)),
    "average pooling that counts padding, and rounds up": (lambda: AvgPool2d(3, 2, 1, ceil_mode=True), (2, 8, 10)),
    "average pooling that counts no padding": (
        lambda: AvgPool2d((3, 2), 2, 1, ceil_mode=True, count_include_pad=False),
        (2, 8, 10),
    ),
    "adaptive pooling into parts that overlap": (lambda: AdaptiveAvgPool2d((3, 4)), (2, 7, 9)),
    "adaptive pooling into equal parts": (lambda: AdaptiveAvgPool2d((3, 4)), (2, 6, 8)),
    "adaptive pooling of as many pixels": (lambda: AdaptiveAvgPool2d((3, 4)), (2, 3, 4)),
    "adaptive pooling of fewer pixels": (lambda: AdaptiveAvgPool2d((5, 4)), (2, 3, 4)),
    "response normalisation": (lambda: na.LocalResponseNorm(5, 0.5, 0.75, 2), (7, 3, 4)),
    "response normalisation, alpha undivided": (
        lambda: na.LocalResponseNorm(3, 0.5, 0.75, 2, divide_alpha=False),
        (7, 3, 4),
    ),
    "response normalisation over an even number of channels": (lambda: na.LocalResponseNorm(4, 0.5, 0.6), (7, 3, 4)),
    "response normalisation in groups": (lambda: na.LocalResponseNorm(3, 0.5, groups=2), (8, 3, 4)),
    "response normalisation of rows": (lambda: na.LocalResponseNorm(4, 0.5, groups=2), (8, 3)),
    "response normalisation over pixels": (lambda: SpatialResponseNorm(5, 0.5), (3, 7, 8)),
    "response normalisation over an even number of pixels": (lambda: SpatialResponseNorm(4, 0.5, 0.6, 2), (3, 7, 8)),
    "linear layers": (
        lambda: na.Sequential(na.Flatten(), na.Dropout(), na.Linear(12, 5), na.ReLU(), na.Linear(5, 3, bias=False)),
        (3, 4),
    ),
    "linear layer of rows": (lambda: na.Linear(4, 5), (3, 4)),
    "nothing": (lambda: na.Dropout(), (3, 4)),
    "no layers": (lambda: na.Sequential(), (3,)),
}


def in_dtype(model, dtype):
    """Give a model parameters of a dtype, and eval mode."""
    for parameter in model.parameters():
        parameter.data = parameter.data.astype(dtype)
    return model.eval()


def written(tmp_path, model, shape, **description):
    path = tmp_path / "network.onnx"
    write_onnx(path, model, model.state_dict(), shape, description)
    onnx.checker.check_model(path, full_check=True)
    return path


def runtime(path):
    return onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])


def answers(path, x):
    (y,) = runtime(path).run(None, {"images": x})
    return y


@pytest.mark.parametrize("case", NETWORKS)
def test_onnx_runtime_answers_alike(tmp_path, case):
    make, shape = NETWORKS[case]
    model = make().eval()
    path = written(tmp_path, model, shape)
    for batch in (1, 3):
        x = normal((batch, *shape), "float32", seed=batch)
        assert_close(answers(path, x), model(x), 1e-6)


@pytest.mark.parametrize("case", NETWORKS)
def test_the_reference_answers_alike_in_float64(tmp_path, case):
    make, shape = NETWORKS[case]
    first = na.Conv2d(shape[0], shape[0], 1, seed=0) if len(shape) == 3 else na.Linear(shape[-1], shape[-1], seed=0)
    model = in_dtype(na.Sequential(first, make()), "float64")
    path = written(tmp_path, model, shape)
    x = normal((2, *shape))
    (y,) = ReferenceEvaluator(str(path)).run(None, {"images": x})
    assert_close(y, model(x), 1e-12)


def test_onnx_runtime_answers_alike_in_float64_where_it_can(tmp_path):
    model = in_dtype(na.Sequential(na.MaxPool2d(3, 2, 1), na.Flatten(), na.Linear(24, 5), na.ReLU()), "float64")
    x = normal((3, 2, 5, 8))
    assert_close(answers(written(tmp_path, model, (2, 5, 8)), x), model(x), 1e-14)


SIZES = st.tuples(st.integers(1, 9), st.integers(1, 9))
SMALL = st.tuples(st.integers(1, 4), st.integers(1, 4))


@PROPERTY
@given(
    size=SIZES, kernel=SMALL, stride=SMALL, dilation=SMALL, padding=st.tuples(st.integers(0, 4), st.integers(0, 4)),
    ceil_mode=st.booleans(), kind=st.sampled_from(["convolution", "maximum", "average", "average without padding"]),
)  # fmt: skip
def test_windows_are_where_they_were(tmp_path, size, kernel, stride, dilation, padding, ceil_mode, kind):
    half = tuple(min(p, k // 2) for p, k in zip(padding, kernel, strict=True))
    model: na.Layer = {
        "convolution": partial(na.Conv2d, 2, 3, kernel, stride, padding, dilation, ceil_mode=ceil_mode, seed=0),
        "maximum": partial(na.MaxPool2d, kernel, stride, half, dilation, ceil_mode=ceil_mode),
        "average": partial(AvgPool2d, kernel, stride, half, ceil_mode=ceil_mode),
        "average without padding": partial(
            AvgPool2d, kernel, stride, half, ceil_mode=ceil_mode, count_include_pad=False
        ),
    }[kind]().eval()
    x = normal((2, 2, *size), "float32")
    try:
        expected = model(x)
    except ValueError:  # no window fits
        expected = None
    assume(expected is not None and np.isfinite(expected).all())
    assert_close(answers(written(tmp_path, model, x.shape[1:]), x), expected, 1e-6)


def test_a_pooling_window_without_a_pixel_is_refused(tmp_path):
    model = na.MaxPool2d(2, 1, 1, dilation=3)
    assert model(normal((1, 1, 2, 2))).min() == -np.inf
    with pytest.raises(ValueError, match=r"MaxPool2d.*images of 2 x 2: a window has no pixel inside"):
        written(tmp_path, model, (1, 2, 2))
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_weights_of_16_bits_are_kept_and_computed_with_in_float32(tmp_path, dtype):
    model = na.Sequential(na.Conv2d(3, 4, 3, seed=0), na.Flatten(), na.Linear(36, 5, seed=1)).eval()
    half = {name: value.astype(na.backend.input_dtype(dtype)) for name, value in model.state_dict().items()}
    write_onnx(tmp_path / "half.onnx", model, half, (3, 5, 5), {})
    kept = {tensor.name: tensor for tensor in onnx.load(tmp_path / "half.onnx").graph.initializer}
    assert {name: kept[name].raw_data for name in half} == {name: value.tobytes() for name, value in half.items()}
    model.load_state_dict({name: value.astype("float32") for name, value in half.items()})
    x = normal((2, 3, 5, 5), "float32")
    assert_close(answers(tmp_path / "half.onnx", x), model(x), 1e-6)


def test_names_types_and_metadata_say_how_to_use_it(tmp_path):
    pipeline = [
        {"name": "MiddleSquare", "size": 256},
        {"name": "CentreCrop", "size": 227},
        {"name": "Normalize", "mean": [0.5, 0.25, 0.0], "std": [0.1, 0.2, 0.3]},
    ]
    model = na.Sequential(na.Flatten(), na.Linear(12, 2, seed=0))
    path = written(tmp_path, model, (3, 2, 2), classes=["猫", "dog"], pipeline=pipeline, variant="seed")
    session = runtime(path)
    (images,), (logits,) = session.get_inputs(), session.get_outputs()
    assert (images.name, images.type, images.shape) == ("images", "tensor(float)", ["N", 3, 2, 2])
    assert (logits.name, logits.type, logits.shape) == ("logits", "tensor(float)", ["N", 2])
    metadata = session.get_modelmeta().custom_metadata_map
    assert json.loads(metadata["classes"]) == ["猫", "dog"]
    assert json.loads(metadata["npalexnet"]) == {"classes": ["猫", "dog"], "pipeline": pipeline, "variant": "seed"}
    assert metadata["preprocessing"] == (
        "the middle square, scaled to 256 x 256 pixels (bilinear, antialiased); then RGB from 0 to 1, (N, 3, H, W); "
        "then the middle 227 x 227 pixels; then minus [0.5, 0.25, 0.0], divided by [0.1, 0.2, 0.3] (red, green, blue)"
    )
    assert "softmax" in metadata["output"]
    proto = onnx.load(path)
    assert [(opset.domain, opset.version) for opset in proto.opset_import] == [("", 17)]
    assert proto.ir_version == 8
    assert {tensor.name for tensor in proto.graph.initializer} == {"1.weight", "1.bias"}


def test_layers_may_have_any_names(tmp_path):
    model = na.Sequential(
        images=na.Linear(4, 4, seed=0), logits=na.ReLU(), Gemm=na.Linear(4, 4, seed=1), bias=na.Linear(4, 3, seed=2)
    )
    x = normal((2, 4), "float32")
    assert_close(answers(written(tmp_path, model, (4,)), x), model(x), 1e-6)


def test_a_layer_that_stands_twice_is_computed_twice(tmp_path):
    twice = na.Linear(4, 4, seed=0)
    model = na.Sequential(twice, na.ReLU(), twice)
    x = normal((2, 4), "float32")
    assert_close(answers(written(tmp_path, model, (4,)), x), model(x), 1e-6)


class Doubled(na.ReLU):
    def compute(self, x, noise=None):
        y, saved = super().compute(x)
        return y + y, saved


class Sum(na.Layer):
    def __init__(self, *layers):
        self.first, self.second = layers

    def compute(self, x, noise=None):
        return self.first.compute(x)[0] + self.second.compute(x)[0], None


@pytest.mark.parametrize(
    ("layer", "name"), [(Doubled(), r"Doubled \(1\)"), (Sum(na.ReLU(), na.ReLU()), r"Sum \(1\)"), (na.Layer(), "Layer")]
)
def test_what_has_no_operators_is_refused_by_name(tmp_path, layer, name):
    model = na.Sequential(na.Flatten(), layer)
    with pytest.raises(TypeError, match=rf"{name}.*can't be exported to ONNX, only Sequentials of Conv2d, MaxPool2d"):
        written(tmp_path, model, (3, 4))
    assert not list(tmp_path.iterdir())


def test_images_that_do_not_fit_and_too_many_weights_are_refused(tmp_path, monkeypatch):
    model = na.Conv2d(3, 4, 3, seed=0)
    with pytest.raises(ValueError, match="expects 3 input channels"):
        written(tmp_path, model, (2, 5, 5))
    monkeypatch.setattr(onnx_writer, "MOST_BYTES", 100)
    with pytest.raises(ValueError, match=r"at most 2 GiB, the weights are 0\.0 GiB"):
        written(tmp_path, model, (3, 5, 5))
    assert not list(tmp_path.iterdir())


def test_the_same_network_gives_the_same_bytes(tmp_path):
    model = na.Sequential(na.Conv2d(3, 4, 3, seed=0), na.LocalResponseNorm(4))
    one = written(tmp_path, model, (3, 5, 5), classes=["a"], variant="seed").read_bytes()
    assert written(tmp_path, model, (3, 5, 5), classes=["a"], variant="seed").read_bytes() == one
