"""Figures are left blank, but for tests that ask for `drawn`: drawing takes most of a small run's time."""

import pytest


@pytest.fixture(autouse=True)
def _blank(blank_figures):
    pass
