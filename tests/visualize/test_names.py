import pytest

import npalexnet as na
from npalexnet.visualize.names import layer_title, unit_title
from tests.networks import narrow


@pytest.fixture(scope="module")
def model():
    with pytest.MonkeyPatch.context() as patch:
        narrow(patch)
        return na.AlexNet(2, init="torch")


@pytest.mark.parametrize(
    ("layer", "title"),
    [
        ("layers.0", "convolution 1 before ReLU"),
        ("layers.1", "convolution 1"),
        ("layers.2", "pooling 1"),
        ("layers.4", "convolution 2"),
        ("layers.11", "convolution 5"),
        ("layers.12", "pooling 3"),
        ("layers.13", "layers.13 (Flatten)"),
        ("classifier.2", "linear layer 1"),
        ("classifier.5", "linear layer 2"),
        ("classifier.6", "linear layer 3"),
    ],
)
def test_layers_are_called_as_the_paper_counts_them(model, layer, title):
    assert layer_title(model, layer) == title


def test_channels_and_units_have_numbers(model):
    assert unit_title(model, "layers.4", 17) == "convolution 2, channel 17"
    assert unit_title(model, "classifier.6", 1) == "linear layer 3, unit 1"


def test_a_relu_behind_another_layer_is_no_convolution():
    model = na.Sequential(na.Conv2d(1, 1, 1, seed=0), na.MaxPool2d(2), na.ReLU(), na.LocalResponseNorm(5))
    assert [layer_title(model, f"{i}") for i in range(4)] == [
        "convolution 1",
        "pooling 1",
        "2 (ReLU)",
        "normalisation 1",
    ]
    with pytest.raises(ValueError, match="layer must be one of 0, 1, 2, 3, got '9'"):
        layer_title(model, "9")
