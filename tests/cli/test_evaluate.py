import numpy as np
import pytest

import npalexnet as na
from npalexnet.cli.evaluate import evaluate, per_class
from npalexnet.data.datasets import ArrayDataset
from npalexnet.data.pipeline import Pipeline
from npalexnet.data.transforms import Normalize, ResizeCenterCrop
from npalexnet.inference.classifier import Classifier
from npalexnet.inference.validation import ValidationSet

AS_IT_IS = Pipeline([ResizeCenterCrop(227), Normalize((0.0,) * 3, (1.0,) * 3)])


@pytest.fixture
def classifier(tmp_path):
    """Names what is brighter than a half "bright", by the pixel in the middle."""
    model = na.Sequential(na.Flatten(), na.Linear(3 * 227 * 227, 2, seed=0)).eval()
    state = {name: np.zeros_like(values) for name, values in model.state_dict().items()}
    state["1.weight"][1, 227 * 113 + 113] = 4
    state["1.bias"][1] = -2
    model.load_state_dict(state)
    return Classifier(tmp_path / "weights.safetensors", model, ["dark", "bright"], AS_IT_IS, {})


def grey(levels, labels):
    images = np.tile(np.array(levels, np.uint8)[:, None, None], (1, 4, 4))
    return ArrayDataset(images, np.array(labels), ["dark", "bright"])


def test_what_is_counted_is_what_the_network_says_of_each_picture_in_order(classifier):
    levels, labels = [0, 255, 51, 255] + [0] * 15, [0, 1, 1, 0] + [0] * 15
    seen = []
    validation = ValidationSet("grey", grey(levels, labels), classifier)
    metrics = evaluate(classifier, validation, watch=seen.append)
    np.testing.assert_array_equal(metrics.confusion, [[16, 1], [1, 1]])
    bright = 4 * np.array(levels) / 255 - 2
    shares = np.stack([1 / (1 + np.exp(bright)), 1 / (1 + np.exp(-bright))], axis=1)
    assert [found.shape for found in seen] == [(16, 2), (3, 2)]
    np.testing.assert_allclose(np.exp(np.concatenate(seen)), shares, rtol=1e-5)
    assert metrics.loss == pytest.approx(-np.log(shares[range(19), labels]).mean(), rel=1e-5)


def test_ten_crops_are_averaged(classifier):
    """The white dot is in the middle of the first crop and of its mirror image, but of no other one."""
    images = np.zeros((1, 256, 256), np.uint8)
    images[0, 113, 113] = 255
    validation = ValidationSet("dot", ArrayDataset(images, np.array([1]), ["dark", "bright"]), classifier)
    share = (2 / (1 + np.exp(-2)) + 8 / (1 + np.exp(2))) / 10
    assert evaluate(classifier, validation, ten_crop=True).loss == pytest.approx(-np.log(share), rel=1e-5)


def test_answers_that_are_not_finite_are_refused(classifier):
    state = classifier.model.state_dict()
    classifier.model.load_state_dict({**state, "1.bias": np.full(2, np.nan, np.float32)})
    validation = ValidationSet("grey", grey([0, 255], [0, 1]), classifier)
    seen = []
    with pytest.raises(
        ValueError, match=r"the weights in .*weights\.safetensors are not finite: they come from training"
    ):
        evaluate(classifier, validation, watch=seen.append)
    assert seen == []


def test_the_table_tells_of_each_class_how_many_were_right_and_what_the_rest_were_taken_for():
    table = per_class(np.array([[5, 1, 3, 2], [0, 0, 0, 0], [0, 0, 4, 0], [1, 1, 0, 6]]), ["cat", "dog", "cow", "hen"])
    header, _, *rows = [[cell.strip() for cell in line.split("  ") if cell.strip()] for line in table.splitlines()]
    assert header == ["class", "most often taken for", "images", "right", "right (%)"]
    assert rows == [
        ["cat", "cow (3), hen (2)", "11", "5", "45.5"],
        ["dog", "-", "0", "0", "-"],
        ["cow", "-", "4", "4", "100.0"],
        ["hen", "cat (1), dog (1)", "8", "6", "75.0"],
    ]
