import pytest

from npalexnet.exercises.catalog import EXERCISES
from npalexnet.exercises.reader import PASSED
from tests.exercises.readers_folder import SOLUTIONS, WAYS, verdict_on


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("name", EXERCISES)
def test_a_right_solution_passes_and_was_held_against_definitions_and_torch(name, way):
    verdict = verdict_on(SOLUTIONS / way, name)
    assert (verdict.state, verdict.hint, verdict.details) == (PASSED, "", ()), verdict.message
    assert "definition" in verdict.message
    assert "torch" in verdict.message
    if "backward" in verdict.message:
        assert "finite differences" in verdict.message
