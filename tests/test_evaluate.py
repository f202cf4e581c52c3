import numpy as np
import pytest

from npalexnet.evaluate import Evaluation, per_class

SHARES = np.array(
    [
        [0.5, 0.1, 0.1, 0.1, 0.1, 0.1],
        [0.3, 0.2, 0.2, 0.1, 0.1, 0.1],
        [0.0, 0.2, 0.2, 0.2, 0.2, 0.2],
        [0.1, 0.1, 0.1, 0.1, 0.1, 0.5],
    ]
)
LABELS = np.array([0, 2, 0, 5])


@pytest.fixture
def found():
    with np.errstate(divide="ignore"):
        return Evaluation(np.log(SHARES), LABELS)


def test_loss_and_shares_right_are_those_counted_by_hand(found):
    assert Evaluation(np.log(SHARES[[0, 1, 3]]), LABELS[[0, 1, 3]]).loss == pytest.approx(
        -(2 * np.log(0.5) + np.log(0.2)) / 3
    )
    assert found.top(1) == 2 / 4
    assert found.top(3) == 3 / 4
    assert found.top(5) == 3 / 4
    assert found.top(100) == 1


def test_the_first_of_equal_shares_comes_first():
    found = Evaluation(np.log(np.full((6, 6), 1 / 6)), np.arange(6))
    assert [found.top(k) for k in range(1, 7)] == pytest.approx([k / 6 for k in range(1, 7)])


def test_the_confusion_matrix_counts_true_classes_in_rows(found):
    expected = np.zeros((6, 6), int)
    expected[0, 0] = expected[2, 0] = expected[0, 1] = expected[5, 5] = 1
    np.testing.assert_array_equal(found.confusion(), expected)


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
