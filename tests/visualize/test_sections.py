import re

import numpy as np

from npalexnet.visualize import sections
from npalexnet.visualize.activations import responses
from tests.pages import Checker
from tests.visualize.test_images import edge_network


def read(document):
    checker = Checker(document)
    assert checker.open == []
    return checker


def test_an_answer_is_the_picture_the_probabilities_and_the_heat_map():
    decreases = np.zeros((3, 3))
    decreases[1, 1], decreases[0, 0] = 0.25, -0.5
    picture, found = np.zeros((20, 20, 3), np.uint8), np.array([0.125, 0.875])
    checker = read(sections.answer(picture, "cat/1.png", found, ["cat", "dog"], 0, decreases))
    assert checker.tags.count("img") == 2
    assert [words for words in checker.texts if "%" in words] == ["dog, 87.5 %", "87.5 %", "12.5 %"]
    assert {"cat/1.png", "Evidence for cat", "-50", "+50 points"} <= set(checker.texts)


def test_an_answer_that_no_square_changes_has_no_scale():
    picture, found = np.zeros((20, 20, 3), np.uint8), np.array([0.125, 0.875])
    checker = read(sections.answer(picture, "cat/1.png", found, ["cat", "dog"], 0, np.zeros((3, 3))))
    assert "It changes nothing." in checker.texts
    assert not [words for words in checker.texts if words.endswith("points")]


def test_mistakes_come_from_the_most_confident_down_and_their_absence_is_said():
    probabilities = np.array([[0.7, 0.3], [0.4, 0.6], [0.1, 0.9], [0.2, 0.8]])
    pictures = [np.zeros((4, 4, 3), np.uint8)] * 4
    labels = np.array([0, 0, 0, 1])
    checker = read(sections.mistakes(pictures.__getitem__, labels, probabilities, ["cat", "dog"]))
    assert checker.texts == [
        "All 2 mistakes among 4 images.", "taken for dog", "90 %; it is cat", "taken for dog", "60 %; it is cat"
    ]  # fmt: skip
    none = sections.mistakes(pictures.__getitem__, np.array([0, 1, 1, 1]), probabilities, ["cat", "dog"])
    assert read(none).texts == ["None among 4 images."]


def test_a_channel_is_shown_with_what_it_sees_and_images_of_zeros_are_left_out():
    images = np.zeros((3, 3, 8, 8), np.float32)
    images[1, 0, 4, 6], images[2, 0, 0, 0] = 5, 7
    found = responses(edge_network(), images, ["1"])["1"]
    pictures, names = [np.zeros((8, 8, 3), np.uint8)] * 3, ["a", "b", "c"]
    document = sections.excites(edge_network(), images, ("1", 1), names, pictures.__getitem__, found)
    assert read(document).texts == ["c", "7.00", "b", "5.00"]
    frames = re.findall(r"left:([\d.]+)%;top:([\d.]+)%;width:([\d.]+)%;height:([\d.]+)%", document)
    assert [[float(part) for part in frame] for frame in frames] == [
        [0, 0, 25, 25],  # columns and rows 0 and 1: row -1 is padding
        [62.5, 37.5, 37.5, 37.5],  # columns 5 to 7, rows 3 to 5
    ]
    nothing = sections.excites(edge_network(), images, ("1", 0), names, pictures.__getitem__, found)
    assert read(nothing).texts == ["It is 0 in all 3 images."]


def test_channels_of_zeros_are_left_out_of_a_layer():
    values = np.zeros((30, 2, 2), np.float32)
    values[4, 0, 1], values[9, 1, 1] = 1, 2
    note, document = sections.layer(values, "convolution 1")
    assert note == "2 x 2; 2 of 30 channels are not 0 in this picture"
    assert read(document).texts == ["channel 9", "2.00", "channel 4", "1.00"]
    assert "alt='convolution 1, channel 9'" in document
    note, document = sections.layer(values + 1, "convolution 1")
    assert note.endswith("30 of 30 channels are not 0 in this picture, the 24 strongest are shown")
    assert document.count("<img") == 24


def test_a_linear_layer_is_an_image_or_bars():
    note, document = sections.layer(np.array([0, 1, 2], np.float32), "linear layer 1")
    assert note == "3 units, row by row; 2 are not 0"
    assert document.count("<img") == 1
    note, document = sections.layer(np.array([1, -4, 2], np.float32), "linear layer 3", ["a", "b", "c"])
    assert (note, read(document).texts) == ("all outputs", ["c", "2.00", "a", "1.00", "b", "-4.00"])


def test_confusion_has_counts_and_percent_of_the_row_and_names_the_worst_pairs():
    checker = read(sections.confusion(np.array([[3, 1, 0], [0, 0, 0], [0, 2, 6]]), ["cat", "dog", "<cow>"]))
    cells = [words for words in checker.texts if re.fullmatch(r"\d+( %)?", words)]
    assert cells == ["3", "75 %", "1", "25 %", "2", "25 %", "6", "75 %"]
    pairs = [words for words in checker.texts if "taken for" in words or ("of " in words and "(" in words)]
    assert pairs == ["<cow>, taken for dog", "2 of 8 (25 %)", "cat, taken for dog", "1 of 4 (25 %)"]


def test_confusion_of_many_classes_is_an_image():
    document = sections.confusion(np.eye(1000, dtype=int), [f"{k}" for k in range(1000)])
    checker = read(document)
    assert (checker.tags.count("img"), checker.tags.count("td")) == (1, 0)
    assert "taken for" not in document
    assert len(document) < 100_000


def test_every_filter_is_a_tile():
    weight = np.random.default_rng(0).normal(size=(5, 3, 4, 4))
    assert read(sections.filters(weight, grey=False)).texts == ["0", "1", "2", "3", "4"]
    colours = read(sections.filters(weight, grey=True)).references
    summed = np.repeat(weight.sum(axis=1, keepdims=True), 3, axis=1)
    assert colours == read(sections.filters(summed, grey=False)).references


def test_curves_say_which_weights_were_kept():
    records = [{"step": i, "images": i, "loss": 1 / i, "accuracy": 0.5} for i in (1, 2)]
    tests = [{"step": i, "images": i, "epoch": i, "test_loss": 1.0, "test_accuracy": 0.1 * i} for i in (1, 2)]
    checker = read(sections.curves(records + tests, None))
    assert checker.tags.count("svg") == 2
    assert checker.texts.count("kept: epoch 2") == 2
    assert read(sections.curves(records + tests, 1)).texts.count("kept: epoch 1") == 2
    assert not [words for words in read(sections.curves(records, None)).texts if words.startswith("kept")]
