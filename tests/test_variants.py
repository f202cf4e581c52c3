"""The variants of AlexNet against torch's, which are written from the sources; sizes and parameters as published."""

from contextlib import suppress

import numpy as np
import pytest
import torch

from npalexnet import VARIANTS, AlexNet, convolution_algorithm, get_num_threads, set_num_threads
from npalexnet.layers.summary import summarize
from tests.networks import WIDTH
from tests.support import assert_close, forward_backward, normal, tensor, torch_forward_backward
from tests.torch_variants import torch_variant

PUBLISHED = {  # numbers of parameters
    "seed": 62_378_344,  # not published: torch's, see test_alexnet.py
    "paper": 60_965_224,
    "released": 60_965_224,
    "caffe": 60_965_224,
    "caffenet": 60_965_224,
    "torchvision": 61_100_840,
    "one-weird-trick": 61_100_840,
}
ALL = pytest.mark.parametrize("variant", VARIANTS)
OTHERS = pytest.mark.parametrize("variant", [name for name in VARIANTS if name != "seed"])


def twin_of(model, variant):
    """Torch's variant with the model's parameters, which are in the same order."""
    twin = torch_variant(variant, classes=5, hidden=WIDTH).double()
    state = dict(zip(twin.state_dict(), map(tensor, model.state_dict().values()), strict=True))
    twin.load_state_dict(state)
    return twin


def loud(shape, seed=0):
    """Images whose normalisation matters, as those of pixels from 0 to 255 would."""
    return normal(shape, seed=seed) * 50


def test_the_names_are_those_that_the_documentation_gives():
    assert list(VARIANTS) == list(PUBLISHED)


@OTHERS
def test_output_and_all_gradients_are_torchs(narrow, variant):
    model = AlexNet(5, dropout=0, dtype="float64", seed=3, init="he", variant=variant)
    for name, parameter in model.named_parameters():
        if name.endswith("bias"):
            parameter.data[...] = normal(parameter.shape, seed=len(name))
    x, grad_y = loud((1, 3, model.image_size, model.image_size)), normal((1, 5), seed=7)
    expected_y, expected_grad_x, expected = torch_forward_backward(twin_of(model, variant), x, grad_y)
    y, grad_x, gradients = forward_backward(model, x, grad_y)
    assert_close(y, expected_y)
    assert_close(grad_x, expected_grad_x)
    assert len(gradients) == 16
    for gradient, torchs in zip(gradients.values(), expected.values(), strict=True):
        assert_close(gradient, torchs)
    assert_close(model.eval()(x), expected_y)


@pytest.mark.parametrize("size", [63, 97, 256])
def test_torchvisions_takes_images_of_other_sizes_as_torch_does(narrow, size):
    model = AlexNet(5, dropout=0, dtype="float64", seed=3, variant="torchvision")
    x = normal((1, 3, size, size + 5))
    with torch.no_grad():
        assert_close(model.eval()(x), twin_of(model, "torchvision")(tensor(x)))


@ALL
def test_there_are_as_many_parameters_as_published(variant):
    model = AlexNet(1000, init="torch", variant=variant)
    assert sum(parameter.size for parameter in model.parameters()) == PUBLISHED[variant]


@ALL
def test_layers_make_the_published_sizes(narrow, variant):
    model = AlexNet(5, init="torch", variant=variant)
    assert model.image_size == (227 if variant in ("seed", "caffe", "caffenet") else 224)
    rows = summarize(model, (1, 3, model.image_size, model.image_size), item_bytes=4)
    sizes = [row.output_shape[1:] for row in rows if row.kind in ("Conv2d", "MaxPool2d", "AdaptiveAvgPool2d")]
    first, second, fourth = (64, 192, 256) if variant in ("torchvision", "one-weird-trick") else (96, 256, 384)
    expected = [(first, 55), (first, 27), (second, 27), (second, 13), (384, 13), (fourth, 13), (256, 13), (256, 6)]
    expected += [(256, 6)] * (variant == "torchvision")
    assert sizes == [(channels, size, size) for channels, size in expected]


@ALL
def test_it_takes_just_the_sizes_that_it_names(narrow, variant):
    model, sizes = AlexNet(5, init="torch", variant=variant), VARIANTS[variant].sizes

    def fits(size):
        with suppress(ValueError):
            return model.output_shape((2, 3, size, size)) == (2, 5)
        return False

    assert model.image_size in sizes
    assert [size for size in range(20, 400) if fits(size)] == [size for size in range(20, 400) if size in sizes]
    with pytest.raises(ValueError, match=rf"\(N, 3, {model.image_size}, {model.image_size}\)"):
        model.output_shape((2, 3, sizes[0] - 1, sizes[0]))


@ALL
def test_its_parameters_have_the_names_of_its_parts(narrow, variant):
    model = AlexNet(5, init="torch", variant=variant)
    parts = list(dict.fromkeys(name.partition(".")[0] for name in model.state_dict()))
    assert parts == (["features", "classifier"] if variant == "torchvision" else ["layers", "classifier"])
    assert model.state_dict()["classifier.6.weight"].shape == (5, WIDTH)
    assert model.variant == variant


def test_torchvisions_names_are_torchvisions(narrow):
    names = [name for name in AlexNet(5, init="torch", variant="torchvision").state_dict() if name.endswith("weight")]
    assert names == [f"features.{i}.weight" for i in (0, 3, 6, 8, 10)] + [f"classifier.{i}.weight" for i in (1, 4, 6)]


@pytest.mark.parametrize(
    ("variant", "deviations", "biases"),
    [  # of the five convolutions and the three linear layers
        ("seed", [0.01] * 8, [0, 1, 0, 1, 1, 1, 1, 0]),
        ("paper", [0.01] * 8, [0, 1, 0, 1, 1, 1, 1, 0]),
        ("released", [0.01, 0.01, 0.03, 0.03, 0.03, 0.01, 0.01, 0.01], [0, 1, 0, 1, 1, 1, 1, 0]),
        ("caffe", [0.01] * 5 + [0.005, 0.005, 0.01], [0, 0.1, 0, 0.1, 0.1, 0.1, 0.1, 0]),
        ("caffenet", [0.01] * 5 + [0.005, 0.005, 0.01], [0, 1, 0, 1, 1, 1, 1, 0]),
        ("one-weird-trick", [0.01, 0.01, 0.03, 0.03, 0.03, 0.01, 0.01, 0.01], [0, 1, 0, 1, 1, 1, 1, -7]),
    ],
)
def test_each_begins_as_its_source_does_if_asked_to(narrow, variant, deviations, biases):
    state = AlexNet(64, init="paper", variant=variant).state_dict()
    weights = [value for name, value in state.items() if name.endswith("weight")]
    assert [weight.std() for weight in weights] == pytest.approx(deviations, rel=0.05)
    assert [abs(weight.mean()) < 0.05 * weight.std() for weight in weights] == [True] * 8
    for value, bias in zip((value for name, value in state.items() if name.endswith("bias")), biases, strict=True):
        np.testing.assert_array_equal(value, np.float32(bias))


def test_torchvisions_own_beginning_is_torchs(narrow):
    own, torchs = (AlexNet(5, init=init, variant="torchvision").state_dict() for init in ("paper", "torch"))
    for name, value in torchs.items():
        np.testing.assert_array_equal(own[name], value)
    assert abs(torchs["features.0.weight"]).max() == pytest.approx(363**-0.5, rel=1e-3)


@pytest.mark.parametrize("variant", ["", "Paper", "alexnet", None, 2, ["paper"]], ids=repr)
def test_another_name_is_refused_with_those_that_there_are(variant):
    with pytest.raises(ValueError, match=r"variant must be one of 'seed', 'paper', .*'one-weird-trick', got "):
        AlexNet(5, variant=variant)


@pytest.mark.parametrize("variant", ["released", "torchvision"])
def test_the_number_of_threads_changes_no_bit(narrow, variant):
    before, results = get_num_threads(), []
    x, grad_y = normal((3, 3, 224, 224), "float32"), normal((3, 5), "float32", seed=7)
    try:
        for threads in (1, 3):
            set_num_threads(threads)
            model = AlexNet(5, seed=3, variant=variant)
            with convolution_algorithm("auto"):
                y, grad_x, gradients = forward_backward(model, x, grad_y)
            results.append([array.tobytes() for array in (y, grad_x, *gradients.values())])
    finally:
        set_num_threads(before)
    assert results[0] == results[1]
