"""Metrics beside torch's and definitions."""

import csv

import numpy as np
import pytest
import torch

from npalexnet.training.metrics import MetricsAccumulator, write_confusion
from tests.support import normal


def counted(logits, labels, batch):
    accumulator = MetricsAccumulator(logits.shape[1])
    for start in range(0, len(labels), batch):
        accumulator.add(logits[start : start + batch], labels[start : start + batch])
    return accumulator.metrics()


def test_loss_and_accuracies_are_torchs_however_the_batches_are_cut():
    logits, labels = normal((53, 12), "float32"), np.random.default_rng(1).integers(12, size=53)
    theirs, targets = torch.from_numpy(logits), torch.from_numpy(labels)
    for batch in (53, 10):
        metrics = counted(logits, labels, batch)
        assert metrics.loss == pytest.approx(torch.nn.functional.cross_entropy(theirs.double(), targets).item())
        assert metrics.top1 == pytest.approx((theirs.argmax(1) == targets).double().mean().item())
        correct = (theirs.topk(5).indices == targets[:, None]).any(dim=1)
        assert metrics.top5 == pytest.approx(correct.double().mean().item())


def test_the_confusion_matrix_by_hand():
    logits = np.eye(3)[[0, 1, 1, 2, 0]]
    metrics = counted(logits, np.array([0, 0, 1, 1, 0]), 2)
    np.testing.assert_array_equal(metrics.confusion, [[2, 1, 0], [0, 1, 1], [0, 0, 0]])
    assert (metrics.images, metrics.top1, metrics.top5) == (5, 0.6, 1.0)


def test_of_equal_logits_the_first_five_count():
    metrics = counted(np.zeros((7, 7)), np.arange(7), 7)
    assert (metrics.top1, metrics.top5) == (1 / 7, 5 / 7)
    assert metrics.loss == pytest.approx(np.log(7))


def test_answers_that_are_no_numbers_are_not_correct_and_the_loss_tells():
    metrics = counted(np.array([[0.0, np.nan], [1.0, 0.0]]), np.array([1, 0]), 2)
    assert np.isnan(metrics.loss)
    assert metrics.top5 == 0.5


@pytest.mark.parametrize(
    ("logits", "labels", "message"),
    [
        (np.zeros((2, 3)), np.zeros(2, int), r"expected logits \(N, 4\) and labels \(N,\), got \(2, 3\) and \(2,\)"),
        (np.zeros((2, 4)), np.zeros(3, int), r"got \(2, 4\) and \(3,\)"),
        (np.zeros((2, 4)), np.array([0, 4]), "labels must be from 0 to 3, got 4"),
        (np.zeros((2, 4)), np.array([0, -1]), "labels must be from 0 to 3, got -1"),
    ],
)
def test_what_does_not_fit_is_refused_and_nothing_is_added(logits, labels, message):
    accumulator = MetricsAccumulator(4)
    with pytest.raises(ValueError, match=message):
        accumulator.add(logits, labels)
    with pytest.raises(ValueError, match="there are no images to compute metrics of"):
        accumulator.metrics()


@pytest.mark.parametrize(
    ("classes", "cells"),
    [
        (["T-shirt, grey", 'a "quote"'], ["T-shirt, grey", 'a "quote"']),
        (["=SUM(A1)", "-x"], ["'=SUM(A1)", "'-x"]),  # which a spreadsheet would compute
    ],
)
def test_a_confusion_matrix_is_written_as_csv(tmp_path, classes, cells):
    write_confusion(tmp_path / "c.csv", np.array([[3, 1], [0, 2]]), classes)
    with open(tmp_path / "c.csv", newline="") as file:
        assert list(csv.reader(file)) == [["true class", *cells], [cells[0], "3", "1"], [cells[1], "0", "2"]]


def test_a_name_with_a_semicolon_stays_one_cell_where_spreadsheets_part_at_it(tmp_path):
    write_confusion(tmp_path / "c.csv", np.array([[3, 1], [0, 2]]), ["a;=1+1", "b"])
    assert (tmp_path / "c.csv").read_text().splitlines() == ['"true class","a;=1+1","b"', '"a;=1+1",3,1', '"b",0,2']
