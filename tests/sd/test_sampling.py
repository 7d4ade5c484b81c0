"""Sampling: designs by run index, distributions, rank correlations, tables of runs."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from pydantic import TypeAdapter, ValidationError
from scipy import stats

from kuzbass.errors import InputError
from kuzbass.sd.sampling import (
    METHODS,
    AnyDistribution,
    Choice,
    Correlation,
    Design,
    Distribution,
    LogNormal,
    Method,
    Normal,
    Triangular,
    Uniform,
    read_runs,
)

NAMES = ("price", "rate", "life")
LINKED = (Correlation(between=("price", "life"), rank=0.7),
          Correlation(between=("rate", "life"), rank=-0.4))


@pytest.mark.parametrize("correlations", [(), LINKED])
@pytest.mark.parametrize("method", METHODS)
def test_any_part_of_a_design_is_the_same_made_alone(
    method: Method, correlations: tuple[Correlation, ...]
) -> None:
    design = Design(NAMES, 256, method, 5, correlations)
    whole = design.unit(0, 256)
    for size in (1, 7, 100):
        parts = [design.unit(first, min(first + size, 256)) for first in range(0, 256, size)]
        np.testing.assert_array_equal(np.concatenate(parts), whole)
    assert ((whole > 0.0) & (whole < 1.0)).all()
    assert not np.array_equal(Design(NAMES, 256, method, 6, correlations).unit(0, 256), whole)


@pytest.mark.parametrize("correlations", [(), LINKED])
def test_a_latin_hypercube_has_one_run_in_every_stratum(
    correlations: tuple[Correlation, ...]
) -> None:
    points = Design(NAMES, 1000, "latin-hypercube", 1, correlations).unit(0, 1000)
    strata = np.sort(np.floor(points * 1000).astype(int), axis=0)
    np.testing.assert_array_equal(strata, np.repeat(np.arange(1000)[:, None], 3, axis=1))


def test_a_sobol_design_is_more_even_than_chance() -> None:
    sobol = Design(NAMES, 512, "sobol", 3).unit(0, 512)
    chance = Design(NAMES, 512, "monte-carlo", 3).unit(0, 512)
    assert stats.qmc.discrepancy(sobol) < 0.05 * stats.qmc.discrepancy(chance)
    # Balance: every half of every axis, and every quarter of every plane, has its share.
    assert ((sobol < 0.5).sum(axis=0) == 256).all()
    assert ((sobol[:, 0] < 0.5) & (sobol[:, 1] < 0.5)).sum() == 128


def test_chance_is_uniform_and_independent_between_factors_and_runs() -> None:
    points = Design(NAMES, 20_000, "monte-carlo", 9).unit(0, 20_000)
    for column in points.T:
        assert stats.kstest(column, "uniform").pvalue > 0.01
    between = np.corrcoef(points.T)[np.triu_indices(3, 1)]
    assert np.abs(between).max() < 4.0 / np.sqrt(20_000)
    assert abs(np.corrcoef(points[:-1, 0], points[1:, 0])[0, 1]) < 4.0 / np.sqrt(20_000)


@pytest.mark.parametrize("method", ["latin-hypercube", "monte-carlo"])
def test_a_factor_keeps_its_numbers_when_others_come_and_go(method: Method) -> None:
    alone = Design(("rate",), 50, method, 4).unit(0, 50)[:, 0]
    among = Design(NAMES, 50, method, 4).unit(0, 50)[:, 1]
    np.testing.assert_array_equal(alone, among)


@pytest.mark.parametrize("method", METHODS)
def test_rank_correlations_are_those_asked_for(method: Method) -> None:
    points = Design(NAMES, 8192, method, 2, LINKED).unit(0, 8192)
    ranks = stats.spearmanr(points).statistic
    assert ranks[0, 2] == pytest.approx(0.7, abs=0.02)
    assert ranks[1, 2] == pytest.approx(-0.4, abs=0.02)
    assert ranks[0, 1] == pytest.approx(0.0, abs=0.03)


@pytest.mark.parametrize(("distribution", "reference"), [
    (Uniform(low=-2.0, high=6.0), stats.uniform(-2.0, 8.0)),
    (Triangular(low=1.0, mode=2.0, high=5.0), stats.triang(0.25, 1.0, 4.0)),
    (Triangular(low=1.0, mode=1.0, high=5.0), stats.triang(0.0, 1.0, 4.0)),
    (Normal(mean=3.0, sd=2.0), stats.norm(3.0, 2.0)),
    (Normal(mean=3.0, sd=2.0, lower=2.0, upper=4.0), stats.truncnorm(-0.5, 0.5, 3.0, 2.0)),
    (LogNormal(median=4.0, sigma=0.5), stats.lognorm(0.5, scale=4.0)),
])
def test_quantiles_of_distributions(distribution: Distribution, reference: stats.rv_frozen) -> None:
    unit = np.linspace(0.001, 0.999, 999)
    np.testing.assert_allclose(distribution.values(unit), reference.ppf(unit), rtol=1e-12,
                               atol=1e-12)
    low, high = distribution.support()
    assert (distribution.values(unit) >= low).all()
    assert (distribution.values(unit) <= high).all()


def test_a_truncated_lognormal_is_the_lognormal_between_its_ends() -> None:
    spread = LogNormal(median=4.0, sigma=0.5, lower=3.0, upper=8.0)
    whole = stats.lognorm(0.5, scale=4.0)
    unit = np.linspace(0.0, 1.0, 11)
    expected = whole.ppf(whole.cdf(3.0) + unit * (whole.cdf(8.0) - whole.cdf(3.0)))
    np.testing.assert_allclose(spread.values(unit), expected, rtol=1e-12)


def test_a_choice_takes_every_number_alike() -> None:
    points = Design(("row",), 700, "latin-hypercube", 1).unit(0, 700)
    rows = Choice(7).values(points[:, 0])
    np.testing.assert_array_equal(np.bincount(rows.astype(int)), np.full(7, 100))


@pytest.mark.parametrize("broken", [
    {"kind": "uniform", "low": 2.0, "high": 2.0},
    {"kind": "triangular", "low": 0.0, "mode": 3.0, "high": 2.0},
    {"kind": "normal", "mean": 0.0, "sd": 0.0},
    {"kind": "normal", "mean": 0.0, "sd": 1.0, "lower": 3.0, "upper": 1.0},
    {"kind": "lognormal", "median": -1.0, "sigma": 1.0},
    {"kind": "normal", "mean": float("nan"), "sd": 1.0},
    {"kind": "cauchy", "low": 0.0, "high": 1.0},
    {"kind": "uniform", "low": 0.0, "high": 1.0, "hihg": 2.0},
])
def test_impossible_distributions_are_refused(broken: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        TypeAdapter(AnyDistribution).validate_python(broken)


@pytest.mark.parametrize(("arguments", "message"), [
    ({"runs": 0}, "runs: not a possible number of runs (found: 0; allowed: 1 or more)"),
    ({"names": ()}, "nothing varies"),
    ({"method": "sobol", "runs": 100}, "a power of two, such as 64 or 128"),
    ({"correlations": (Correlation(between=("price", "lif"), rank=0.1),)},
     "correlations: is not a factor (found: lif; allowed: life)"),
    ({"correlations": (Correlation(between=("life", "life"), rank=0.1),)}, "a factor with itself"),
    ({"correlations": tuple(Correlation(between=pair, rank=-0.9) for pair in
                            (("price", "rate"), ("rate", "life"), ("price", "life")))},
     "the correlations contradict each other"),
])
def test_impossible_designs_are_refused(arguments: dict[str, object], message: str) -> None:
    with pytest.raises(InputError) as caught:
        Design(**{"names": NAMES, "runs": 128, **arguments})
    assert message in str(caught.value)


RANGES = {"tax rate": (0.0, 1.0), "initial capacity": (1.0, 100.0)}


def test_a_table_of_runs_is_read_as_it_stands(tmp_path: Path) -> None:
    file = tmp_path / "runs.csv"
    file.write_text("\ufeffInitial_Capacity,tax rate\n10,0.25\n1e1,1\n", encoding="utf-8")
    table = read_runs(file, RANGES)
    assert table.names == ("initial capacity", "tax rate")
    np.testing.assert_array_equal(table.unit(0, 2), [[10.0, 0.25], [10.0, 1.0]])
    assert table.given("tax rate").support() == (0.25, 1.0)


@pytest.mark.parametrize(("text", "message"), [
    ("", "the file is empty"),
    ("tax rate\n", "no run"),
    ("tax rat\n0.1\n", "line 1: wrong header: not something that a run may set (found: tax rat; "
     "allowed: for example tax rate)"),
    ("tax rate,Tax Rate\n0.1,0.1\n", "line 1: wrong header: stands twice"),
    ("tax rate\n0.1\nnan\n", "line 3, tax rate: not a possible value (found: 'nan'"),
    ("tax rate\n0.1\n\n", "line 3, tax rate: not a possible value (found: ''"),
    ("tax rate\ninf\n", "line 2, tax rate: not a possible value"),
    ("tax rate\nlow\n", "line 2, tax rate: not a possible value (found: 'low'"),
    ("tax rate\n1.5\n", "line 2, tax rate: not a possible value (found: '1.5'; allowed: 0 to 1)"),
    ("tax rate,initial capacity\n0.1\n", "line 2, initial capacity: not a possible value"),
    ("tax rate\n0.1,0.2\n", "not a table of runs"),
])
def test_broken_tables_are_refused_with_their_line(
    tmp_path: Path, text: str, message: str
) -> None:
    file = tmp_path / "runs.csv"
    file.write_text(text, encoding="utf-8")
    with pytest.raises(InputError) as caught:
        read_runs(file, RANGES)
    assert str(file) in str(caught.value)
    assert message in str(caught.value)


def test_a_missing_or_binary_table_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="file not found"):
        read_runs(tmp_path / "none.csv", RANGES)
    (tmp_path / "binary.csv").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(InputError, match="not UTF-8 text"):
        read_runs(tmp_path / "binary.csv", RANGES)
