"""Errors that follow an AR(1) process."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import multivariate_normal

from kuzbass.sd.likelihood import Change, Likelihood, Series, innovations

FIXED = 1e9  # so many degrees of freedom that the variance is the expected one


def _series(observed: list[float], scale: str = "plain", expected: float = 1.0) -> Series:
    return Series("x", np.array(observed), scale, expected)  # type: ignore[arg-type]  # a literal


def test_innovations_of_an_exact_ar1_path_are_zero() -> None:
    found, _ = innovations(np.array([[8.0], [4.0], [2.0], [0.5]]), np.array([1, 1, 2]), 0.5)
    assert found[:, 0] == pytest.approx([8.0, 0.0, 0.0, 0.0])


def test_innovations_give_the_density_of_the_process() -> None:
    rng = np.random.default_rng(1)
    years, rho = np.array([0, 1, 2, 5, 6, 9]), 0.6
    covariance = rho ** np.abs(years[:, None] - years[None, :])
    errors = rng.normal(size=(6, 2))
    found, determinant = innovations(errors, np.diff(years), rho)
    mine = np.sum(found**2, axis=0) + determinant
    exact = np.array([-2.0 * multivariate_normal(np.zeros(6), covariance).logpdf(column)
                      for column in errors.T])
    assert mine[1] - mine[0] == pytest.approx(exact[1] - exact[0])
    assert mine[0] + 6 * np.log(2 * np.pi) == pytest.approx(exact[0])


def test_a_log_error_is_the_logarithm_of_the_ratio() -> None:
    series = _series([100.0, np.nan, 50.0], "log")
    errors = series.errors(np.array([[110.0], [1.0], [50.0]]))
    assert errors[:, 0] == pytest.approx([np.log(1.1), 0.0])


def test_deviance_with_a_known_variance_is_that_of_the_normal_distribution() -> None:
    likelihood = Likelihood((_series([0.0, 0.0, 0.0], expected=2.0),), (), FIXED, 0.0)
    simulated = np.array([[[1.0], [2.0], [-2.0]]])
    assert likelihood.deviance(simulated)[0] == pytest.approx(9.0 / 4.0, rel=1e-6)


def test_the_variance_lies_between_the_expected_and_the_found_one() -> None:
    likelihood = Likelihood((_series([0.0] * 4, expected=1.0),), (), 4.0, 0.0)
    process = likelihood.processes(np.array([[3.0, -3.0, 3.0, -3.0]]))[0]
    assert process.sigma == pytest.approx(np.sqrt((36.0 + 4.0) / 8.0))
    assert process.rho == 0.0


def test_autocorrelation_is_found_and_capped() -> None:
    steady = np.array([[1.0] * 12])
    free = Likelihood((_series([0.0] * 12),), (), 4.0, 0.9)
    capped = Likelihood((_series([0.0] * 12),), (), 4.0, 0.5)
    assert free.processes(steady)[0].rho == pytest.approx(0.9)
    assert capped.processes(steady)[0].rho == pytest.approx(0.5)


def test_a_run_that_failed_is_infinitely_bad() -> None:
    likelihood = Likelihood((_series([0.0, 0.0]),))
    simulated = np.array([[[1.0, np.nan], [1.0, 1.0]]])
    assert np.isinf(likelihood.deviance(simulated)).tolist() == [False, True]


def test_a_change_counts_in_shares_of_its_size() -> None:
    series = _series([100.0, 80.0], "log", expected=1e6)
    likelihood = Likelihood((series,), (Change(0, 1, 0.2),), FIXED, 0.0)
    # Half of the logarithmic fall: off by 50 percent, 2.5 standard deviations.
    simulated = np.array([[[100.0], [100.0 * np.sqrt(0.8)]]])
    assert likelihood.deviance(simulated)[0] == pytest.approx(2.5**2, rel=1e-6)


def test_residuals_square_to_the_deviance_under_a_known_process() -> None:
    series = _series([1.0, 2.0, 4.0], "log", expected=0.1)
    likelihood = Likelihood((series,), (), FIXED, 0.0)
    simulated = np.array([[[1.1], [2.1], [3.0]]])
    rows = likelihood.residuals(simulated, likelihood.processes(simulated[:, :, 0]))
    assert np.sum(rows**2) == pytest.approx(likelihood.deviance(simulated)[0], rel=1e-5)


def test_the_deviance_is_that_of_the_innovations_at_the_best_autocorrelation() -> None:
    rng = np.random.default_rng(2)
    observed = rng.normal(size=12)
    observed[[4, 5, 9]] = np.nan
    series = Series("x", observed, "plain", 0.7)
    simulated = rng.normal(size=(1, 12, 5))
    gaps, size = np.diff(series.seen), len(series.seen)
    by_rho = []
    for rho in np.arange(0.0, 0.5 + 1e-9, 0.1):
        found, determinant = innovations(series.errors(simulated[0]), gaps, float(rho))
        by_rho.append((size + 8.0) * np.log1p(np.sum(found**2, axis=0) / (8.0 * 0.49))
                      + determinant)
    expected = np.min(by_rho, axis=0)
    assert Likelihood((series,), (), 8.0, 0.5).deviance(simulated) == pytest.approx(expected)


def test_a_series_that_begins_after_the_window_says_nothing() -> None:
    late = _series([np.nan] * 3)
    known = _series([1.0, 2.0, 4.0])
    simulated = np.array([[[1.0], [3.0], [3.0]]] * 2)
    both, one = Likelihood((known, late)), Likelihood((known,))
    assert both.deviance(simulated) == pytest.approx(one.deviance(simulated[:1]))
    assert both.processes(simulated[:, :, 0])[1].sigma == pytest.approx(1.0)
