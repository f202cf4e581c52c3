import json

import numpy as np
import pytest
from PIL import Image

import npalexnet as na
from npalexnet.data.datasets import ArrayDataset
from npalexnet.data.pipeline import Pipeline
from npalexnet.data.sample import CLASSES
from npalexnet.data.sources import Data
from npalexnet.data.transforms import Normalize, ResizeCenterCrop
from npalexnet.inference.classifier import Classifier
from npalexnet.inference.validation import ValidationSet

COLOURS = {"blue": (0, 0, 255), "green": (0, 255, 0), "red": (255, 0, 0)}
AS_IT_IS = Pipeline([ResizeCenterCrop(227), Normalize((0.0,) * 3, (1.0,) * 3)])
pytestmark = pytest.mark.usefixtures("narrow")


def classifier(classes, tmp_path, options=None):
    model = na.AlexNet(len(classes)).eval()
    return Classifier(
        tmp_path / "weights.safetensors",
        model,
        list(classes),
        AS_IT_IS,
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


def test_labels_are_numbered_as_the_networks_classes_though_the_data_have_fewer(folder, tmp_path):
    validation = ValidationSet.open(str(folder), classifier(["red", "green", "blue"], tmp_path))
    np.testing.assert_array_equal(validation.labels, [2] * 9 + [0] * 9)  # of the data, blue is the first
    assert len(validation) == 18
    assert validation.picture(0).getpixel((0, 0)) == COLOURS["blue"]
    assert validation.dataset.classes == ("red", "green", "blue")
    assert [validation.dataset[i][1] for i in (0, 17)] == [2, 0]


def test_a_loader_gives_what_the_network_takes_with_its_labels(folder, tmp_path):
    validation = ValidationSet.open(str(folder), classifier(["red", "green", "blue"], tmp_path))
    (first, labels), (last, last_labels) = validation.loader().epoch(0)
    assert (first.shape, last.shape) == ((16, 3, 227, 227), (2, 3, 227, 227))
    assert np.concatenate([labels, last_labels]).tolist() == [2] * 9 + [0] * 9
    for image, label in zip([*first, *last], [2] * 9 + [0] * 9, strict=True):
        assert image[:, 100, 100].tolist() == [label == 0, 0, label == 2]
    np.testing.assert_array_equal(last[1], validation[17])
    images, labels = next(validation.sample(1).loader(ten_crop=True).epoch(0))
    assert images.shape == (1, 10, 3, 227, 227)


def test_a_sample_is_drawn_from_all_and_keeps_labels_with_their_pictures(folder, tmp_path):
    validation = ValidationSet.open(str(folder), classifier(["red", "green", "blue"], tmp_path))
    assert validation.sample(18) is validation
    drawn = validation.sample(9)
    assert len(drawn) == len(drawn.dataset) == 9
    assert set(drawn.labels.tolist()) == {0, 2}  # the first nine are all blue, the last nine red
    places = [names(validation).index(name) for name in names(drawn)]
    assert places == sorted(set(places))
    for i, label in enumerate(drawn.labels):
        assert drawn.picture(i).getpixel((0, 0)) == COLOURS["blue" if label == 2 else "red"]


def test_data_with_a_class_that_the_network_does_not_know_are_refused(folder, tmp_path):
    with pytest.raises(ValueError, match=r"classes that the network in .* doesn't know: 'blue'; its classes are 'red'"):
        ValidationSet.open(str(folder), classifier(["red", "green"], tmp_path))


def test_a_class_in_another_unicode_form_is_the_networks(folder, tmp_path):
    composed, decomposed = "caf\N{LATIN SMALL LETTER E WITH ACUTE}", "cafe\N{COMBINING ACUTE ACCENT}"
    for part in ("train", "val"):
        (folder / part / "blue").rename(folder / part / decomposed)
    validation = ValidationSet.open(str(folder), classifier(["green", composed, "red"], tmp_path))
    assert validation.labels.tolist() == [1] * 9 + [2] * 9


def test_listed_pictures_that_are_none_of_the_runs_are_all_evaluated(folder, tmp_path):
    (tmp_path / "split.json").write_text(json.dumps({"train": ["a/1.png"], "val": ["a/2.png"]}))
    (folder / "some.csv").write_text("name,class\nval/red/3.png,red\nval/red/5.png,red\nval/blue/4.png,blue\n")
    for spec in (None, str(folder)):
        network = classifier(["blue", "red"], tmp_path)
        validation = ValidationSet.open(spec, network, labels=str(folder / "some.csv"))
        assert validation.labels.tolist() == [1, 1, 0]
        assert names(validation)[0].endswith("val/red/3.png")


def test_without_a_name_the_runs_own_data_are_opened(folder, tmp_path):
    own = ValidationSet.open(None, classifier(["blue", "red"], tmp_path, {"data": str(folder), "seed": 3}))
    assert len(own) == 18
    assert own.notes == [
        f"Found train/ and val/ in {folder}: 4 pictures of 2 classes to train on, 18 pictures of val/ held out for "
        "validation"
    ]
    sample = ValidationSet.open(None, classifier(CLASSES, tmp_path, {"seed": 3}))
    assert (len(sample), sample.notes) == (500, [])
    assert sample.grey


def test_of_the_runs_own_data_those_are_opened_that_it_was_told_to_take(folder, tmp_path):
    options = {"data": str(folder), "seed": 3, "test_images": 4}
    network = classifier(["blue", "red"], tmp_path, options)
    own = ValidationSet.open(None, network)
    rows = [("blue", 0), ("blue", 4), ("red", 0), ("red", 4)]  # 0, 18/4, 36/4 and 54/4, rounded down, of nine and nine
    assert names(own) == [str(folder / "val" / name / f"{i}.png") for name, i in rows]
    assert own.labels.tolist() == [0, 0, 1, 1]
    assert own.notes[1:] == [
        f"4 of the 18 validation images, as in the run's --validation-images; all are evaluated with --data {folder}"
    ]
    named = ValidationSet.open(str(folder), network)
    assert (len(named), len(named.notes)) == (18, 1)
    for count in (18, 19, None, "4", True, 0, -1):  # no fewer than there are; and what no run has
        options["test_images"] = count
        own = ValidationSet.open(None, network)
        assert (len(own), len(own.notes)) == (18, 1), count


def test_the_sample_of_which_a_run_took_a_part_can_be_named(tmp_path):
    network = classifier(CLASSES, tmp_path, {"test_images": 7})
    own = ValidationSet.open(None, network)
    assert (len(own), own.notes[0].rpartition(" with ")[2]) == (7, "--data sample")
    assert len(ValidationSet.open("sample", network)) == 500


def test_a_run_that_does_not_say_what_it_was_trained_on_has_no_data_of_its_own(folder, tmp_path):
    network = classifier(["blue", "red"], tmp_path)
    with pytest.raises(ValueError, match=r"weights\.safetensors does not say which data .*; name them with --data"):
        ValidationSet.open(None, network)
    assert len(ValidationSet.open(str(folder), network)) == 18


def test_data_without_validation_pictures_are_refused(tmp_path, monkeypatch):
    nothing = ArrayDataset(np.zeros((0, 8, 8), np.uint8), np.zeros(0, np.int64), ["blue", "red"])
    monkeypatch.setattr(
        "npalexnet.inference.validation.open_data", lambda *_, **__: Data("an empty file", nothing, nothing, True)
    )
    with pytest.raises(ValueError, match="the data an empty file have no validation images"):
        ValidationSet.open("any", classifier(["blue", "red"], tmp_path))


@pytest.fixture
def drawn_from(folder, tmp_path):
    """A folder without val/, of which the run beside it kept two pictures for validation."""
    (folder / "train").rename(tmp_path / "old")
    (folder / "val").rename(folder / "train")
    names = {name: [f"pictures/train/{name}/{i}.png" for i in range(9)] for name in ("blue", "red")}
    val = [names["blue"].pop(4), names["red"].pop(7)]
    (tmp_path / "split.json").write_text(json.dumps({"train": [*names["blue"], *names["red"]], "val": val}))
    return folder


def names(validation):
    return [validation.dataset.name(i) for i in range(len(validation))]


@pytest.mark.parametrize("about", ["of a command", "of a library"])
@pytest.mark.parametrize("place", ["where it was", "moved", "linked"])
def test_a_runs_validation_pictures_are_found_wherever_they_lie_though_some_were_added(
    drawn_from, tmp_path, about, place
):
    options = {"data": str(drawn_from), "seed": 3} if about == "of a command" else None
    where = drawn_from if place == "where it was" else tmp_path / "elsewhere"
    if place == "moved":
        drawn_from.rename(where)
    elif place == "linked":
        where.symlink_to(drawn_from)
    Image.new("RGB", (8, 8)).save(where / "train" / "blue" / "0-added.png")
    (where / "train" / "red" / "0.png").unlink()  # one that was trained on
    validation = ValidationSet.open(str(where), classifier(["blue", "red"], tmp_path, options))
    assert names(validation) == [f"{where}/train/blue/4.png", f"{where}/train/red/7.png"]
    assert validation.notes[2:] == [f"1 picture of {where}/train left out: the run's split does not name them"]


def test_without_all_of_a_runs_validation_pictures_nothing_is_evaluated(drawn_from, tmp_path):
    (drawn_from / "train" / "red" / "7.png").unlink()
    with pytest.raises(
        ValueError, match=r"lacks 1 of the pictures that the run's split names, the first is red/7\.png"
    ):
        ValidationSet.open(str(drawn_from), classifier(["blue", "red"], tmp_path))


def test_where_no_split_is_known_a_note_says_that_pictures_may_have_been_trained_on(drawn_from, tmp_path):
    (tmp_path / "copied").mkdir()
    network = classifier(["blue", "red"], tmp_path / "copied", {"data": str(drawn_from), "seed": 5})
    for spec in (None, str(drawn_from)):
        validation = ValidationSet.open(spec, network)
        _, first, warning = validation.notes
        assert "2 pictures of train/ were chosen at random for validation" in first
        assert "with seed 5" in first  # the run's: its own draw, if the pictures are the same
        assert warning == (
            f"these pictures may have been trained on: there is no split.json beside {network.path} to say which ones "
            "its run kept for validation"
        )
    seeds = [names(ValidationSet.open(str(drawn_from), classifier(["blue", "red"], tmp_path / "copied", options)))
             for options in ({"seed": 5}, {"seed": 0}, None)]  # fmt: skip
    assert seeds[0] != seeds[1] == seeds[2]


def test_other_data_are_split_alike_for_each_run_and_said_to_be_others(drawn_from, tmp_path):
    for name in ("blue", "red"):
        for i in range(9):
            path = drawn_from / "train" / name / f"{i}.png"
            path.rename(path.with_name(f"other-{i}.png"))
    found = [
        ValidationSet.open(str(drawn_from), classifier(["blue", "red"], tmp_path, options))
        for options in ({"seed": 5}, {"seed": 0}, None)
    ]
    assert names(found[0]) == names(found[1]) == names(found[2])
    assert len(found[0]) == 2
    assert "these are other data" in found[0].notes[1]
    assert not any("may have been trained on" in note for note in found[0].notes)


def test_the_users_own_val_folder_is_used_whatever_the_runs_split(folder, tmp_path):
    (tmp_path / "split.json").write_text(json.dumps({"train": ["train/blue/0.png"], "val": ["train/red/0.png"]}))
    validation = ValidationSet.open(str(folder), classifier(["blue", "red"], tmp_path))
    assert len(validation) == 18
    assert all("Found train/ and val/" in note for note in validation.notes)


@pytest.fixture
def brightness(tmp_path):
    """Classifies what is brighter than a half as "bright", by the pixel in the middle."""
    model = na.Sequential(na.Flatten(), na.Linear(3 * 227 * 227, 2, seed=0)).eval()
    state = {name: np.zeros_like(values) for name, values in model.state_dict().items()}
    state["1.weight"][1, 227 * 113 + 113] = 4
    state["1.bias"][1] = -2
    model.load_state_dict(state)
    return Classifier(tmp_path / "weights.safetensors", model, ["dark", "bright"], AS_IT_IS, {})


def grey(levels, labels):
    images = np.tile(np.array(levels, np.uint8)[:, None, None], (1, 4, 4))
    return ArrayDataset(images, np.array(labels), ["dark", "bright"])


def test_metrics_are_of_what_the_network_predicts_for_each_picture_in_order(brightness):
    levels, labels = [0, 255, 51, 255] + [0] * 15, [0, 1, 1, 0] + [0] * 15
    seen = []
    validation = ValidationSet("grey", grey(levels, labels), brightness)
    metrics = validation.compute_metrics(watch=seen.append)
    np.testing.assert_array_equal(metrics.confusion, [[16, 1], [1, 1]])
    bright = 4 * np.array(levels) / 255 - 2
    probabilities = np.stack([1 / (1 + np.exp(bright)), 1 / (1 + np.exp(-bright))], axis=1)
    assert [found.shape for found in seen] == [(16, 2), (3, 2)]
    np.testing.assert_allclose(np.exp(np.concatenate(seen)), probabilities, rtol=1e-5)
    assert metrics.loss == pytest.approx(-np.log(probabilities[range(19), labels]).mean(), rel=1e-5)


def test_ten_crops_are_averaged(brightness):
    """The white dot is in the middle of the first crop and of its mirror image, but of no other one."""
    images = np.zeros((1, 256, 256), np.uint8)
    images[0, 113, 113] = 255
    validation = ValidationSet("dot", ArrayDataset(images, np.array([1]), ["dark", "bright"]), brightness)
    probability = (2 / (1 + np.exp(-2)) + 8 / (1 + np.exp(2))) / 10
    assert validation.compute_metrics(ten_crop=True).loss == pytest.approx(-np.log(probability), rel=1e-5)


def test_outputs_that_are_not_finite_are_refused(brightness):
    state = brightness.model.state_dict()
    brightness.model.load_state_dict({**state, "1.bias": np.full(2, np.nan, np.float32)})
    validation = ValidationSet("grey", grey([0, 255], [0, 1]), brightness)
    seen = []
    with pytest.raises(
        ValueError, match=r"the weights in .*weights\.safetensors are not finite: they come from training"
    ):
        validation.compute_metrics(watch=seen.append)
    assert seen == []
