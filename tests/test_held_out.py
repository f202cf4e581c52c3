import numpy as np
import pytest
from PIL import Image

import npalexnet as na
from npalexnet.classifier import Classifier
from npalexnet.data.datasets import ArrayDataset
from npalexnet.data.pipeline import Pipeline
from npalexnet.data.sample import CLASSES
from npalexnet.data.sources import Data, open_data
from npalexnet.data.transforms import MiddleSquare, Normalize
from npalexnet.held_out import HeldOut

COLOURS = {"blue": (0, 0, 255), "green": (0, 255, 0), "red": (255, 0, 0)}


def classifier(classes, tmp_path, options=None):
    pipeline = Pipeline([MiddleSquare(227), Normalize((0.0,) * 3, (1.0,) * 3)])
    model = na.AlexNet(len(classes)).eval()
    return Classifier(
        tmp_path / "weights.safetensors",
        model,
        list(classes),
        pipeline,
        {} if options is None else {"options": options},
    )


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
    assert held_out.dataset.classes == ("red", "green", "blue")
    assert [held_out.dataset[i][1] for i in (0, 17)] == [2, 0]


def test_a_loader_gives_what_the_network_takes_with_its_labels(folder, tmp_path):
    held_out = HeldOut.open(str(folder), classifier(["red", "green", "blue"], tmp_path))
    (first, labels), (last, last_labels) = held_out.loader().epoch(0)
    assert (first.shape, last.shape) == ((16, 3, 227, 227), (2, 3, 227, 227))
    assert np.concatenate([labels, last_labels]).tolist() == [2] * 9 + [0] * 9
    for image, label in zip([*first, *last], [2] * 9 + [0] * 9, strict=True):
        assert image[:, 100, 100].tolist() == [label == 0, 0, label == 2]
    np.testing.assert_array_equal(last[1], held_out[17])
    images, labels = next(held_out.sample(1).loader(ten_crop=True).epoch(0))
    assert images.shape == (1, 10, 3, 227, 227)


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
    sample = HeldOut.open(None, classifier(CLASSES, tmp_path, {"seed": 3}))
    assert len(sample) == 500
    assert sample.grey


def test_a_run_that_does_not_say_what_it_was_trained_on_has_no_data_of_its_own(folder, tmp_path):
    network = classifier(["blue", "red"], tmp_path)
    with pytest.raises(ValueError, match=r"weights\.safetensors does not say which data .*; name them with --data"):
        HeldOut.open(None, network)
    assert len(HeldOut.open(str(folder), network)) == 18


def test_data_without_held_out_pictures_are_refused(tmp_path, monkeypatch):
    nothing = ArrayDataset(np.zeros((0, 8, 8), np.uint8), np.zeros(0, np.int64), ["blue", "red"])
    monkeypatch.setattr("npalexnet.held_out.open_data", lambda *_, **__: Data("an empty file", nothing, nothing, True))
    with pytest.raises(ValueError, match="the data an empty file holds no held-out images"):
        HeldOut.open("any", classifier(["blue", "red"], tmp_path))


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
