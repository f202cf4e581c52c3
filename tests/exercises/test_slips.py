"""More mistakes planted in right solutions, each in several ways, and where the dropout of an AlexNet stands."""

import pytest

from npalexnet.exercises.reader import WRONG
from tests.exercises.readers_folder import text_of, verdict_on_text
from tests.exercises.slips import SLIPS


def planted(folder, name, way, replacements):
    text = text_of(name, way)
    for old, new in replacements:
        assert old in text
        text = text.replace(old, new)
    return verdict_on_text(folder / "reader", name, text, way)


@pytest.mark.parametrize(("name", "way", "replacements", "hint"), SLIPS)
def test_a_slip_is_found_and_named(tmp_path, name, way, replacements, hint):
    verdict = planted(tmp_path, name, way, replacements)
    assert verdict.state == WRONG
    assert hint in verdict.hint, (verdict.message, verdict.hint)
    assert len(hint) > 5


FIRST = ("dropout(p5.reshape(len(p5), -1), p, training, rng)", "p5.reshape(len(p5), -1), 1 / (1 - p)")
SECOND = ("dropout(relu(h1), p, training, rng)", "relu(h1), 1 / (1 - p)")
THIRD = ("a7 = relu(h2)", "a7 = dropout(relu(h2), p, training, rng)[0]")


@pytest.mark.parametrize(
    ("replacement", "message"),
    [
        (FIRST, "nothing is dropped before classifier.1"),
        (SECOND, "nothing is dropped before classifier.4"),
        (THIRD, "dropout stands before classifier.6, too"),
    ],
)
def test_a_dropout_that_is_missing_or_too_many_is_named(tmp_path, replacement, message):
    verdict = planted(tmp_path, "alexnet", "loops", [replacement])
    assert verdict.state == WRONG
    assert message in verdict.message


def test_what_the_forward_pass_saved_is_not_printed(tmp_path):
    verdict = planted(tmp_path, "alexnet", "loops", [("grad.reshape(p5.shape)", "grad")])
    assert "ValueError" in verdict.message
    assert "array(" not in verdict.message
    assert len(verdict.message) < 200
