import re

import numpy as np
import pytest

from npalexnet.data import ArrayDataset, Subset

IMAGES = np.arange(5 * 4 * 3, dtype=np.uint8).reshape(5, 4, 3)


def test_an_array_dataset_gives_pictures_labels_and_names():
    dataset = ArrayDataset(IMAGES, np.array([0, 1, 1, 0, 1], np.uint8), ["a", "b"])
    picture, label = dataset[2]
    np.testing.assert_array_equal(picture, IMAGES[2])
    assert (label, type(label), len(dataset), dataset.classes) == (1, int, 5, ("a", "b"))
    assert dataset.labels.dtype == np.int64
    assert dataset.name(2) == "image 2"


@pytest.mark.parametrize(
    ("images", "labels", "message"),
    [
        (IMAGES.astype(float), [0] * 5, r"images must be uint8 .* got float64 of shape \(5, 4, 3\)"),
        (IMAGES[..., None], [0] * 5, r"images must be uint8 .* got uint8 of shape \(5, 4, 3, 1\)"),
        (IMAGES, [0] * 4, r"labels must be 5 integers, one an image, got int64 of shape \(4,\)"),
        (IMAGES, [0.0] * 5, "labels must be 5 integers"),
        (IMAGES, [0, 1, 2, 1, 0], "labels must be from 0 to 1, for 2 classes; image 2 has the label 2"),
        (IMAGES, [0, 1, 0, -1, 0], "image 3 has the label -1"),
    ],
)
def test_arrays_that_do_not_fit_together_are_refused(images, labels, message):
    with pytest.raises(ValueError, match=message):
        ArrayDataset(images, np.array(labels), ["a", "b"])


def test_a_subset_renumbers_pictures_and_keeps_their_names():
    dataset = Subset(ArrayDataset(IMAGES, np.array([0, 1, 1, 0, 1]), ["a", "b"]), [4, 0])
    np.testing.assert_array_equal(dataset[0][0], IMAGES[4])
    assert (dataset[0][1], dataset[1][1], len(dataset), dataset.name(0)) == (1, 0, 2, "image 4")
    np.testing.assert_array_equal(dataset.labels, [1, 0])


def test_a_subset_of_a_subset_is_one_of_the_whole_data_set():
    whole = ArrayDataset(IMAGES, np.array([0, 1, 1, 0, 1]), ["a", "b"])
    inner = Subset(whole, [4, 0, 2])
    dataset = Subset(inner, [2, 0])
    assert dataset.dataset is inner.dataset is whole
    assert [dataset.name(i) for i in range(2)] == ["image 2", "image 4"]
    np.testing.assert_array_equal(dataset[1][0], IMAGES[4])
    np.testing.assert_array_equal(dataset.labels, [1, 1])
    with pytest.raises(ValueError, match="indices must be a list of numbers from 0 to 2"):
        Subset(inner, [3])


@pytest.mark.parametrize("indices", [[5], [-1], [[0, 1]]])
def test_a_subset_of_pictures_that_are_not_there_is_refused(indices):
    with pytest.raises(ValueError, match="indices must be a list of numbers from 0 to 4"):
        Subset(ArrayDataset(IMAGES, np.zeros(5, np.int64), ["a"]), indices)


@pytest.mark.parametrize(
    ("indices", "error", "message"),
    [
        ([True, False, True, False, True], ValueError, "got bool of shape (5,): a mask's are numpy.flatnonzero(mask)"),
        ([0.5, 1.7], ValueError, "got float64 of shape (2,)"),
        (["1", "2"], ValueError, "got <U1 of shape (2,)"),
        (np.ma.masked_array([0, 1], [False, True]), TypeError, "a masked array, whose mask would be ignored"),
        (1, TypeError, "got 1"),
        ([2, 7], ValueError, "got 7"),
    ],
)
def test_what_are_no_indices_is_refused_and_never_taken_for_others(indices, error, message):
    dataset = ArrayDataset(IMAGES, [0, 1, 1, 0, 1], ["a", "b"])
    with pytest.raises(error, match=f"^indices .*{re.escape(message)}"):
        Subset(dataset, indices)
    assert len(Subset(dataset, [])) == 0
    np.testing.assert_array_equal(Subset(dataset, (i for i in (3, 1))).indices, [3, 1])


def test_lists_are_taken():
    dataset = ArrayDataset(list(IMAGES), [0, 1, 1, 0, 1], ["a", "b"])
    np.testing.assert_array_equal(dataset[2][0], IMAGES[2])
    np.testing.assert_array_equal(dataset.labels, [0, 1, 1, 0, 1])
    assert (dataset.labels.dtype, dataset[1][1]) == (np.int64, 1)


@pytest.mark.parametrize(
    ("images", "labels", "error", "message"),
    [
        ("folder", [0] * 5, TypeError, "images must be a NumPy array or a list, got str"),
        (IMAGES, "01101", TypeError, "labels must be a NumPy array or a list, got str"),
        (IMAGES, [0, 1, 0, 1], ValueError, "labels must be 5 integers, one an image, got int64 of shape (4,)"),
        (IMAGES, list("01101"), ValueError, "labels must be 5 integers, one an image, got <U1 of shape (5,)"),
        ([IMAGES[0], IMAGES[1, :3]], [0, 1], ValueError, "images must be all of one shape: "),
        (IMAGES, [[0], [0, 1]], ValueError, "labels must be all of one shape: "),
        (np.ma.masked_array(IMAGES), [0] * 5, TypeError, "images is a masked array, whose mask would be ignored: fill"),
        (IMAGES, np.ma.masked_array([0] * 5), TypeError, "labels is a masked array, whose mask would be ignored: fill"),
        (
            [np.ma.masked_array(image) for image in IMAGES],
            [0] * 5,
            TypeError,
            "images holds a masked array, whose mask",
        ),
        (IMAGES, [0, 1, np.ma.masked, 0, 1], TypeError, "labels holds a masked array, whose mask would be ignored"),
    ],
    ids=str,
)
def test_what_is_no_array_of_pictures_or_labels_is_refused(images, labels, error, message):
    with pytest.raises(error, match=f"^{re.escape(message)}"):
        ArrayDataset(images, labels, ["a", "b"])


@pytest.mark.parametrize("classes", ["ab", None, 2, [0, 1]])
def test_classes_are_a_list_of_names(classes):
    with pytest.raises(TypeError, match=r"^classes must be (a list of names|texts), got "):
        ArrayDataset(IMAGES, [0, 1, 1, 0, 1], classes)
