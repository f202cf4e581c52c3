import numpy as np
import pytest
from PIL import Image

import npalexnet as na
from npalexnet.classifier import Classifier
from npalexnet.data.pipeline import Pipeline
from npalexnet.data.sample import CLASSES
from npalexnet.data.sources import open_data
from npalexnet.data.transforms import MiddleSquare, Normalize
from npalexnet.held_out import HeldOut

COLOURS = {"blue": (0, 0, 255), "green": (0, 255, 0), "red": (255, 0, 0)}


def classifier(classes, tmp_path, options=None):
    pipeline = Pipeline([MiddleSquare(227), Normalize((0.0,) * 3, (1.0,) * 3)])
    model = na.AlexNet(len(classes)).eval()
    return Classifier(tmp_path / "weights.safetensors", model, list(classes), pipeline, {"options": options or {}})


@pytest.fixture
def folder(tmp_path):
    for part, count in (("train", 2), ("val", 9)):
        for name in ("blue", "red"):
            (tmp_path / "data" / part / name).mkdir(parents=True)
            for i in range(count):
                Image.new("RGB", (8, 8), COLOURS[name]).save(tmp_path / "data" / part / name / f"{i}.png")
    return tmp_path / "data"


def test_labels_are_the_networks_though_the_data_count_fewer_classes_otherwise(folder, tmp_path):
    held_out = HeldOut.open(str(folder), classifier(["red", "green", "blue"], tmp_path))
    np.testing.assert_array_equal(held_out.labels, [2] * 9 + [0] * 9)  # of the data, blue is the first
    assert len(held_out) == 18
    assert held_out.picture(0).getpixel((0, 0)) == COLOURS["blue"]
    batches = list(held_out.batches())
    assert [batch.shape for batch in batches] == [(16, 3, 227, 227), (2, 3, 227, 227)]
    np.testing.assert_array_equal(batches[1][1], held_out[17])
    assert held_out[17][:, 0, 0].tolist() == [1, 0, 0]
    assert next(held_out.sample(1).batches(ten_crop=True)).shape == (1, 10, 3, 227, 227)


def test_a_sample_is_drawn_from_all_and_keeps_labels_with_their_pictures(folder, tmp_path):
    held_out = HeldOut.open(str(folder), classifier(["red", "green", "blue"], tmp_path))
    assert held_out.sample(18) is held_out
    drawn = held_out.sample(10)
    assert len(drawn) == len(drawn.dataset) == 10
    assert set(drawn.labels.tolist()) == {0, 2}
    for i, label in enumerate(drawn.labels):
        assert drawn.picture(i).getpixel((0, 0)) == COLOURS["blue" if label == 2 else "red"]


def test_data_with_a_class_that_the_network_does_not_know_are_refused(folder, tmp_path):
    with pytest.raises(ValueError, match=r"classes that the network in .* doesn't know: 'blue'; it tells apart 'red'"):
        HeldOut.open(str(folder), classifier(["red", "green"], tmp_path))


def test_without_a_name_the_runs_own_data_are_opened(folder, tmp_path):
    own = HeldOut.open(None, classifier(["blue", "red"], tmp_path, {"data": str(folder), "seed": 3}))
    assert len(own) == 18
    sample = HeldOut.open(None, classifier(CLASSES, tmp_path))
    assert len(sample) == 500
    assert sample.grey


def test_the_part_that_a_run_drew_is_drawn_again(folder, tmp_path):
    (folder / "train").rename(folder / "old")
    (folder / "val").rename(folder / "train")
    options = {"data": str(folder), "seed": 5, "val_share": 0.34}
    own = HeldOut.open(None, classifier(["blue", "red"], tmp_path, options))
    drawn = open_data(str(folder), seed=5, val_share=0.34).val
    names = [drawn.name(i) for i in range(len(drawn))]
    assert [own.dataset.name(i) for i in range(len(own))] == names
    other = open_data(str(folder), seed=0, val_share=0.34).val
    assert [other.name(i) for i in range(len(other))] != names
    assert any("seed 5" in note for note in own.notes)
