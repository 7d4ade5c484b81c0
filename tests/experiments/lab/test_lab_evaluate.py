"""Policies in futures and under shocks: each must be what a single run of the model gives."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from kuzbass.errors import InputError
from kuzbass.experiments.interface import model_interface
from kuzbass.experiments.lab import Futures, Lab, Lever, Metric, Moves, prepare_lab
from kuzbass.experiments.lab.evaluate import ShockAt, ShockPath
from kuzbass.experiments.lab.levers import COSTS, OUTSIDE, model_levers
from kuzbass.experiments.lab.robust import _apart
from kuzbass.experiments.run import load_scenarios
from kuzbass.experiments.score import annual_statistics, score
from kuzbass.region.crises import crisis, is_additive, recorded_path
from kuzbass.region.draws import read_draws
from kuzbass.region.shocks import load_shock
from kuzbass.sd.engine import simulate
from kuzbass.sd.mdl import Model

GRID = np.arange(2025.0, 2031.0, 0.5)


def test_every_lever_of_the_issue_is_there_with_range_and_basis(model: Model) -> None:
    levers = {one.name: one for one in model_levers(model)}
    assert set(levers) >= {
        "eastern rail and port programme", "non coal share of payout", "reserve saving share",
        "regional diversification programme", "machine building programme",
        "local value chain programme", "interregional corridor programme",
        "research support share", "retraining programme", "small business support",
        "coal price tax share", "managed closure rate"}
    assert not OUTSIDE & set(levers)
    for one in levers.values():
        assert one.lower <= one.value <= one.upper
        assert one.lower < one.upper
        assert one.basis
    assert set(COSTS) <= set(model.variables)
    assert all(model.variables[name].unit == "bn RUB/year" for name in COSTS)


def test_a_lever_moves_from_its_start_over_its_ramp() -> None:
    moves = Moves(("a", "b"), np.array([[10.0, 1.0], [np.nan, 5.0]]), np.array([[2026.0, 2027.0]]),
                  np.array([[2.0, 0.0]]))
    before = {"a": 2.0, "b": np.full((1, len(GRID)), 3.0)}
    paths = moves.paths(GRID, before)
    np.testing.assert_array_equal(paths["a"][0, GRID <= 2026.0], 2.0)
    assert paths["a"][0, GRID == 2027.0] == 6.0, "half way after half of the ramp"
    np.testing.assert_array_equal(paths["a"][0, GRID >= 2028.0], 10.0)
    np.testing.assert_array_equal(paths["a"][1], 2.0)  # NaN: as the scenario has it
    np.testing.assert_array_equal(paths["b"][:, GRID < 2027.0], 3.0)
    np.testing.assert_array_equal(paths["b"][:, GRID >= 2027.0], [[1.0] * 8, [5.0] * 8])


def test_policies_of_other_levers_are_stacked() -> None:
    levers = [Lever(name, "Dmnl", 0.0, 1.0, 0.0, "assumption") for name in "abc"]
    one = Moves(("c",), np.array([[0.5]]), np.array([[2026.0]]), np.array([[1.0]]))
    other = Moves(("b", "a"), np.array([[0.2, 0.3]]), np.array([[2027.0]]), np.array([[0.0]]))
    both = Moves.stack([one, other], levers)
    np.testing.assert_array_equal(both.values, [[np.nan, np.nan, 0.5], [0.3, 0.2, np.nan]])
    assert both.start[0, 2] == 2026.0
    assert list(both.start[1, :2]) == [2027.0, 2027.0]


def test_a_shock_scales_a_price_and_adds_to_a_rate() -> None:
    path = np.array([[10.0, 20.0], [1.0, 2.0]])
    scaled = ShockPath(np.array([[0.5, 1.0]]), adds=False, lower=0.0, upper=15.0)
    np.testing.assert_array_equal(scaled.on(path), [[5.0, 15.0], [0.5, 2.0]])
    added = ShockPath(np.array([[-0.5, 0.0]]), adds=True, lower=0.0, upper=30.0)
    np.testing.assert_array_equal(added.on(path), [[9.5, 20.0], [0.5, 2.0]])


def test_a_run_is_what_the_engine_and_the_score_give(
    lab: Lab, futures: Futures, model: Model
) -> None:
    """The whole way by other means: one policy, one future, with and without the crisis."""
    names = ["machine building programme", "small business support"]
    moves = lab.moves(names, np.array([8.0, 0.02]), 2026.0, 3.0)
    factors = futures.values(lab.settings["baseline"].factors, 7, 8)
    own = dict(zip(lab.names, lab.evaluate(moves, factors)[0], strict=True))
    interface = model_interface(model, end=2032.0)
    grid = interface.grid
    inputs: dict[str, Any] = {}
    for name, column in factors.items():
        if name == "draw":
            inputs |= read_draws().iloc[int(column[0])].to_dict()
            continue
        setting = interface.drivers.get(name)
        if setting is None or setting.table is None:
            inputs[name] = float(column[0])
            continue
        share = 1.0 + (column[0] - 1.0) * np.clip((grid - 2025.0) / 5.0, 0.0, 1.0)
        inputs[name] = np.interp(grid, setting.table.index, setting.table) * share
    for name, value in zip(names, (8.0, 0.02), strict=True):
        inputs[name] = value * np.clip((grid - 2026.0) / 3.0, 0.0, 1.0)
    plain = _annual(model, inputs, grid)
    assert own["index"] == pytest.approx(score(plain).index.at[2030, "index"], rel=1e-9)
    assert own["lowest GRP"] == pytest.approx(plain.loc[2025:2031, "real GRP index"].min())
    assert own["jobs"] == pytest.approx(
        100.0 * plain.at[2030, "employed"] / plain.at[2019, "employed"])
    assert own["debt"] == pytest.approx(plain.at[2031, "regional state debt"])
    shocked = dict(inputs)
    for line in load_shock("as-in-2020").shocks:
        setting = interface.drivers[line.on]
        table = np.interp(grid, setting.table.index, setting.table)
        moved = recorded_path(line.on, setting, table, grid, crisis(2020), 2028.0, 1.0)
        base = inputs.get(line.on, table)
        shocked[line.on] = base + (moved - table) if is_additive(setting) else base * moved / table
    under = _annual(model, shocked, grid)
    loss = 100.0 * (1.0 - under["real GRP index"] / plain["real GRP index"])
    assert own["loss"] == pytest.approx(loss.loc[2028:2030].max(), rel=1e-8)
    assert 0.0 < own["loss"] < 20.0
    there = dict(zip(lab.names, lab.evaluate(moves, factors, shock="crisis")[0], strict=True))
    assert there["jobs"] == pytest.approx(
        100.0 * under.at[2030, "employed"] / under.at[2019, "employed"])
    assert there["loss"] == own["loss"], "a loss is against the run without any shock"


def _annual(model: Model, inputs: dict[str, Any], grid: np.ndarray) -> pd.DataFrame:
    series = {name: pd.Series(value, grid) if np.ndim(value) else value
              for name, value in inputs.items()}
    return annual_statistics(simulate(model, series, final_time=2032.0))


def test_runs_do_not_depend_on_their_company(lab: Lab, futures: Futures) -> None:
    factors = futures.values(lab.settings["baseline"].factors)
    values = np.linspace(0.0, 10.0, 300)[:, None]
    moves = lab.moves(["machine building programme"], values, 2026.0, 3.0)
    many = lab.evaluate(moves, factors, threads=2)
    assert many.shape == (300, len(lab.names))
    assert np.isfinite(many).all()
    np.testing.assert_array_equal(many, lab.evaluate(moves, factors, threads=1))
    for run in (0, 255, 256, 299):
        alone = lab.evaluate(moves.part(run, run + 1),
                             {name: column[run] for name, column in factors.items()})
        np.testing.assert_array_equal(alone[0], many[run])


def test_a_policy_in_a_scenario_replaces_its_levers_and_keeps_the_others(lab: Lab) -> None:
    plain = lab.evaluate(scenario="s2-interregional")
    # From 2028 on the scenario has the full programme itself.
    same = lab.moves(["machine building programme"], np.array([8.0]), 2028.0, 3.0)
    np.testing.assert_allclose(lab.evaluate(same, scenario="s2-interregional"), plain, rtol=1e-12)
    less = lab.moves(["machine building programme"], np.array([0.0]), 2025.0, 0.0)
    assert (lab.evaluate(less, scenario="s2-interregional")[:, 0] < plain[:, 0]).all()
    untouched = lab.moves(["machine building programme"], np.array([np.nan]), 2025.0)
    np.testing.assert_array_equal(lab.evaluate(untouched, scenario="s2-interregional"), plain)


def test_annual_values_are_those_behind_the_metrics(lab: Lab) -> None:
    annual = lab.annual()
    place = {int(year): number for number, year in enumerate(lab.years)}
    own = dict(zip(lab.names, lab.evaluate()[0], strict=True))
    assert own["index"] == annual["resilience index"][place[2030], 0]
    jobs = annual["employed"][:, 0]
    assert own["jobs"] == 100.0 * jobs[place[2030]] / jobs[place[2019]]


def test_a_lab_can_be_sent_to_another_process(lab: Lab) -> None:
    there = pickle.loads(pickle.dumps(lab))
    np.testing.assert_array_equal(there.evaluate(), lab.evaluate())


@pytest.mark.parametrize(("keys", "message"), [
    ({"scenario": "s3-decline"}, "scenario: not a scenario of this lab (found: s3-decline"),
    ({"shock": "war"}, "shock: not a shock of this lab (found: war; allowed: crisis)"),
    ({"futures": {"world thermal prize": 1.0}}, "does not vary between futures (found: world"),
    ({"futures": {"Brent price": np.ones(2), "policy rate": np.ones(3)}},
     "the numbers of runs do not fit (found: 1, 2, 3"),
])
def test_what_a_lab_does_not_have_is_refused(
    lab: Lab, keys: dict[str, Any], message: str
) -> None:
    with pytest.raises(InputError) as caught:
        lab.evaluate(**keys)
    assert message in str(caught.value)


def test_other_refusals(lab: Lab) -> None:
    with pytest.raises(InputError, match=r"not a lever \(found: machine building; allowed"):
        lab.moves(["machine building"], np.array([1.0]), 2026.0)
    with pytest.raises(InputError, match="the last axis must hold the levers"):
        lab.moves(["machine building programme"], np.ones((3, 2)), 2026.0)
    with pytest.raises(InputError, match="a lever must be a number"):
        lab.moves(["machine building programme"], np.array([np.inf]), 2026.0)
    assert ShockAt("as-in-2020", 2030.5).file().shocks[0].start == 2030.5


def test_a_future_takes_a_draw_of_parameters_as_a_whole(model: Model, tmp_path: Path) -> None:
    (tmp_path / "draws.csv").write_text(
        "construction time,coal capacity life\n2.0,15.0\n3.0,18.0\n", encoding="utf-8")
    plan = tmp_path / "wide.yaml"
    plan.write_text(
        "name: wide\ntitle: {en: Wide, ru: Широко}\nnarrative: Made up.\nscenarios: [baseline]\n"
        "outputs: [coal output]\nruns: 6\ndraws: draws.csv\n", encoding="utf-8")
    interface = model_interface(model, end=2026.0)
    futures = Futures.of_plan(plan, interface, {"seed": 1})
    metrics = {"coal": Metric(of="coal output", better="more", years=(2025,))}
    lab = prepare_lab(load_scenarios(["baseline"]), metrics, futures=futures, until=2025,
                      model=model)
    factors = futures.values(lab.settings["baseline"].factors)
    assert sorted(factors["draw"]) == [0.0, 0.0, 0.0, 1.0, 1.0, 1.0]
    own = lab.evaluate(futures={"draw": np.array([0.0, 1.0])})[:, 0]
    for value, (time, life) in zip(own, [(2.0, 15.0), (3.0, 18.0)], strict=True):
        run = simulate(model, {"construction time": time, "coal capacity life": life},
                       final_time=2026.0)
        assert value == pytest.approx(annual_statistics(run).at[2025, "coal output"], rel=1e-10)
    assert own[0] != own[1]
    taken = _apart(pd.DataFrame({"run": [0, 1], "draw": [1.0, 0.0]}), lab)
    assert list(taken["coal capacity life"]) == [18.0, 15.0]
    assert "draw" not in taken
