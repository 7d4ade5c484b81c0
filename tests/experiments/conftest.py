"""One standard run and one short run, shared by the tests of the pipeline."""

from __future__ import annotations

import pytest

from kuzbass.experiments.results import RunResults
from kuzbass.experiments.run import run_scenarios


@pytest.fixture(scope="session")
def results() -> RunResults:
    """All shipped scenarios on the standard axis."""
    return run_scenarios()


@pytest.fixture(scope="session")
def short() -> RunResults:
    """One scenario without the baseline, to 2004, on a coarse step."""
    return run_scenarios(["s1-coal-paradigm"], time_step=0.125, until=2004)
