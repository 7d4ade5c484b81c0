"""The Python interface is equal in power to the command line, and light to import."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import xarray as xr

import kuzbass
from kuzbass.errors import InputError
from kuzbass.paths import data_dir


@pytest.fixture(scope="module")
def run() -> xr.Dataset:
    return kuzbass.simulate(kuzbass.load_model(), "s1-coal-paradigm", time_step=0.125)


def test_import_is_light() -> None:
    code = "import sys, kuzbass; print(sorted({'pysd','pandas','matplotlib'} & set(sys.modules)))"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout == "[]\n"


def test_names_are_offered() -> None:
    assert {"load_model", "load_scenario", "simulate", "resilience", "compare"} <= set(dir(kuzbass))
    with pytest.raises(AttributeError, match="no attribute 'simulat'"):
        _ = kuzbass.simulat  # type: ignore[attr-defined]  # the error is the point


def test_run_has_units(run: xr.Dataset) -> None:
    assert isinstance(run, xr.Dataset)
    assert run.sizes["time"] == 36 * 8 + 1
    assert run["coal output"].attrs["units"] == "Mt/year"


def test_scenario_by_name_and_as_object_are_the_same(run: xr.Dataset) -> None:
    model, scenario = kuzbass.load_model(), kuzbass.load_scenario("s1-coal-paradigm")
    short = kuzbass.simulate(model, scenario, time_step=0.125, until=2003)
    np.testing.assert_allclose(short["coal output"], run["coal output"][:33], rtol=1e-12)


def test_changes_reach_the_run_and_do_not_stay() -> None:
    model = kuzbass.load_model()
    options = {"time_step": 0.125, "until": 2001}
    base = kuzbass.simulate(model, **options)
    dear = kuzbass.simulate(model, changes={"exchange rate": 60.0}, **options)
    again = kuzbass.simulate(model, **options)
    assert (dear["exchange rate"] == 60.0).all()
    xr.testing.assert_identical(again, base)


def test_index_has_units_and_says_that_the_list_is_reconstructed(run: xr.Dataset) -> None:
    index = kuzbass.resilience(run)
    assert list(index.data_vars) == ["index", "P", "C", "N", "q05", "q25", "q50", "q75", "q95"]
    assert {v.attrs["units"] for v in index.data_vars.values()} == {"index points"}
    assert "reconstructed" in index.attrs["note"]
    np.testing.assert_allclose(index["index"], (index["P"] + index["C"] + index["N"]) / 3.0)
    other = kuzbass.resilience(run, reading="B")
    assert list(other.data_vars) == ["index", "P", "C", "N"]
    assert float(other["index"].sel(year=2035)) != float(index["index"].sel(year=2035))


def test_own_list_of_indicators_replaces_the_shipped_one(run: xr.Dataset, tmp_path: Path) -> None:
    table = pd.read_csv(data_dir() / "indicators.csv", dtype=str, keep_default_na=False)
    few = table[table["code"].isin(["P1", "C1", "N1"])]
    few.to_csv(tmp_path / "authors.csv", index=False)
    own = kuzbass.resilience(run, indicators=tmp_path / "authors.csv")
    assert list(own.data_vars) == ["index", "P", "C", "N"]
    # One stimulant in the megafactor: its z-score on the observed years, by hand.
    grp = run["real GRP per head"]
    level = [float(grp.sel(time=slice(year, year + 0.999)).mean()) for year in (2000, 2030)]
    observed = _grp_per_head()
    expected = (100.0 * level[1] / level[0] - observed.mean()) / observed.std(ddof=0)
    assert float(own["P"].sel(year=2030)) == pytest.approx(expected)


def _grp_per_head() -> pd.Series:
    table = pd.read_csv(data_dir() / "observed.csv").pivot_table("value", "year", "series")
    table = table.loc[2000:2021]
    growth = table["grp_real_index"] / 100.0
    growth.loc[2000] = 1.0
    level = growth.cumprod() / table["population_avg"]
    return 100.0 * level / level.loc[2000]


def test_comparison_covers_the_runs_that_are_there(run: xr.Dataset) -> None:
    comparison = kuzbass.compare({"s1-coal-paradigm": run})
    assert isinstance(comparison.targets, pd.DataFrame)
    assert len(comparison.targets) == 27
    assert set(comparison.targets["scenario"]) == {"s1-coal-paradigm"}
    assert comparison.targets["unit"].notna().all()
    assert comparison.fit_of == "s1-coal-paradigm"
    assert set(comparison.index_claims["scenario"]) == {"s1-coal-paradigm"}


def test_refusals(run: xr.Dataset) -> None:
    with pytest.raises(InputError, match="nothing to compare"):
        kuzbass.compare({})
    with pytest.raises(InputError, match=r"unknown reading.*allowed: A or B"):
        kuzbass.resilience(run, reading="C")  # type: ignore[arg-type]  # the error is the point
    with pytest.raises(InputError, match="no such scenario"):
        kuzbass.simulate(kuzbass.load_model(), "s9")
    with pytest.raises(InputError, match="lacks a variable of the index"):
        kuzbass.resilience(run.drop_vars("real GRP per head"))
