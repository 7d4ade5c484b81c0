"""What the targets would take: causes are those of scenario files, answers can be run."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from kuzbass.experiments.interface import model_interface
from kuzbass.experiments.lab.attain import (
    VERDICTS,
    AttainResult,
    attain,
    attain_lines,
    write_attain,
)
from kuzbass.experiments.lab.attain_causes import Causes
from kuzbass.experiments.lab.attain_plan import AttainPlan
from kuzbass.experiments.lab.levers import model_levers
from kuzbass.experiments.lab.plan_files import check_plan, read_plan
from kuzbass.experiments.lab.surface import Surface
from kuzbass.experiments.run import simulate_scenario
from kuzbass.experiments.score import annual_statistics
from kuzbass.region.resolve import ModelInterface, resolve
from kuzbass.region.scenario import load_scenario
from kuzbass.sd.mdl import Model

SCENARIO = "s1-coal-paradigm"


@pytest.fixture(scope="module")
def interface(model: Model) -> ModelInterface:
    return model_interface(model, end=2036.0)


@pytest.fixture(scope="module")
def small() -> tuple[AttainPlan, Path]:
    """A few causes, two knots, a coarse surface."""
    plan, file = read_plan(AttainPlan, "attain")
    data = plan.model_dump(by_alias=True)
    data["knots"] = [2030, 2035]
    for section, kept in (("drivers", ("coal import demand east", "world thermal price",
                                       "discount east", "national GDP growth")),
                          ("levers", ("western port programme", "small business support"))):
        data[section] = {name: {key: value for key, value in data[section][name].items()
                                if value is not None} for name in kept}
    data["surface"]["demand"]["steps"] = 5
    data["surface"]["price"]["steps"] = 4
    return check_plan(AttainPlan, data, file), file


@pytest.fixture(scope="module")
def causes(model: Model, interface: ModelInterface, small: tuple[AttainPlan, Path]) -> Causes:
    plan, file = small
    return Causes(plan, file, load_scenario(SCENARIO), interface, model_levers(model))


@pytest.fixture(scope="module")
def result(model: Model, small: tuple[AttainPlan, Path]) -> AttainResult:
    return attain(*small, "strategy-395", model=model)


def test_no_change_is_the_scenario_itself(causes: Causes, interface: ModelInterface) -> None:
    inputs = causes.inputs(np.zeros((1, len(causes.causes))))
    for name, value in resolve(load_scenario(SCENARIO), interface).items():
        expected = value.to_numpy() if isinstance(value, pd.Series) else value
        assert np.allclose(inputs[name], expected, rtol=1e-12, atol=1e-12), name


def test_a_change_is_what_its_scenario_file_says(
    causes: Causes, interface: ModelInterface, tmp_path: Path
) -> None:
    box = causes.box
    change = box.low + np.linspace(0.2, 0.9, len(box.low)) * (box.high - box.low)
    written = causes.scenario_file(change, "mine", "Made up.")
    assert set(written.drivers) | set(written.policies) == {one.name for one in causes.causes}
    path = tmp_path / "mine.yaml"
    path.write_text(written.model_dump_json(by_alias=True, exclude_none=True), encoding="utf-8")
    assert written.extends == SCENARIO
    resolved = resolve(load_scenario(_with_year_keys(path)), interface)
    inputs = causes.inputs(change[None, :])
    for name in causes.paths:
        # The file keeps six decimals.
        assert np.allclose(inputs[name][0], resolved[name], rtol=1e-5, atol=1e-5), name


def _with_year_keys(path: Path) -> Path:
    """JSON turns years into text; a scenario file has numbers."""
    text = path.read_text(encoding="utf-8")
    for year in (2030, 2035):
        text = text.replace(f'"{year}":', f"{year}: ")
    path.write_text(text, encoding="utf-8")
    return path


def test_a_lever_is_counted_from_what_the_scenario_does(causes: Causes) -> None:
    own = next(one for one in causes.causes if one.name == "western port programme")
    assert own.own == 1.5
    assert (own.year, own.low, own.high) == (2026, 0.0, 5.0)
    place = causes.causes.index(own)
    assert causes.box.low[place] == pytest.approx(-0.3)
    assert causes.box.high[place] == pytest.approx(0.7)
    assert causes.values(np.zeros(len(causes.causes)))[place] == 1.5


def test_a_driver_moved_at_all_knots_over_its_range_counts_as_one(causes: Causes) -> None:
    rows = [number for number, one in enumerate(causes.causes)
            if one.name == "coal import demand east"]
    assert len(rows) == 2
    change = np.zeros(len(causes.causes))
    change[rows] = 1.0
    assert causes.box.effort(change) == pytest.approx(1.0)


def test_395_is_asked_of_the_scenario_that_the_plan_names(result: AttainResult) -> None:
    assert (result.scenario, result.start) == ("strategy-395", SCENARIO)
    row = result.targets.iloc[0]
    assert row["verdict"] in VERDICTS
    # Demand may grow by a tenth here; a model that makes 395 Mt of it has no market.
    assert row["verdict"] == "out of reach"
    assert row["gap"] > 0.0
    assert np.isnan(row["price"])
    assert result.sets["met"].tolist() == [0, 0, 0, 0]


def test_the_answer_can_be_run_and_gives_what_was_said(
    result: AttainResult, model: Model, tmp_path: Path
) -> None:
    write_attain(result, tmp_path)
    scenario = load_scenario(tmp_path / "attained-strategy-395.yaml")
    run = annual_statistics(simulate_scenario(model, scenario))
    assert run.loc[2035, "coal output"] == pytest.approx(result.targets["reached"].iloc[0],
                                                         rel=1e-4)
    start = annual_statistics(simulate_scenario(model, load_scenario(SCENARIO)))
    assert start.loc[2035, "coal output"] == pytest.approx(result.targets["own"].iloc[0],
                                                           rel=1e-9)
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "attained-strategy-395.yaml", "causes.csv", "claims.csv", "conflicts.csv", "sets.csv",
        "surface.csv", "targets.csv"]
    assert attain_lines(result, tmp_path)[-1] == f"Written to {tmp_path}"


def test_the_surface_rises_with_demand_and_has_the_prices_it_was_given(
    result: AttainResult,
) -> None:
    surface = result.surface
    assert surface.output.shape == (4, 5)
    assert (np.diff(surface.output, axis=1) > -0.5).all()
    # All runs of a row have one price, in proportion to the factor.
    assert np.ptp(surface.thermal, axis=1) == pytest.approx(np.zeros(4), abs=1e-9)
    assert surface.thermal[:, 0] / surface.price[:, 0] == pytest.approx(
        np.full(4, surface.thermal[0, 0] / surface.price[0, 0]))
    assert len(surface.claims) == 4


def plane() -> Surface:
    """Index = output / 100 - price / 1000 on a grid of two prices."""
    output = np.array([[100.0, 200.0, 300.0], [150.0, 250.0, 350.0]])
    thermal = np.array([[50.0] * 3, [150.0] * 3])
    return Surface("made up", (2033, 2035), np.ones((2, 3)), np.ones((2, 3)), output, thermal,
                   output / 100.0 - thermal / 1000.0, pd.DataFrame())


def test_the_surface_is_read_between_runs_and_never_beyond() -> None:
    surface = plane()
    assert surface.at(np.array([160.0, 280.0]), 100.0) == pytest.approx([1.5, 2.7])
    # At 100 USD the least output is 125; 200 USD lie above all rows.
    assert np.isnan(surface.at(np.array([120.0]), 100.0)).all()
    assert np.isnan(surface.at(np.array([200.0]), 200.0)).all()
