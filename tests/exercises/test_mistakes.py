"""Mistakes planted in right solutions: each is found, and named by the right hint."""

import pytest

from npalexnet.exercises.reader import WRONG
from tests.exercises.mistakes import MISTAKES
from tests.exercises.readers_folder import text_of, verdict_on_text


@pytest.mark.parametrize(("name", "way", "old", "new", "hint"), MISTAKES)
def test_a_planted_mistake_is_found_and_named(tmp_path, name, way, old, new, hint):
    text = text_of(name, way)
    assert old in text
    verdict = verdict_on_text(tmp_path / "reader", name, text.replace(old, new), way)
    assert verdict.state == WRONG
    assert hint in verdict.hint, (verdict.message, verdict.hint)
    assert len(hint) > 5
