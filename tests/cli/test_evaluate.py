import numpy as np

from npalexnet.cli.evaluate import per_class


def test_the_table_has_each_classs_accuracy_and_what_it_is_confused_with():
    table = per_class(np.array([[5, 1, 3, 2], [0, 0, 0, 0], [0, 0, 4, 0], [1, 1, 0, 6]]), ["cat", "dog", "cow", "hen"])
    header, _, *rows = [[cell.strip() for cell in line.split("  ") if cell.strip()] for line in table.splitlines()]
    assert header == ["class", "most often confused with", "images", "correct", "accuracy (%)"]
    assert rows == [
        ["cat", "cow (3), hen (2)", "11", "5", "45.5"],
        ["dog", "-", "0", "0", "-"],
        ["cow", "-", "4", "4", "100.0"],
        ["hen", "cat (1), dog (1)", "8", "6", "75.0"],
    ]
