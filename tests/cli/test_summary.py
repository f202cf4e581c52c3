import pytest

import npalexnet as na
from npalexnet.cli import main
from npalexnet.cli.summary import summarize


def test_alexnets_figures_are_those_of_the_formulas():
    model = na.AlexNet()
    layers = {layer.name: layer for layer in summarize(model, (2, 3, 227, 227), item_bytes=4)}
    assert layers["layers.0"].output_shape == (2, 96, 55, 55)
    assert layers["layers.0"].parameters == 96 * 3 * 11 * 11 + 96
    assert layers["layers.0"].multiply_adds == 2 * 55 * 55 * 96 * 3 * 11 * 11
    assert layers["layers.0"].activation_bytes == 2 * 96 * 55 * 55 * 4
    assert layers["layers.13"].output_shape == (2, 9216)
    assert layers["classifier.1"].multiply_adds == 2 * 9216 * 4096
    assert layers["classifier.6"].output_shape == (2, 1000)
    assert sum(layer.parameters for layer in layers.values()) == 62_378_344
    assert sum(layer.multiply_adds for layer in layers.values()) == model.multiply_adds((2, 3, 227, 227))


def test_groups_divide_the_work():
    (layer,) = summarize(na.Conv2d(4, 6, 3, groups=2), (1, 4, 5, 5), item_bytes=8)
    assert (layer.name, layer.kind) == ("", "Conv2d")
    assert layer.multiply_adds == 3 * 3 * 6 * 2 * 3 * 3


def test_a_shape_that_does_not_fit_is_refused():
    with pytest.raises(ValueError, match=r"\(N, 3, 227, 227\)"):
        list(summarize(na.AlexNet(2), (1, 3, 224, 224), item_bytes=4))


def test_summary_prints_every_layer_and_the_totals(capsys):
    assert main(["summary", "--batch-size", "2", "--num-classes", "10"]) == 0
    output = capsys.readouterr().out
    assert "2 x 96 x 55 x 55" in output
    assert "classifier.6" in output
    assert "58,322,314" in output
