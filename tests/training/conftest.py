"""Figures are left blank: drawing them takes most of a small run's time. Those of test_run.py are looked at."""

import pytest

from tests.fakes.figures import leave_blank


@pytest.fixture
def drawn():
    """Asked for by tests for which matplotlib draws."""


@pytest.fixture(autouse=True)
def blank_figures(request):
    with pytest.MonkeyPatch.context() as patch:
        if "drawn" not in request.fixturenames:
            leave_blank(patch.setattr)
        yield
