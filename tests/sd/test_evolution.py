"""An evolution strategy finds a known optimum in many dimensions, past runs that fail."""

from __future__ import annotations

import numpy as np
import pytest

from kuzbass.sd.calibration import Parameter, Problem
from kuzbass.sd.evolution import evolve
from kuzbass.sd.likelihood import Likelihood, Series

COUNT = 60


def _problem() -> Problem:
    """Parameters whose prior says all: the data are met by every one of them."""
    means = np.linspace(-1.0, 3.0, COUNT)
    parameters = tuple(Parameter(f"p{place}", -2.0, 4.0, float(mean), 1.0)
                       for place, mean in enumerate(means))

    def simulate(values: np.ndarray) -> np.ndarray:
        paths = np.ones((1, 4, len(values)))
        paths[:, :, values[:, 0] > 0.2] = np.nan
        return paths

    return Problem(parameters, simulate, Likelihood((Series("flat", np.ones(4), "log", 0.1),)))


def test_it_finds_the_optimum() -> None:
    problem = _problem()
    start = problem.points(np.zeros(COUNT))
    found = evolve(problem, start, spread=0.1, population=20, generations=600,
                   rng=np.random.default_rng(1))
    at = problem.values(found.point[None])[0]
    assert at == pytest.approx(np.linspace(-1.0, 3.0, COUNT), abs=0.03)
    assert found.objective == float(problem.objective(found.point[None])[0])
    assert found.runs > 1000


def test_equal_seeds_give_equal_fits_and_leave_the_common_generator_alone() -> None:
    problem, start = _problem(), np.full(COUNT, 0.3)
    state = np.random.get_state()[1].copy()  # noqa: NPY002 - the state that must not move
    first, again = (evolve(problem, start, spread=0.1, population=10, generations=5,
                           rng=np.random.default_rng(4)) for _ in range(2))
    assert first.point == pytest.approx(again.point, abs=0.0)
    assert np.array_equal(state, np.random.get_state()[1])  # noqa: NPY002 - the same
