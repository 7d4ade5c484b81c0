"""Estimation on problems whose answers are known."""

from __future__ import annotations

import numpy as np
import pytest

from kuzbass.sd.calibration import (
    Fit,
    Parameter,
    Problem,
    at_bounds,
    covariance,
    estimate,
    latin_hypercube,
    profile,
    share_at_best,
)
from kuzbass.sd.likelihood import Likelihood, Series

YEARS = np.arange(20.0)
SIGMA = 0.5
NOISE = np.random.default_rng(3).normal(0.0, SIGMA, 20)
DATA = 2.0 + 0.3 * YEARS + NOISE


def _line(values: np.ndarray) -> np.ndarray:
    return (values[:, 0] + values[:, 1] * YEARS[:, None])[None]


def _problem(*, upper: float = 10.0, mean: float | None = None) -> Problem:
    series = Series("line", DATA, "plain", SIGMA)
    parameters = (Parameter("level", -10.0, upper),
                  Parameter("slope", -2.0, 2.0, mean, None if mean is None else 0.01))
    # So many degrees of freedom that the variance is known: the answer is that of regression.
    return Problem(parameters, _line, Likelihood((series,), (), 1e9, 0.0))


def _regression() -> tuple[np.ndarray, np.ndarray]:
    design = np.column_stack([np.ones(20), YEARS])
    normal = np.linalg.inv(design.T @ design)
    return normal @ design.T @ DATA, SIGMA**2 * normal


def test_estimates_are_those_of_regression() -> None:
    problem = _problem()
    fit = estimate(problem, np.array([0.1, 0.9]))
    assert problem.values(fit.point[None])[0] == pytest.approx(_regression()[0], abs=1e-5)


def test_unit_scale_goes_there_and_back() -> None:
    problem = _problem()
    values = np.array([[3.0, -1.5], [10.0, 2.0]])
    assert problem.values(problem.points(values)) == pytest.approx(values)


def test_a_prior_pulls_by_its_precision() -> None:
    problem = _problem(mean=0.5)
    slope = problem.values(estimate(problem, np.array([0.5, 0.5])).point[None])[0, 1]
    found, cov = _regression()
    precision, own = 1.0 / 0.01**2, 1.0 / cov[1, 1]
    assert slope == pytest.approx((found[1] * own + 0.5 * precision) / (own + precision), abs=1e-5)


def test_jacobian_is_that_of_the_line() -> None:
    problem = _problem()
    point = np.array([0.5, 0.5])
    jacobian = problem.jacobian(point, problem.processes(point))
    assert jacobian[:20, 0] == pytest.approx(np.full(20, 20.0 / SIGMA), rel=1e-4)
    assert jacobian[:20, 1] == pytest.approx(4.0 * YEARS / SIGMA, rel=1e-4)


def test_covariance_is_that_of_regression() -> None:
    problem = _problem()
    fit = estimate(problem, np.array([0.5, 0.5]))
    width = np.array([20.0, 4.0])
    found = covariance(problem, fit) * np.outer(width, width)
    # The range itself counts as a weak prior.
    assert found == pytest.approx(_regression()[1], rel=1e-2)


def test_profile_interval_is_that_of_regression() -> None:
    problem = _problem()
    fit = estimate(problem, np.array([0.5, 0.5]))
    interval = profile(problem, fit, "slope")
    found, cov = _regression()
    half = 1.959964 * np.sqrt(cov[1, 1])
    assert interval.low == pytest.approx(found[1] - half, rel=2e-3)
    assert interval.high == pytest.approx(found[1] + half, rel=2e-3)
    assert interval.shape == "closed"
    assert interval.gain == pytest.approx(0.0, abs=1e-3)


def test_a_parameter_without_effect_has_a_flat_profile() -> None:
    series = Series("line", DATA, "plain", SIGMA)
    parameters = (Parameter("level", -10.0, 10.0), Parameter("idle", 0.0, 1.0))
    problem = Problem(parameters, lambda values: _line(
        np.column_stack([values[:, 0], np.full(len(values), 0.3)])),
        Likelihood((series,), (), 1e9, 0.0))
    fit = estimate(problem, np.array([0.5, 0.5]))
    interval = profile(problem, fit, "idle")
    assert (interval.low, interval.high, interval.shape) == (0.0, 1.0, "flat")


def test_an_optimum_beyond_the_range_is_told() -> None:
    problem = _problem(upper=1.0)
    fit = estimate(problem, np.array([0.5, 0.5]))
    assert at_bounds(problem, fit.point) == ("level",)
    assert profile(problem, fit, "level").high == pytest.approx(1.0)
    assert at_bounds(_problem(), estimate(_problem(), np.array([0.5, 0.5])).point) == ()


def test_holding_a_parameter_gives_the_regression_of_the_rest() -> None:
    problem = _problem().without("slope", 0.0)
    fit = estimate(problem, np.array([0.9]))
    assert problem.values(fit.point[None])[0, 0] == pytest.approx(DATA.mean(), abs=1e-5)


def test_failed_runs_are_avoided() -> None:
    def simulate(values: np.ndarray) -> np.ndarray:
        result = _line(values)
        result[:, :, values[:, 0] > 6.0] = np.nan
        return result

    whole = _problem()
    problem = Problem(whole.parameters, simulate, whole.likelihood)
    assert np.isinf(estimate(problem, np.array([0.95, 0.5])).objective)
    fit = estimate(problem, np.array([0.7, 0.5]))
    assert problem.values(fit.point[None])[0] == pytest.approx(_regression()[0], abs=1e-4)


def test_latin_hypercube_has_one_start_in_every_stratum() -> None:
    starts = latin_hypercube(20, 3, seed=4)
    for column in starts.T:
        assert sorted(np.floor(20 * column)) == list(range(20))
    assert np.array_equal(starts, latin_hypercube(20, 3, seed=4))


def test_two_hills_are_two_optima() -> None:
    ends = [Fit(np.zeros(1), value, (), 1) for value in (5.0, 5.04, 9.0, 9.02, np.inf)]
    share, optima = share_at_best(ends)
    assert share == pytest.approx(0.4)
    assert optima == 2
