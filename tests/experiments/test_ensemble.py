"""Ensembles of the shipped model: plans, factors, bands, sources of uncertainty."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jsonschema
import numpy as np
import pandas as pd
import pytest
import yaml

from kuzbass.cli import main
from kuzbass.errors import InputError
from kuzbass.experiments.ensemble import EnsembleResults, Study, prepare, run_plan
from kuzbass.experiments.ensemble_plan import change_plan, json_schema, load_plan
from kuzbass.experiments.score import (
    annual_statistics,
    family_quantiles,
    index_family,
    score,
)
from kuzbass.experiments.scored_years import ANY_LIST, INDEX, LIST
from kuzbass.paths import scenario_dir
from kuzbass.region.draws import DRAWS, read_draws
from kuzbass.region.resilience import index_values, run_indicators
from kuzbass.sd.engine import simulate
from kuzbass.sd.mdl import Model, load_model

SCENARIOS = ("baseline", "s3-decline")
Write = Callable[[str], Path]


@pytest.fixture(scope="module")
def model() -> Model:
    return load_model()


@dataclass(frozen=True)
class Done:
    study: Study
    results: EnsembleResults
    folder: Path


@pytest.fixture(scope="module")
def done(model: Model, tmp_path_factory: pytest.TempPathFactory) -> Done:
    """The shipped plan with few runs of two scenarios."""
    plan, file = load_plan()
    study = prepare(change_plan(plan, file, {"runs": 24, "scenarios": SCENARIOS}), file, model)
    folder = tmp_path_factory.mktemp("ensemble")
    return Done(study, run_plan(study, folder, threads=2, chunk=10), folder)


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """Write a plan of the baseline with some text at its end."""

    def make(body: str) -> Path:
        path = tmp_path / "mine.yaml"
        path.write_text("name: mine\ntitle: {en: Mine, ru: Моё}\nnarrative: Made up.\n"
                        "scenarios: [baseline]\noutputs: [coal output]\n" + body, encoding="utf-8")
        return path

    return make


def test_the_shipped_plan_fits_its_schema_and_the_schema_is_the_generated_one() -> None:
    folder = scenario_dir() / "plans"
    shipped = (folder / "ensemble.schema.json").read_text(encoding="utf-8")
    assert shipped == json_schema(), "run python -m kuzbass.experiments.ensemble_plan"
    schema = json.loads(shipped)
    jsonschema.Draft202012Validator.check_schema(schema)
    text = (folder / "ensemble.yaml").read_text(encoding="utf-8")
    assert text.startswith("# yaml-language-server: $schema=ensemble.schema.json\n")
    jsonschema.validate(yaml.safe_load(text), schema)


def test_every_factor_of_the_shipped_plan_says_why(done: Done) -> None:
    plan, _ = load_plan()
    assert plan.draws == DRAWS
    drawn = read_draws().columns
    assert 40 <= len(plan.parameters) + len(drawn) <= 80
    assert not set(plan.parameters) & set(drawn)
    assert len(plan.drivers) >= 15
    assert all(one.within == 0.1 for one in plan.parameters.values())


def test_rank_correlations_of_the_shipped_plan_are_those_of_the_record(model: Model) -> None:
    plan, _ = load_plan()
    steps = np.arange(2000.0, 2025.0, 1.0 / 16.0)

    def growth(name: str) -> np.ndarray:
        curve = model.equations[f"{name} table"].curve
        years = np.interp(steps, curve.x, curve.y).reshape(25, 16).mean(axis=1)
        return np.diff(np.log(years))

    for one in plan.correlations:
        first, second = (pd.Series(growth(name)).rank() for name in one.between)
        assert first.corr(second) == pytest.approx(one.rank, abs=0.03), one.between


def test_parameters_stay_within_a_tenth_and_the_range_of_the_model(
    done: Done, model: Model
) -> None:
    plan, _ = load_plan()
    table = pd.read_parquet(done.folder / "runs" / "baseline-all")
    for name in plan.parameters:
        value = float(model.equations[name].ast)
        variable = model.variables[name]
        low, high = max(0.9 * value, variable.lower), min(1.1 * value, variable.upper)
        assert table[name].between(low, high).all(), name
        # 24 strata: the ends are reached to one stratum.
        assert np.ptp(table[name]) >= (1.0 - 2.0 / 24.0) * (high - low)


def test_drivers_fan_out_within_the_range_that_the_scenario_states(done: Done) -> None:
    factor = {name: pd.read_parquet(done.folder / "runs" / f"{name}-all")["world thermal price"]
              for name in SCENARIOS}
    # Baseline: 70 to 140 around 100 at the end.  Decline: 60 to 90 around 75.
    assert factor["baseline"].between(0.7, 1.4).all()
    assert factor["s3-decline"].between(0.8, 1.2).all()
    assert factor["baseline"].max() > 1.2
    assert factor["baseline"].min() < 0.8


def test_a_run_is_what_the_single_run_gives_with_its_factors(done: Done, model: Model) -> None:
    case = next(case for case in done.study.members.cases if case.name == "s3-decline-all")
    table = pd.read_parquet(done.folder / "runs" / case.name).set_index("run")
    row = table.loc[7]
    grid = 2000.0 + np.arange(577) / 16.0
    share = np.clip((grid - 2025.0) / 5.0, 0.0, 1.0)
    inputs: dict[str, Any] = {}
    for name, value in case.inputs.items():
        path = np.broadcast_to(np.atleast_2d(value), (1, 577))[0]
        factor = row[name] if name in case.factors else 1.0
        inputs[name] = pd.Series(path * (1.0 + (factor - 1.0) * share), index=grid)
    for name, one in case.factors.items():
        if one.kind == "constant":
            inputs[name] = float(row[name])
    inputs |= read_draws().iloc[int(row["draw"])].to_dict()
    statistics = annual_statistics(simulate(model, inputs, final_time=2036.0))
    for name in ("real GRP index", "coal output", "unemployment rate", "poverty rate"):
        for year in (2025, 2030, 2035):
            assert row[f"{name} {year}"] == pytest.approx(statistics.at[year, name], rel=1e-10)
    percent = 100.0 * statistics["employed"] / statistics.at[2019, "employed"]
    assert row["employed, % of 2019 2030"] == pytest.approx(percent[2030], rel=1e-10)
    assert row[f"{INDEX} 2030"] == pytest.approx(score(statistics).index.at[2030, "index"],
                                                 rel=1e-9)
    family = index_family()
    codes = family.codes(int(row[LIST]))
    values = run_indicators(family.indicators, statistics)[list(codes)].to_numpy()
    own = index_values(values, family.indicators, family.reference, codes)
    assert row[f"{ANY_LIST} 2030"] == pytest.approx(own[30, 0], rel=1e-9)


def test_the_central_run_is_the_scenario_itself(done: Done, model: Model) -> None:
    statistics = annual_statistics(simulate(model, final_time=2036.0))
    table = done.results.quantiles.set_index(["scenario", "variable"]).loc["baseline"]
    for name in ("real GRP index", "coal exports"):
        np.testing.assert_allclose(table.loc[name, "central"], statistics[name], rtol=1e-10)
    np.testing.assert_allclose(table.loc[INDEX, "central"], score(statistics).index["index"],
                               rtol=1e-9, atol=1e-11)
    # Where only the list is open, the band is that of all admissible lists on this run.
    index = done.results.index
    lists = index[(index["scenario"] == "baseline") & (index["source"] == "lists")]
    expected = family_quantiles(score(statistics).lists)
    np.testing.assert_allclose(lists[list(expected)], expected, rtol=1e-9, atol=1e-11)


def test_quantiles_are_those_of_the_runs(done: Done) -> None:
    runs = pd.read_parquet(done.folder / "runs" / "baseline-all")
    table = pd.read_csv(done.folder / "quantiles.csv")
    row = table[(table["scenario"] == "baseline") & (table["variable"] == "coal output")
                & (table["year"] == 2030)].iloc[0]
    for level in (5, 25, 50, 75, 95):
        assert row[f"q{level:02d}"] == pytest.approx(runs["coal output 2030"].quantile(level / 100))
    assert row["sd"] == pytest.approx(runs["coal output 2030"].std(ddof=0))
    assert row["unit"] == "Mt/year"


def test_history_is_one_and_scenarios_branch_in_2025(done: Done) -> None:
    table = done.results.quantiles.set_index(["scenario", "variable", "year"])
    past = table.index.get_level_values("year") < 2025
    columns = ["central", "q05", "q50", "q95"]
    baseline, decline = (table[past].loc[name, columns] for name in SCENARIOS)
    pd.testing.assert_frame_equal(baseline, decline, rtol=1e-12)
    assert not np.allclose(table.loc[("baseline", "coal output", 2035), columns],
                           table.loc[("s3-decline", "coal output", 2035), columns])


def test_the_sources_of_the_index_stand_apart(done: Done) -> None:
    table = done.results.index.set_index(["scenario", "source", "year"]).loc["baseline"]
    assert set(table.index.get_level_values("source")) == {"lists", "parameters", "drivers", "all"}
    # Drivers vary from 2025 on alone; parameters and lists do before.
    assert (table.loc["drivers"].loc[:2024, "variance"] == 0.0).all()
    assert (table.loc["drivers"].loc[2026:, "variance"] > 0.0).all()
    assert (table.loc["parameters"].loc[2005:, "variance"] > 0.0).all()
    assert (table.loc["all", "share"] == 1.0).all()


def test_other_threads_and_chunks_give_the_same_bytes(
    done: Done, tmp_path: Path
) -> None:
    run_plan(done.study, tmp_path, threads=1, chunk=24)
    for name in ("quantiles.csv", "index.csv", "nonfinite.csv"):
        assert (tmp_path / name).read_bytes() == (done.folder / name).read_bytes()


def test_a_table_of_runs(write: Write, model: Model, tmp_path: Path) -> None:
    plan, file = load_plan(write("table: runs.csv\n"))
    (tmp_path / "runs.csv").write_text("construction time,world thermal price\n2.0,1.0\n"
                                       "3.0,1.2\n2.0,0.8\n", encoding="utf-8")
    study = prepare(plan, file, model)
    out = tmp_path / "out"
    out.mkdir()
    results = run_plan(study, out)
    table = pd.read_parquet(out / "runs" / "baseline-all")
    assert list(table["world thermal price"]) == [1.0, 1.2, 0.8]
    assert table["coal output 2030"].is_unique
    assert list(dict.fromkeys(results.index["source"])) == ["lists", "all"]


def test_calibrated_draws_are_taken_as_a_whole(write: Write, model: Model, tmp_path: Path) -> None:
    (tmp_path / "draws.csv").write_text("construction time,coal capacity life\n2.0,15.0\n"
                                        "3.0,18.0\n", encoding="utf-8")
    plan, file = load_plan(write("runs: 6\ndraws: draws.csv\n"))
    study = prepare(plan, file, model)
    part = study.members.part(0, 0, 6)
    assert sorted(part.factors["draw"]) == [0.0, 0.0, 0.0, 1.0, 1.0, 1.0]
    first, second = (part.values[:, 0, part.factors["draw"] == row] for row in (0.0, 1.0))
    assert (np.ptp(first, axis=1) == 0.0).all()
    assert not np.array_equal(first, second)
    plan, file = load_plan(write("runs: 6\ndraws: draws.csv\nparameters: {construction time: "
                                 "{within: 0.1, why: Made up.}}\n"))
    with pytest.raises(InputError, match=r"parameters\.construction time: stands among the draws"):
        prepare(plan, file, model)


DRIVER = "runs: 4\ndrivers: {world thermal price: {factor: [0.9, 1.1], why: Made up.}}\n"


@pytest.mark.parametrize(("body", "message"), [
    ("runs: 4\n", "nothing varies"),
    ("runs: 0\n" + DRIVER.partition("\n")[2], "runs: not allowed (found: 0"),
    (DRIVER + "run: 4\n", "run: unknown key (found: run; allowed: runs"),
    (DRIVER.replace("runs: 4\n", ""), "the number of runs is missing"),
    (DRIVER.replace("why", "wyh"), "unknown key (found: wyh; allowed: why)"),
    (DRIVER.replace("[0.9, 1.1]", "[1.1, 0.9]"), "the range is upside down or empty"),
    (DRIVER.replace("[0.9, 1.1]", "[1.1, 1.2]"), "the path itself lies outside of its range"),
    (DRIVER.replace("[0.9, 1.1]", "[.nan, 1.2]"), "not allowed"),
    (DRIVER + "method: guess\n", "method: not allowed (found: guess"),
    (DRIVER + "table: runs.csv\n", "a table of runs leaves nothing to sample"),
    (DRIVER + "until: 2030\n", "a scalar lies beyond the last year (found: 2035"),
    ("runs: 4\nparameters: {construction time: {why: Made up.}}\n",
     "a parameter needs one spread"),
    ("runs: 4\nruns: 5\n", "the key 'runs' stands twice"),
    ("", "nothing varies"),
])
def test_broken_plans_are_refused(write: Write, body: str, message: str) -> None:
    path = write(body)
    with pytest.raises(InputError) as caught:
        load_plan(path)
    assert str(path) in str(caught.value)
    assert message in str(caught.value)


@pytest.mark.parametrize(("body", "message"), [
    (DRIVER.replace("world thermal price", "world thermal prize"),
     "drivers.world thermal prize: not one of the drivers (found: world thermal prize; "
     "allowed: for example world thermal price"),
    (DRIVER.replace("world thermal price", "coal output"), "coal output: not one of the drivers"),
    (DRIVER.replace("[0.9, 1.1]", "[0.9, 9.0]"), "leaves its range in baseline"),
    (DRIVER.replace("factor: [0.9, 1.1]", "range: [120, 140]"),
     "a factor on the path cannot give this range"),
    (DRIVER.replace("world thermal price", "export duty rate").replace("factor", "range"),
     "a factor on the path cannot give this range"),
    ("runs: 4\nparameters: {construction time: {spread: {kind: normal, mean: 2.0, sd: 1.0}, "
     "why: Made up.}}\n", "the spread leaves the range of the model file (found: -inf to inf"),
    ("runs: 4\nparameters: {index start: {within: 0.1, why: Made up.}}\n",
     "cannot vary: its range in the model file is one number"),
    (DRIVER + "correlations: [{between: [world thermal price, Brent price], rank: 0.5}]\n",
     "correlations: is not a factor (found: Brent price"),
    (DRIVER + "method: sobol\n" + "seed: 3\n", ""),
    ("table: none.csv\n", "none.csv: file not found"),
    (DRIVER.replace("runs: 4", "runs: 5") + "method: sobol\n", "a power of two"),
])
def test_plans_that_do_not_fit_the_model_are_refused(
    write: Write, model: Model, body: str, message: str
) -> None:
    plan, file = load_plan(write(body))
    if not message:
        prepare(plan, file, model)
        return
    with pytest.raises(InputError) as caught:
        prepare(plan, file, model)
    assert message in str(caught.value)


def test_unknown_plans_scenarios_and_outputs_are_refused(write: Write, model: Model) -> None:
    with pytest.raises(InputError, match=r"plan: no such plan \(found: ensembel; allowed: ens"):
        load_plan("ensembel")
    plan, file = load_plan(write(DRIVER))
    with pytest.raises(InputError, match="no such scenario"):
        prepare(change_plan(plan, file, {"scenarios": ["basline"]}), file, model)
    with pytest.raises(InputError, match=r"coal outputs: the model kuzbass\.mdl has no such"):
        prepare(change_plan(plan, file, {"outputs": ["coal outputs"]}), file, model)


def test_the_command_writes_a_whole_folder(write: Write, tmp_path: Path) -> None:
    out = tmp_path / "out"
    with pytest.raises(SystemExit) as caught:
        main(["ensemble", str(write(DRIVER)), "--runs", "8", "--out", str(out)])
    assert caught.value.code in (0, None)
    manifest = json.loads((out / "manifest.json").read_text(encoding="utf-8"))
    assert (manifest["runs"], manifest["quantiles"]) == (8, "exact")
    assert set(manifest["files"]) >= {"quantiles.csv", "index.csv", "nonfinite.csv",
                                      "figures/index-sources.png",
                                      "runs/baseline-all/part-000000000.parquet"}
    assert not [path for path in tmp_path.iterdir() if "unfinished" in path.name]


def test_the_command_refuses_and_leaves_nothing(
    write: Write, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = set(tmp_path.iterdir())
    plan = write(DRIVER)
    with pytest.raises(SystemExit) as caught:
        main(["ensemble", str(plan), "--scheduler", "none", "--out", str(tmp_path / "out")])
    assert caught.value.code == 2
    assert "--scheduler: not a scheduler (found: none" in capsys.readouterr().err
    assert set(tmp_path.iterdir()) - before == {plan}
