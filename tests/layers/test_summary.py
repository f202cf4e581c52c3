import pytest

import npalexnet as na
from npalexnet.layers.summary import summarize
from tests.pages import Checker


def test_alexnets_figures_are_those_of_the_formulas():
    model = na.AlexNet(init="torch")
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


def test_a_shape_that_does_not_fit_is_refused(narrow):
    with pytest.raises(ValueError, match=r"\(N, 3, 227, 227\)"):
        list(summarize(na.AlexNet(2), (1, 3, 224, 224), item_bytes=4))


def test_a_model_summarises_itself_as_a_table_in_text_and_in_a_notebook():
    model = na.AlexNet(10, init="torch")
    summary = model.summary(batch_size=2)
    assert summary.total.parameters == 58_322_314
    lines = str(summary).splitlines()
    assert [line.split()[0] for line in lines if "Conv2d" in line] == [f"layers.{i}" for i in (0, 3, 6, 8, 10)]
    assert "2 x 96 x 55 x 55" in lines[2]
    assert lines[-1].split()[:2] == ["total", "58,322,314"]
    assert repr(summary) == str(summary)
    checker = Checker(summary._repr_html_())
    assert checker.open == []
    assert {"layers.0", "2 x 96 x 55 x 55", "58,322,314"} <= set(checker.texts)
    double = na.AlexNet(10, dtype="float64", init="torch").summary(batch_size=2)
    assert double.total.activation_bytes == 2 * summary.total.activation_bytes


@pytest.mark.parametrize("size", [0, 1.5, "2"])
def test_a_summary_refuses_an_impossible_batch(narrow, size):
    with pytest.raises((TypeError, ValueError), match="batch_size"):
        na.AlexNet(2, init="torch").summary(size)
