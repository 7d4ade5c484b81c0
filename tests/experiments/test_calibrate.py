"""A calibration of four parameters: what it refuses, what it may not see, and how it goes on."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from kuzbass.errors import InputError
from kuzbass.experiments.calibrate import Calibration, Setting, calibrate, prepare
from kuzbass.experiments.calibration_plan import likelihood, load_calibration_plan
from kuzbass.experiments.calibration_report import calibration_tables
from kuzbass.experiments.calibration_runs import AnnualRuns, Checkpoint, partial_model
from kuzbass.experiments.calibration_wide import wide_problem
from kuzbass.experiments.holdout import drivers_as_known
from kuzbass.experiments.parameters import draws_table, parameter_table
from kuzbass.experiments.run import load_scenarios, simulate_scenario
from kuzbass.experiments.score import annual_statistics
from kuzbass.paths import data_dir
from kuzbass.region.data import model_side, read_table
from kuzbass.sd.mdl import load_model
from kuzbass.sd.rewrite import replace_equations

PLAN = """\
name: tiny
narrative: A calibration of four parameters.
origins: [2012]
seed: 1
draws: 200
error: {freedom: 12.0, largest_autocorrelation: 0.5, change_tolerance: 0.14}
choice: {largest_collinearity: 15.0, most: 3, least_sensitivity: 3.0, first: [base migration]}
wide: {prior: 0.5, spread: 0.15, population: 16}
full: {starts: 2, origin_starts: 1, rounds: 12, steps: 20, profiles: true, wide_starts: 1,
  generations: 20}
quick: {starts: 2, origin_starts: 1, rounds: 12, steps: 20, profiles: false, wide_starts: 1,
  generations: 20}
series:
  population_avg: {unit: thousand persons, error: 0.01}
  poverty_rate: {unit: "% of population", error: 1.8}
  grp_real_index: {unit: "% of prev year", error: 0.03}
parameters:
  base migration: {}
  birth rate: {}
  poverty level: {}
  poverty slope: {prior: {mean: 1.5, sd: 0.5, source: a test}}
stages:
  - name: households
    cut: [avg_nominal_wage_month]
    series: [population_avg, poverty_rate]
    parameters: [base migration, poverty level]
"""
SCRIPT = """\
import sys
from pathlib import Path
from kuzbass.experiments.calibrate import prepare
from kuzbass.experiments.calibration_report import run_calibration
run_calibration(prepare(Path(sys.argv[1]), quick=True), sys.argv[2])
"""


@pytest.fixture(scope="session")
def plan(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("plan") / "tiny.yaml"
    path.write_text(PLAN, encoding="utf-8")
    return path


@pytest.fixture(scope="session")
def setting(plan: Path) -> Setting:
    return prepare(plan, quick=True)


@pytest.fixture(scope="session")
def calibration(setting: Setting, tmp_path_factory: pytest.TempPathFactory) -> Calibration:
    return calibrate(setting, tmp_path_factory.mktemp("steps") / "steps.jsonl")


def _changed(tmp_path: Path, old: str, new: str) -> Path:
    text = (data_dir() / "observed.csv").read_text(encoding="utf-8")
    assert old in text
    path = tmp_path / "observed.csv"
    path.write_text(text.replace(old, new, 1), encoding="utf-8")
    return path


def _line(series: str, year: int) -> str:
    for line in (data_dir() / "observed.csv").read_text(encoding="utf-8").splitlines():
        cells = line.split(",")
        if cells[0] == series and cells[3] == str(year):
            return line
    raise AssertionError(series)


def test_a_gap_in_a_chain_is_refused(plan: Path, tmp_path: Path) -> None:
    data = _changed(tmp_path, _line("grp_real_index", 2007) + "\n", "")
    with pytest.raises(InputError, match=r"grp_real_index, 2007: a gap breaks the chain") as error:
        prepare(plan, data=data)
    assert error.value.file == data


def test_a_wrong_unit_is_refused(plan: Path, tmp_path: Path) -> None:
    line = _line("population_avg", 2010)
    data = _changed(tmp_path, line, line.replace("thousand persons", "persons"))
    with pytest.raises(InputError, match=r"population_avg, 2010: wrong unit .*found: persons; "
                                         r"allowed: thousand persons"):
        prepare(plan, data=data)


@pytest.mark.parametrize(("new", "problem"), [("many", "not a number"),
                                              ("-5", "not a positive number")])
def test_a_bad_number_is_refused(plan: Path, tmp_path: Path, new: str, problem: str) -> None:
    line = _line("population_avg", 2010)
    cells = line.split(",")
    data = _changed(tmp_path, line, ",".join([*cells[:4], new, *cells[5:]]))
    with pytest.raises(InputError, match=problem) as error:
        prepare(plan, data=data)
    assert error.value.file == data


def test_a_missing_series_is_refused(plan: Path, tmp_path: Path) -> None:
    text = (data_dir() / "observed.csv").read_text(encoding="utf-8")
    data = tmp_path / "observed.csv"
    data.write_text(text.replace("\npoverty_rate,", "\nother_rate,"), encoding="utf-8")
    with pytest.raises(InputError, match="poverty_rate: the series is missing"):
        prepare(plan, data=data)


@pytest.mark.parametrize(
    ("old", "new", "problem"),
    [
        ("birth rate: {}", "births: {}", "births: is not a constant"),
        ("poverty_rate: {unit", "wealth_rate: {unit", "wealth_rate: no such series"),
        ("draws: 200", "draws: 20", "draws: not allowed"),
        ("cut: [avg_nominal_wage_month]", "cut: [wages]", "stages.households.cut: is not"),
        ("name: tiny", "name: small", "not that of the file"),
    ],
)
def test_a_broken_plan_is_refused(tmp_path: Path, old: str, new: str, problem: str) -> None:
    path = tmp_path / "tiny.yaml"
    assert old in PLAN
    path.write_text(PLAN.replace(old, new, 1), encoding="utf-8")
    with pytest.raises(InputError, match=problem):
        prepare(path)


def test_the_shipped_plan_weighs_what_has_a_bar() -> None:
    shipped, _ = load_calibration_plan()
    bars = read_table("bars.csv").query("statistic == 'mape'").set_index("series")["bar"]
    for name, rule in shipped.series.items():
        if name in bars.index:
            assert rule.error == pytest.approx(bars[name] / 100.0)
            assert rule.weight == 1.0
    assert set(bars.index) <= set(shipped.series)
    assert shipped.full.starts >= 20
    assert shipped.quick.starts >= 20
    assert shipped.full.wide_starts >= 2


def test_annual_runs_are_those_of_the_pipeline(setting: Setting) -> None:
    plan, _ = load_calibration_plan()
    _, rows = likelihood(plan, setting.table, 2021)
    names = [one.name for one in setting.candidates]
    values = np.array([[setting.shipped[name] for name in names]] * 3)
    found = AnnualRuns(setting.model, names, rows, 2021)(values)
    run = simulate_scenario(setting.model, load_scenarios(["baseline"])["baseline"], until=2021)
    annual = annual_statistics(run)
    for place, (_, row) in enumerate(rows.iterrows()):
        expected = model_side(row, annual).to_numpy()
        assert found[place, :, 2] == pytest.approx(expected, rel=1e-10), row["series"]


def test_only_series_without_a_gap_drive_a_sector(setting: Setting) -> None:
    _, rows = likelihood(setting.plan, setting.table, 2015)
    for series, found in (("coal_production_total", "2000 is missing"),
                          ("grp_real_index", "chain:2000")):
        with pytest.raises(InputError, match=f"{series}: cannot drive a sector .*{found}"):
            partial_model(setting.model, [series], setting.table, 2015, ["base migration"], rows)


def test_years_after_the_training_do_not_reach_its_fit(
    setting: Setting, calibration: Calibration, tmp_path: Path
) -> None:
    table = setting.table.copy()
    late = (table["year"] > 2015) & (table["series"] == "population_avg")
    table.loc[late, "value"] *= 0.9
    other = calibrate(replace(setting, table=table), tmp_path / "steps.jsonl")
    assert other.training.values() == calibration.training.values()
    assert other.wide.values() == calibration.wide.values()
    assert other.origins == calibration.origins
    assert other.refit.values() != calibration.refit.values()


def test_drivers_as_known_stand_still_or_grow_evenly(setting: Setting) -> None:
    paths = drivers_as_known(setting, 2015)
    price = paths["world thermal price"]
    year = price[(price.index >= 2015.0) & (price.index < 2016.0)]
    assert price[2018.0] == pytest.approx(year.mean())
    assert np.ptp(price[price.index >= 2016.0]) == 0.0
    inflation = paths["national consumer inflation"]
    known = inflation[(inflation.index >= 2010.5) & (inflation.index < 2015.5)]
    assert inflation[2019.0] == pytest.approx(known.mean())


def test_intervals_and_draws_surround_the_fit(calibration: Calibration) -> None:
    table = parameter_table(calibration).set_index("parameter")
    fitted = table[table["status"] == "fitted"]
    assert set(fitted.index) == set(calibration.refit.problem.names)
    assert (fitted["low"] <= fitted["value"]).all()
    assert (fitted["value"] <= fitted["high"]).all()
    assert table.at["birth rate", "status"] == "fixed"
    assert "base migration" in table.at["birth rate", "note"]
    draws = draws_table(calibration)
    assert len(draws) == 200
    for name in draws:
        assert draws[name].between(table.at[name, "lower"], table.at[name, "upper"]).all()


def test_tables_hold_training_and_test(calibration: Calibration) -> None:
    tables = calibration_tables(calibration)
    held = tables["holdout"].set_index(["fit", "series", "drivers"])
    assert len(held) == 12
    assert held.index.is_unique
    row = held.loc[("training", "grp_real_index", "actual")]
    assert row["ratio"] == pytest.approx(row["rmse_test"] / row["rmse_training"])
    # Real GRP of 2015 held: logarithmic errors of 2016-2021 by hand.
    growth = read_table("observed.csv").query("series == 'grp_real_index'").set_index("year")
    logs = np.log(growth.loc[2016:2021, "value"] / 100.0).cumsum()
    assert row["no change"] == pytest.approx(float(np.sqrt((logs**2).mean())))
    assert (tables["coverage"]["width_90%"] > tables["coverage"]["width_50%"]).all()
    assert set(tables["rolling_origins"]["origin"]) == {2012}


def test_the_wide_fit_starts_from_the_centres_and_forgets_what_was_shipped(
    setting: Setting, calibration: Calibration, tmp_path: Path
) -> None:
    names = calibration.wide.problem.names
    variables = [setting.model.variables[name] for name in names]
    assert len(names) > 200
    assert not {variable.group for variable in variables} & {"Policies", "Drivers"}
    assert not [one for one in variables if "Source: start of the model" in one.comment]
    centre = np.full((1, len(names)), 0.5)
    assert calibration.wide.best.objective < float(calibration.wide.problem.objective(centre)[0])
    # Other shipped values, as after a fit to later years: the wide fit must not feel them.
    text = setting.model.path.read_text(encoding="utf-8")
    moved = {"poverty slope": 0.9, "base migration": 0.7}
    values = {name: (1.0 - share) * setting.model.variables[name].lower
              + share * setting.model.variables[name].upper for name, share in moved.items()}
    path = tmp_path / "kuzbass.mdl"
    path.write_text(replace_equations(text, {n: repr(v) for n, v in values.items()}, path),
                    encoding="utf-8")
    other = wide_problem(setting.plan, load_model(path), setting.table)
    assert other.objective(centre) == pytest.approx(calibration.wide.problem.objective(centre))


def test_a_checkpoint_keeps_whole_lines_of_its_own_key(tmp_path: Path) -> None:
    path = tmp_path / "steps.jsonl"
    first = Checkpoint(path, "a")
    assert first.get("one", lambda: [1.5]) == [1.5]
    with path.open("a", encoding="utf-8") as stream:
        stream.write('\n{"key": "a", "step": "two", "res')
    again = Checkpoint(path, "a")
    assert again.resumed == 1
    assert again.get("one", lambda: pytest.fail("computed again")) == [1.5]
    assert again.get("two", lambda: 2) == 2
    assert Checkpoint(path, "a").resumed == 2
    assert Checkpoint(path, "b").resumed == 0


@pytest.mark.slow
def test_a_killed_calibration_goes_on(plan: Path, tmp_path: Path) -> None:
    command = [sys.executable, "-c", SCRIPT, str(plan), str(tmp_path / "out")]
    steps = tmp_path / ".out.unfinished" / "steps.jsonl"
    with subprocess.Popen(command) as process:
        while not (steps.exists() and steps.read_text(encoding="utf-8").count("{\"key\"") > 2):
            assert process.poll() is None
            time.sleep(0.02)
        os.kill(process.pid, signal.SIGKILL)
    assert not (tmp_path / "out").exists()
    kept = steps.read_text(encoding="utf-8").splitlines()
    subprocess.run(command, check=True)
    found = pd.read_csv(tmp_path / "out" / "parameters.csv")
    assert not steps.exists()
    assert not (tmp_path / "out" / "steps.jsonl").exists()
    subprocess.run([*command[:-1], str(tmp_path / "whole")], check=True)
    assert len(kept) > 2
    pd.testing.assert_frame_equal(found, pd.read_csv(tmp_path / "whole" / "parameters.csv"))
