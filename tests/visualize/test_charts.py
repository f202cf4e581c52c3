import re

import numpy as np

from npalexnet.visualize.charts import BOTTOM, HEIGHT, LEFT, MOST_POINTS, RIGHT, TOP, WIDTH, Line, chart
from tests.pages import Checker


def points(document, kind):
    path = re.search(rf"class='{kind}' d='([^']*)'", document)[1]
    return [(command, float(x), float(y)) for command, x, y in re.findall(r"([ML])([\d.]+) ([\d.]+)", path)]


def line(kind, x, y):
    return Line(kind, np.array(x, float), np.array(y, float))


def test_a_line_goes_from_corner_to_corner_and_stops_at_gaps():
    drawing = chart("Loss", "images", [line("training", [0, 50, 75, 100], [0, 2, np.nan, 4])], 4, None)
    middle = (LEFT + WIDTH - RIGHT) / 2, (TOP + HEIGHT - BOTTOM) / 2
    assert points(drawing, "training") == [
        ("M", LEFT, HEIGHT - BOTTOM), ("L", *middle), ("M", WIDTH - RIGHT, TOP)
    ]  # fmt: skip


def test_words_and_numbers_are_text_and_the_kept_place_is_marked():
    drawing = chart("<Loss>", "images", [line("validation", [0, 1000], [1, 3])], 4, (500, "kept: epoch 2"))
    checker = Checker(drawing)
    assert checker.open == []
    assert {"<Loss>", "images", "kept: epoch 2", "0", "4", "1,000"} <= set(checker.texts)
    assert f"class='mark' d='M{(LEFT + WIDTH - RIGHT) / 2:.1f} " in drawing
    assert drawing.count("<circle") == 2


def test_long_runs_make_no_large_page_and_empty_ones_no_error():
    many = np.arange(100_000.0)
    assert len(points(chart("", "", [line("faint", many, many)], 1e5, None), "faint")) <= MOST_POINTS
    assert "<svg" in chart("", "", [line("faint", [], [])], np.nan, None)
