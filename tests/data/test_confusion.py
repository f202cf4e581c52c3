"""Counts of true and predicted classes beside the whole matrix, and of tens of thousands of classes."""

import csv
import tracemalloc

import numpy as np
import pytest

from npalexnet import visualize
from npalexnet.cli.evaluate import per_class
from npalexnet.data.confusion import Confusion, entries
from npalexnet.training.metrics import MetricsAccumulator, write_confusion


def test_it_is_the_matrix_counted_image_by_image():
    rng = np.random.default_rng(0)
    labels, predicted = rng.integers(0, 7, (2, 300))
    whole = np.zeros((7, 7), np.int64)
    for i, j in zip(labels, predicted, strict=True):
        whole[i, j] += 1
    counted = Confusion(7)
    for start in range(0, 300, 90):
        counted.add(labels[start : start + 90], predicted[start : start + 90])
    np.testing.assert_array_equal(counted, whole)
    assert (counted.sum(), counted.trace(), len(counted), counted.shape) == (300, np.trace(whole), 7, (7, 7))
    np.testing.assert_array_equal(counted[2:4, 1], whole[2:4, 1])
    for found, expected in zip(entries(counted), entries(whole), strict=True):
        np.testing.assert_array_equal(found, expected)


def test_a_copy_stays_as_it_is():
    counted = Confusion(3)
    counted.add(np.array([1]), np.array([2]))
    copied = counted.copy()
    counted.add(np.array([1]), np.array([2]))
    assert (copied[1, 2], counted[1, 2]) == (1, 2)


def test_twenty_thousand_classes_take_no_matrix_of_them(tmp_path):
    K, names = 20_000, [f"class {k}" for k in range(20_000)]
    tracemalloc.start()
    try:
        accumulator = MetricsAccumulator(K)
        for shift in (0, 0, 5):
            labels = np.arange(8) * 2500
            accumulator.add(np.eye(1, K, shift, np.float32) + np.eye(8, K)[:, ::-1], labels)
        metrics = accumulator.metrics()
        write_confusion(tmp_path / "confusion.csv", metrics.confusion, names)
        text = per_class(metrics.confusion, names)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 100e6  # the matrix has 3.2e9 bytes
    with open(tmp_path / "confusion.csv", newline="", encoding="utf-8") as file:
        rows = list(csv.reader(file))
    assert rows[0] == ["true class", "predicted class", "images"]
    assert sum(int(row[2]) for row in rows[1:]) == metrics.images == 24
    assert all(row[0] in names and row[1] in names for row in rows[1:])
    assert text.startswith("The 8 of 20,000 classes with the lowest accuracy:")
    assert len(text.splitlines()) < 20


def test_a_figure_of_many_classes_sums_up_neighbours():
    K = 2500  # three in a row
    matrix = Confusion(K)
    matrix.add(np.array([0, 1, 2, 3, 2499]), np.array([2, 0, 3, 3, 0]))
    axes = visualize.confusion(matrix, [f"{k}" for k in range(K)]).axes[0]
    shown = axes.images[0].get_array()
    assert shown.shape == (834, 834)
    expected = np.zeros((834, 834))
    expected[0, 0], expected[0, 1], expected[1, 1], expected[833, 0] = 200 / 3, 100 / 3, 100, 100
    np.testing.assert_allclose(shown, expected)
    assert axes.images[0].get_extent() == [-0.5, 2501.5, 2501.5, -0.5]
    assert axes.get_xlabel() == "predicted class (its number; 3 in a cell)"
    assert axes.figure.get_suptitle() == "1 of 5 images classified correctly (20.0 %)"


@pytest.mark.parametrize("K", [3, 1000])
def test_a_figure_is_the_same_of_counts_and_of_the_whole_matrix(K):
    counted = Confusion(K)
    counted.add(np.array([0, 1, 2, 2]), np.array([0, 2, 2, 1]))
    names = [f"{k}" for k in range(K)]
    one, other = (visualize.confusion(matrix, names).axes[0] for matrix in (counted, np.asarray(counted)))
    np.testing.assert_array_equal(one.images[0].get_array(), other.images[0].get_array())
    assert [t.get_text() for t in one.texts] == [t.get_text() for t in other.texts]
    assert per_class(counted, names) == per_class(np.asarray(counted), names)
