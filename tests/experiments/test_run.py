"""The pipeline from scenario files to comparisons."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from kuzbass.errors import InputError
from kuzbass.experiments.ensemble_plan import load_plan
from kuzbass.experiments.results import QUANTILES, RunResults
from kuzbass.experiments.run import (
    check_settings,
    load_scenarios,
    run_scenarios,
    simulate_scenario,
)
from kuzbass.region.data import fit_table
from kuzbass.region.scenario import load_scenario, scenario_names
from kuzbass.sd.mdl import load_model


def test_all_shipped_scenarios_run_by_default(results: RunResults) -> None:
    assert list(results.scenarios) == scenario_names()
    assert set(scenario_names()) >= {"baseline", "s1-coal-paradigm", "s2-interregional",
                                     "s3-decline", "strategy-395"}
    for name, result in results.scenarios.items():
        assert result.name == name
        assert set(result.title) == {"en", "ru"}
        assert list(result.annual.index) == list(range(2000, 2036))
        assert list(result.annual.columns) == list(result.run.data_vars)
        assert result.run.sizes["time"] == 36 * 16 + 1
    assert results.notes == ()


def test_annual_statistics_are_means_or_year_ends(results: RunResults) -> None:
    result = results.scenarios["baseline"]
    year = result.run.sel(time=slice(2010.0, 2010.999))
    assert year.sizes["time"] == 16
    assert result.annual.at[2010, "coal output"] == pytest.approx(float(year["coal output"].mean()))
    end = float(result.run["coal stockpile"].sel(time=2011.0))
    assert result.annual.at[2010, "coal stockpile"] == end


def test_scenarios_share_their_history(results: RunResults) -> None:
    base = results.scenarios["baseline"].annual.loc[:2023]
    for name in ("s1-coal-paradigm", "s2-interregional", "s3-decline"):
        pd.testing.assert_frame_equal(results.scenarios[name].annual.loc[:2023], base,
                                      check_exact=False, rtol=1e-12)
        last = results.scenarios[name].annual.loc[2035, "coal output"]
        assert last != pytest.approx(results.scenarios["baseline"].annual.at[2035, "coal output"])


def test_index_meets_the_published_anchors_on_data(results: RunResults) -> None:
    observed = results.observed_index["index"]
    assert observed[2019] == pytest.approx(0.347, abs=0.03)
    assert observed[2021] == pytest.approx(0.535, abs=0.03)
    assert observed[2020] < observed[2019]


def test_index_is_the_mean_of_its_megafactors(results: RunResults) -> None:
    for result in results.scenarios.values():
        for table in (result.index, result.reading_b):
            np.testing.assert_allclose(table["index"], table[["P", "C", "N"]].mean(axis=1))
    # Reading B puts the forecast into its own scale, so it differs.
    base = results.scenarios["baseline"]
    assert abs(base.index.at[2035, "index"] - base.reading_b.at[2035, "index"]) > 0.01


def test_family_quantiles_rise_and_hold_the_published_anchor(results: RunResults) -> None:
    tables = [results.observed_family, *(r.family for r in results.scenarios.values())]
    for table in tables:
        assert list(table.columns) == list(QUANTILES)
        assert (table.diff(axis=1).iloc[:, 1:] >= 0).all(axis=None)
    assert results.observed_family.loc[2019].between(0.317, 0.377).all()


def test_every_target_is_compared(results: RunResults) -> None:
    targets = results.comparison.targets
    assert len(targets) == 81
    assert targets.groupby("scenario").size().to_dict() == {
        "s1-coal-paradigm": 27, "s2-interregional": 27, "s3-decline": 27}
    row = targets.set_index(["variable", "scenario", "year"]).loc[
        ("real GRP index", "s1-coal-paradigm", 2035)]
    grp = results.scenarios["s1-coal-paradigm"].annual["real GRP index"]
    assert row["simulated"] == pytest.approx(100.0 * grp[2035] / grp[2019])
    assert (row["low"], row["high"]) == (120.0, 120.0)


def test_history_is_judged_by_the_baseline(results: RunResults) -> None:
    assert results.comparison.fit_of == "baseline"
    expected = fit_table(results.scenarios["baseline"].annual)
    pd.testing.assert_frame_equal(results.comparison.fit, expected)


def test_observed_series_are_on_the_basis_of_the_comparison(results: RunResults) -> None:
    rows = results.observed.set_index(["variable", "year"])["value"]
    assert rows["real GRP index", 2000] == 100.0
    assert rows["coal output", 2021] == pytest.approx(243.1, abs=1.0)
    assert "wear of fixed assets" in set(results.observed["variable"])


def test_short_run_says_what_it_leaves_out(short: RunResults) -> None:
    assert list(short.scenarios["s1-coal-paradigm"].annual.index) == [2000, 2001, 2002, 2003, 2004]
    assert short.comparison.targets.empty or short.comparison.targets["simulated"].isna().all()
    assert short.comparison.fit["last"].max() == 2004
    text = " ".join(short.notes)
    assert "ends with 2004" in text
    assert "1/8 of a year instead of the model's 1/16" in text
    assert "the fit of the history is that of s1-coal-paradigm" in text


def test_manifest_names_all_that_the_numbers_depend_on(short: RunResults) -> None:
    manifest = short.manifest
    assert manifest["model"] == {"file": "kuzbass.mdl", "sha256": load_model().sha256}
    assert manifest["time_step"] == 0.125
    assert manifest["until"] == 2004
    assert manifest["bands"]["runs"] == 200
    assert manifest["bands"]["seed"] == load_plan()[0].seed
    scenarios = manifest["scenarios"]
    assert isinstance(scenarios, dict)
    layers = scenarios["s1-coal-paradigm"]["layers"]
    assert [layer["name"] for layer in layers] == ["baseline", "s1-coal-paradigm"]


def test_progress_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    heard: list[tuple[str, int, int]] = []
    run_scenarios(["baseline"], time_step=0.125, until=2001,
                  progress=lambda *news: heard.append(news))
    assert heard == [("loading the model", 0, 4), ("simulating baseline", 1, 4),
                     ("varying parameters and drivers", 2, 4), ("scoring and comparing", 3, 4),
                     ("done", 4, 4)]


def test_changes_win_over_the_scenario() -> None:
    model, scenario = load_model(), load_scenario("baseline")
    path = pd.Series([50.0, 60.0], index=[2000.0, 2002.0])
    run = simulate_scenario(model, scenario, {"World_Thermal_Price": path}, time_step=0.125,
                            until=2001)
    assert float(run["world thermal price"].sel(time=2001.0)) == 55.0


@pytest.mark.parametrize("step", [0.0, -0.125, 0.3, 2.0, 1 / 512, float("nan"), float("inf")])
def test_impossible_step_is_refused(step: float) -> None:
    with pytest.raises(InputError, match=r"time step: not a possible time step.*allowed: 1, 1/2"):
        check_settings("auto", step, 2035)


@pytest.mark.parametrize("year", [1999, 2051])
def test_impossible_last_year_is_refused(year: int) -> None:
    with pytest.raises(InputError, match=f"until: .*found: {year}; allowed: 2000 to 2050"):
        check_settings("auto", None, year)


def test_unknown_engine_is_refused() -> None:
    with pytest.raises(InputError, match=r"engine: no such engine.*found: fast; allowed: auto"):
        check_settings("fast", None, 2035)


def test_two_scenarios_of_one_name_are_refused(tmp_path: Path) -> None:
    copy = tmp_path / "baseline.yaml"
    copy.write_text(load_scenario("baseline").path.read_text(encoding="utf-8"), encoding="utf-8")
    with pytest.raises(InputError, match=r"already in the run.*found: baseline"):
        load_scenarios(["baseline", copy])
