"""Bands around scenarios: what they hold, checked against runs made one by one."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from kuzbass.experiments.ensemble_factors import DRAW
from kuzbass.experiments.interface import model_interface
from kuzbass.experiments.response_bands import replay_bands, response_bands
from kuzbass.experiments.results import CHAIN, QUANTILES, RunResults
from kuzbass.experiments.scenario_bands import scenario_bands, variable_bands
from kuzbass.experiments.score import annual_statistics, score
from kuzbass.experiments.uncertain import Uncertain, quantiles
from kuzbass.region.data import read_table
from kuzbass.region.draws import read_draws
from kuzbass.region.resolve import ModelInterface, resolve
from kuzbass.region.scenario import Scenario, load_scenario
from kuzbass.sd.engine import simulate
from kuzbass.sd.mdl import Model, load_model

END = 2022.0


@pytest.fixture(scope="module")
def model() -> Model:
    return load_model()


@pytest.fixture(scope="module")
def interface(model: Model) -> ModelInterface:
    return model_interface(model, end=END)


def scenario(place: Path, body: str) -> Scenario:
    path = place / "mine.yaml"
    path.write_text("name: mine\ntitle: {en: Mine, ru: Моё}\nnarrative: A test.\n"
                    f"extends: baseline\n{body}", encoding="utf-8")
    return load_scenario(path)


def draws(unsure: Uncertain, name: str = "any") -> dict[str, np.ndarray]:
    """Return the parameters of every run of a case."""
    members = unsure.members([unsure.case(name, {})], ["real GRP index"])
    factors = members.part(0, 0, members.runs).factors
    assert members.rows is not None  # the shipped plan takes calibrated draws
    rows = members.rows.table[factors.pop(DRAW).astype(int)]
    return {**factors, **dict(zip(members.rows.names, rows.T, strict=True))}


def test_bands_are_the_quantiles_of_runs_made_one_by_one(
    model: Model, interface: ModelInterface
) -> None:
    baseline = load_scenario("baseline")
    inputs = resolve(baseline, interface)
    bands = scenario_bands(model, {"baseline": baseline}, {"baseline": inputs}, interface,
                           "baseline", runs=3)
    values = draws(Uncertain(model, interface, runs=3))
    runs = [simulate(model, {**inputs, **{name: column[number] for name, column in values.items()}},
                     final_time=END) for number in range(3)]
    tables = [annual_statistics(run) for run in runs]
    # Before 2025 no driver varies, so all of the spread is that of the parameters.
    for name in ("coal output", "employed"):
        own = bands.of("baseline", name)
        expected = quantiles(np.stack([table[name].to_numpy() for table in tables], axis=1))
        assert own["year"].tolist() == list(range(2000, 2022))
        for level in QUANTILES:
            np.testing.assert_allclose(own[level], expected[level], rtol=1e-9)
    percent = np.stack([100.0 * table["real GRP index"] / table["real GRP index"].loc[2019]
                        for table in tables], axis=1)
    np.testing.assert_allclose(bands.of("baseline", "real GRP index, % of 2019")["q05"],
                               quantiles(percent)["q05"], rtol=1e-9)
    index = np.stack([score(table).index["index"] for table in tables], axis=1)
    own = bands.index[bands.index["source"] == "parameters"]
    np.testing.assert_allclose(own["q95"], quantiles(index)["q95"], rtol=1e-9)
    steps = [run["coal revenue"].to_numpy() for run in runs]
    time = runs[0]["time"].to_numpy()
    base = (time >= 2019) & (time < 2020)
    near = (time >= 2018) & (time <= 2022)
    expected = quantiles(np.stack([100.0 * one[near] / one[base].mean() for one in steps], axis=1))
    own = bands.moments[bands.moments["variable"] == "coal revenue"]
    np.testing.assert_allclose(own["time"], time[near])
    np.testing.assert_allclose(own["q50"], expected["q50"], rtol=1e-9)


def test_bands_of_every_variable_are_those_of_the_report(
    model: Model, interface: ModelInterface
) -> None:
    baseline = load_scenario("baseline")
    inputs = {"baseline": resolve(baseline, interface)}
    bands = scenario_bands(model, {"baseline": baseline}, inputs, interface, "baseline", runs=5)
    everything = variable_bands(model, {"baseline": baseline}, inputs, interface, runs=5)
    moving = {name for name, one in model.variables.items() if one.kind in ("stock", "auxiliary")}
    assert set(everything) == moving
    for name in ("coal output", "coal stockpile", "employed"):
        one, other = everything[name]["baseline"], bands.of("baseline", name)
        assert one.index.tolist() == other["year"].tolist()
        for level in QUANTILES:
            np.testing.assert_allclose(one[level], other[level], rtol=1e-9)


def test_all_scenarios_share_one_history_and_drivers_widen_the_future(
    results: RunResults
) -> None:
    bands = results.bands
    levels = list(QUANTILES)
    assert (np.diff(bands.table[levels].to_numpy(), axis=1) >= 0.0).all()
    assert set(bands.table["scenario"]) == set(results.scenarios)
    targets = read_table("targets.csv")
    assert set(targets["variable"]) <= set(bands.table["variable"])
    assert set(bands.moments["variable"]) == set(CHAIN)
    index = bands.index.set_index(["source", "scenario", "year"])[levels].sort_index()
    for name in results.scenarios:
        past = slice(2000, 2024)
        pd.testing.assert_frame_equal(index.loc["parameters", name].loc[past],
                                      index.loc["parameters", "baseline"].loc[past])
        drivers = index.loc["drivers", name]
        width = drivers["q95"] - drivers["q05"]
        assert width.loc[past].max() < 1e-12
        assert width.loc[2035] > 0.01
        central = results.scenarios[name].index["index"]
        np.testing.assert_allclose(drivers["q50"].loc[past], central.loc[past], rtol=1e-9)
    assert "drivers from 2025 on" in bands.drivers
    assert bands.notes == ()


def test_what_a_scenario_sets_itself_does_not_vary(
    model: Model, interface: ModelInterface
) -> None:
    free = draws(Uncertain(model, interface, runs=4))
    for name in (next(iter(free)), read_draws().columns[0]):  # one with a range, one of the draws
        held = draws(Uncertain(model, interface, fixed=[name], runs=4))
        assert set(held) == set(free) - {name}


def test_drivers_that_would_leave_their_range_stay_still_and_the_reader_is_told(
    model: Model, tmp_path: Path
) -> None:
    interface = model_interface(model, end=2031.0)
    upper = interface.drivers["exchange rate"].upper
    mine = scenario(tmp_path, f"""drivers:
  exchange rate:
    path: {{2030: {upper:g}}}
    basis: assumption
    range: [{0.9 * upper:g}, {1.2 * upper:g}]
    why: A test.
""")
    inputs = resolve(mine, interface)
    bands = scenario_bands(model, {"mine": mine}, {"mine": inputs}, interface, "mine", runs=2)
    (note,) = bands.notes
    assert note.startswith("Drivers do not vary in the bands of mine: ")
    assert "drivers.exchange rate: leaves its range in mine" in note
    own = bands.index[bands.index["source"] == "drivers"]
    np.testing.assert_allclose(own["q95"], own["q05"], rtol=1e-12)


def test_calibrated_draws_are_taken_as_a_whole(model: Model, interface: ModelInterface) -> None:
    table = read_draws()
    unsure = Uncertain(model, interface, runs=30)
    assert unsure.parameters.startswith(f"{len(table)} calibrated draws of {table.shape[1]} param")
    found = draws(unsure)
    rows = np.column_stack([found[name] for name in table])
    known = table.to_numpy()
    assert all((np.isclose(known, row, rtol=1e-12).all(axis=1)).any() for row in rows)
    assert len(np.unique(rows, axis=0)) > 20


def test_a_response_is_that_of_the_same_draw_with_and_without_the_shock(
    model: Model, interface: ModelInterface
) -> None:
    inputs = resolve(load_scenario("baseline"), interface)
    grid = interface.grid
    multiplier = "foreign demand multiplier"
    paths = [pd.Series(np.where((grid >= 2010.0) & (grid < 2012.0), size, 1.0), grid)
             for size in (1.0, 0.8)]
    base, shocked = ({**inputs, multiplier: path} for path in paths)
    table, contains = response_bands(model, interface, base, shocked, ["real GRP index"], 2010.0,
                                     runs=2)
    assert contains.startswith("2 runs over ")
    values = draws(Uncertain(model, interface, runs=2))
    shares = []
    for number in range(2):
        own = {name: column[number] for name, column in values.items()}
        one, other = (simulate(model, {**given, **own}, final_time=END)["real GRP index"]
                      .sel(time=slice(2010.0, None)).to_numpy() for given in (base, shocked))
        shares.append(other / one - 1.0)
    np.testing.assert_allclose(table["q50"], np.mean(shares, axis=0), rtol=1e-7, atol=1e-12)
    assert table["time"].iloc[0] == 2010.0
    assert table["q95"].min() < -0.005  # a fifth less demand is felt whatever the parameters


def test_a_replay_has_bands_on_both_paths(model: Model, interface: ModelInterface) -> None:
    inputs = resolve(load_scenario("baseline"), interface)
    cheap = pd.Series(np.where(interface.grid >= 2009.0, 0.9, 1.0), interface.grid)
    cases = {"simulated": {**inputs, "foreign demand multiplier": cheap}, "without": inputs}
    table, _ = replay_bands(model, interface, cases, {"coal output": "mean"}, 2008, runs=2)
    wide = table.set_index(["path", "year"])
    for level in QUANTILES:
        np.testing.assert_allclose(wide[level].xs(2008, level="year"), 100.0)
    assert (wide.loc[("simulated", 2010), "q95"] < wide.loc[("without", 2010), "q05"])
