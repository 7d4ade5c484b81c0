"""Sensitivity against functions whose indices are known: Ishigami and a sum."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from kuzbass.experiments.lab.effects import (
    mode_scores,
    morris_effects,
    morris_points,
    pattern_measures,
    pattern_scores,
    sobol_indices,
    sobol_points,
    survivors,
    weighted,
)

NAMES = ("x1", "x2", "x3")
# Ishigami and Homma (1990), a = 7, b = 0.1: exact values.
S1 = np.array([0.3139, 0.4424, 0.0])
ST = np.array([0.5576, 0.4424, 0.2437])


def ishigami(unit: np.ndarray) -> np.ndarray:
    x = np.pi * (2.0 * unit - 1.0)
    return np.sin(x[:, 0]) + 7.0 * np.sin(x[:, 1])**2 + 0.1 * x[:, 2]**4 * np.sin(x[:, 0])


@pytest.fixture(scope="module")
def indices() -> pd.DataFrame:
    return sobol_indices(NAMES, ishigami(sobol_points(NAMES, 4096, 1)), 200, 1)


def test_ishigami_has_its_analytic_indices(indices: pd.DataFrame) -> None:
    assert indices["S1"].to_numpy() == pytest.approx(S1, abs=0.02)
    assert indices["ST"].to_numpy() == pytest.approx(ST, abs=0.02)


def test_the_intervals_hold_the_analytic_values(indices: pd.DataFrame) -> None:
    # Half widths of 95 %; twice that leaves no room for chance in six numbers.
    for column, exact in (("S1", S1), ("ST", ST)):
        off = (indices[column] - exact).abs()
        assert (off <= 2.0 * indices[f"{column}_conf"]).all()
        assert (indices[f"{column}_conf"] < 0.1).all()


def test_a_smaller_base_sample_is_the_beginning_of_a_larger_one() -> None:
    small, large = (sobol_points(NAMES, base, 5) for base in (64, 128))
    assert np.array_equal(small, large[:len(small)])


def test_blocks_with_a_failed_run_are_left_out() -> None:
    values = ishigami(sobol_points(NAMES, 1024, 1))
    values[[3, 1200]] = np.nan
    found = sobol_indices(NAMES, values, 50, 1)
    assert found["ST"].to_numpy() == pytest.approx(ST, abs=0.05)


def test_what_does_not_vary_has_no_indices() -> None:
    assert sobol_indices(NAMES, np.ones(64 * 5), 20, 1)["ST"].isna().all()


def test_elementary_effects_of_a_sum_are_its_coefficients() -> None:
    points = morris_points(NAMES, 10, 4, 3)
    found = morris_effects(NAMES, points, points @ np.array([3.0, -2.0, 0.0]), 4, 3)
    assert found["mu"].to_numpy() == pytest.approx([3.0, -2.0, 0.0])
    assert found["mu_star"].to_numpy() == pytest.approx([3.0, 2.0, 0.0])
    assert found["sigma"].to_numpy() == pytest.approx([0.0, 0.0, 0.0], abs=1e-9)


def test_interaction_shows_as_spread_of_the_effects() -> None:
    points = morris_points(NAMES, 40, 4, 3)
    found = morris_effects(NAMES, points, points[:, 0] * points[:, 1], 4, 3).set_index("factor")
    assert found.at["x1", "sigma"] > 0.2
    assert found.at["x3", "sigma"] == pytest.approx(0.0, abs=1e-12)


def test_a_factor_survives_if_it_matters_in_any_output() -> None:
    effects = pd.DataFrame({
        "output": ["a"] * 3 + ["b"] * 3, "factor": [*NAMES] * 2,
        "mu_star": [100.0, 4.0, 1.0, 0.0, 0.02, 0.001]})
    assert survivors(effects, 0.05, 5) == ["x1", "x2"]
    assert survivors(effects, 0.0499, 1) == ["x1"]
    assert survivors(effects.assign(mu_star=0.0), 0.05, 5) == []


def test_means_over_years_are_weighted_by_variance() -> None:
    table = pd.DataFrame({
        "output": "a", "year": [1, 2, 3], "factor": "x1", "variance": [1.0, 3.0, 0.0],
        "S1": [0.2, 0.6, np.nan], "S1_conf": [0.1, 0.1, np.nan], "ST": [0.4, 0.8, np.nan],
        "ST_conf": [0.1, 0.2, np.nan]})
    found = weighted(table).iloc[0]
    assert (found["S1"], found["ST"]) == pytest.approx((0.5, 0.7))
    assert found["ST_conf"] == pytest.approx(0.175)


def test_modes_are_told_apart_by_the_factor_that_makes_them() -> None:
    points = np.random.default_rng(2).random((400, 3))
    modes = ["growth" if high else "decline" for high in points[:, 1] > 0.5]
    found = mode_scores(NAMES, points, modes).set_index(["mode", "factor"])
    assert found.at[("growth", "x2"), "score"] == pytest.approx(1.0)
    assert found.at[("growth", "x1"), "score"] < 0.2
    assert found.at[("growth", "x1"), "share"] == pytest.approx(np.mean(points[:, 1] > 0.5))


def test_a_rare_mode_gets_no_score() -> None:
    modes = ["growth"] * 95 + ["peak"] * 5
    points = np.random.default_rng(2).random((100, 3))
    assert mode_scores(NAMES, points, modes)["score"].isna().all()
    assert set(pattern_scores(NAMES, points, modes, {"lowest": points[:, 0]})["mode"]) == {"growth"}


def test_patterns_are_ranked_within_the_mode() -> None:
    points = np.random.default_rng(2).random((200, 3))
    modes = ["growth" if up else "decline" for up in points[:, 2] > 0.5]
    # Over all runs x3 would hide that x1 orders the measure within each mode.
    measure = points[:, 0] + 100.0 * (points[:, 2] > 0.5)
    found = pattern_scores(NAMES, points, modes, {"lowest": measure})
    own = found[(found["mode"] == "growth") & (found["factor"] == "x1")]
    assert own["rank_correlation"].iloc[0] == pytest.approx(1.0)


def test_measures_of_a_path_that_falls_and_rises() -> None:
    years = np.arange(2025.0, 2036.0)
    found = pattern_measures((np.abs(years - 2029.0) + 90.0)[:, None], years)
    assert (found["lowest"][0], found["year of the lowest"][0]) == (90.0, 2029.0)
    assert found["closing trend"][0] == pytest.approx(1.0)
    assert found["spread"][0] == pytest.approx(6.0)
