"""Walkers that sample a known distribution."""

from __future__ import annotations

import numpy as np
import pytest

from kuzbass.sd.posterior import diagnostics, start_walkers, walk

MEAN = np.array([0.4, 0.6])
COVARIANCE = np.array([[4e-4, 3e-4], [3e-4, 9e-4]])
PRECISION = np.linalg.inv(COVARIANCE)


def _objective(points: np.ndarray) -> np.ndarray:
    away = points - MEAN
    return np.einsum("ij,jk,ik->i", away, PRECISION, away)


def test_walkers_find_mean_and_covariance() -> None:
    rng = np.random.default_rng(5)
    walkers = start_walkers(np.array([0.5, 0.5]), 1e-4 * np.eye(2), 20, rng)
    sampled = walk(_objective, walkers, 2000, rng)
    kept = sampled.points[500:]
    flat = kept.reshape(-1, 2)
    assert flat.mean(axis=0) == pytest.approx(MEAN, abs=2e-3)
    assert np.cov(flat.T) == pytest.approx(COVARIANCE, rel=0.15)
    reduction, size = diagnostics(kept)
    assert reduction < 1.05
    assert size > 400
    assert 0.1 < sampled.acceptance < 0.7


def test_the_cube_is_the_support() -> None:
    rng = np.random.default_rng(6)
    sampled = walk(lambda points: np.zeros(len(points)), rng.random((12, 1)), 3000, rng)
    values = sampled.points[500:].ravel()
    assert values.min() >= 0.0
    assert values.max() <= 1.0
    # The moments of the uniform distribution.
    assert values.mean() == pytest.approx(0.5, abs=0.02)
    assert values.var() == pytest.approx(1.0 / 12.0, rel=0.05)


def test_the_same_seed_gives_the_same_walk() -> None:
    paths = [walk(_objective, np.full((6, 2), 0.5) + 0.01 * np.arange(12).reshape(6, 2), 20,
                  np.random.default_rng(7)).points for _ in range(2)]
    assert np.array_equal(*paths)


def test_walkers_that_disagree_are_told() -> None:
    rng = np.random.default_rng(8)
    stuck = rng.normal(size=(200, 10, 1)) + np.arange(10.0)[:, None]
    assert diagnostics(stuck)[0] > 2.0
    slow = np.cumsum(rng.normal(size=(1000, 10, 1)), axis=0)
    white = rng.normal(size=(1000, 10, 1))
    assert diagnostics(slow)[1] < 500 < diagnostics(white)[1]


def test_starts_lie_in_the_cube() -> None:
    walkers = start_walkers(np.array([0.0, 1.0]), np.eye(2), 200, np.random.default_rng(9))
    assert walkers.min() >= 0.0
    assert walkers.max() <= 1.0
