"""Checks of arguments: what passes, and what the errors say."""

import numpy as np
import pytest

from npalexnet.checks import integer, number, pair


def test_what_is_right_becomes_pythons_own():
    assert [type(value) for value in (integer("n", np.int64(3), 1), number("x", np.float32(0.5)), number("x", 1))] == [
        int,
        float,
        float,
    ]
    assert pair("k", 3, 1) == pair("k", [3, np.int8(3)], 1) == (3, 3)


@pytest.mark.parametrize(
    ("check", "error", "message"),
    [
        (lambda: integer("n", True, 0), TypeError, "n must be an int, got True"),
        (lambda: integer("n", 2.0, 0), TypeError, "n must be an int, got 2.0"),
        (lambda: integer("n", 0, 1), ValueError, "n must be at least 1, got 0"),
        (lambda: number("x", False), TypeError, "x must be a number, got False"),
        (lambda: number("x", "1"), TypeError, "x must be a number, got '1'"),
        (
            lambda: number("x", 10**400),
            ValueError,
            "x must be a number that a float can hold, got one beyond all of them",
        ),
        (lambda: pair("k", (1, 2, 3), 1), ValueError, r"k must be an int or a pair of ints, got \(1, 2, 3\)"),
        (lambda: pair("k", None, 1), TypeError, "k must be an int or a pair of ints, got None"),
        (lambda: pair("k", (1, 0), 1), ValueError, "k must be at least 1, got 0"),
        (lambda: pair("k", (1, 2.5), 1), TypeError, "k must be an int, got 2.5"),
    ],
)
def test_what_is_wrong_is_named(check, error, message):
    with pytest.raises(error, match=f"^{message}$"):
        check()
