"""From a scenario to inputs: exact values on the grid, and refusals that name the file."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import pytest

from kuzbass.errors import InputError
from kuzbass.region.resolve import ModelInterface, Setting, resolve, table_mode
from kuzbass.region.scenario import load_scenario

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

HOLD = 15 / 16
STEP_TABLE = pd.Series({2000.0: 10.0, 2000 + HOLD: 10.0, 2023.0: 20.0, 2023 + HOLD: 20.0,
                        2024.0: 40.0, 2024 + HOLD: 40.0, 2025.0: 50.0, 2036 + HOLD: 50.0})
GROWTH_TABLE = pd.Series({2000.0: 0.1, 2000.4375: 0.1, 2023.5: 0.02, 2024.4375: 0.02,
                          2024.5: 0.03, 2025.4375: 0.03, 2025.5: 0.04, 2036.4375: 0.04})
LINE_TABLE = pd.Series({2000.125: 100.0, 2024.875: 140.0, 2025.125: 130.0, 2026.0: 120.0,
                        2036.0: 120.0})


def _setting(table: pd.Series | None = None, value: float = float("nan"), lower: float = -1e3,
             upper: float = 1e3) -> Setting:
    return Setting("u", lower, upper, table, value)


MODEL = ModelInterface(
    drivers={"exchange rate": _setting(STEP_TABLE, lower=0.0),
             "GDP growth": _setting(GROWTH_TABLE), "coal price": _setting(LINE_TABLE, upper=500.0)},
    parameters={"mine life": _setting(value=20.0, lower=5.0, upper=30.0)},
    policies={"port programme": _setting(value=1.0, lower=0.0, upper=10.0)},
    computed=frozenset({"coal output", "real GRP index", "exchange rate table"}),
    start=2000.0, end=2036.0, time_step=1 / 16,
)
HEAD = "name: mine\ntitle: {en: a, ru: б}\nnarrative: x\n"


@pytest.fixture
def run(write: Callable[..., Path]) -> Callable[..., dict[str, Any]]:
    """Resolve a scenario given by the sections of its file."""

    def inputs(sections: str, model: ModelInterface = MODEL) -> dict[str, Any]:
        return resolve(load_scenario(write("mine.yaml", HEAD + sections)), model)

    return inputs


def _driver(name: str, path: str) -> str:
    return f"drivers:\n  {name}: {{{path}, basis: EI2024, why: x}}\n"


def _base(table: pd.Series) -> np.ndarray:
    return np.interp(MODEL.grid, table.index, table)


def test_layout_of_a_table() -> None:
    assert table_mode(STEP_TABLE) == "step"
    assert table_mode(GROWTH_TABLE) == "growth"
    assert table_mode(LINE_TABLE) == "linear"
    assert table_mode(pd.Series({2000.0: 1.0, 2036.0: 1.0})) == "linear"


def test_layout_of_the_tables_of_the_model(model: Any) -> None:
    modes = {name.removesuffix(" table"): table_mode(pd.Series(curve.y, index=curve.x))
             for name, curve in model.curves().items() if model.variables[name].group == "Drivers"}
    assert modes["exchange rate"] == "step"
    assert modes["coal import demand east"] == "step"
    assert modes["national GDP growth"] == "growth"
    assert modes["rail tariff inflation"] == "growth"
    assert modes["world thermal price"] == "linear"
    assert modes["eastern track programme"] == "linear"


def test_baseline_changes_nothing(run: Callable[..., Any]) -> None:
    assert run("") == {}


@pytest.mark.parametrize(
    ("name", "table"),
    [("exchange rate", STEP_TABLE), ("GDP growth", GROWTH_TABLE), ("coal price", LINE_TABLE)],
)
@pytest.mark.parametrize("path", ["path: {2026: 0.5}", "multiply: {2025: 0.3, 2030: 2}"])
def test_before_2025_the_record_stands_bit_by_bit(
    run: Callable[..., Any], name: str, table: pd.Series, path: str
) -> None:
    series = run(_driver(name, path))[name]
    before = series.index < 2025.0
    assert (series.to_numpy()[before] == _base(table)[before]).all()
    assert (series.to_numpy()[~before] != _base(table)[~before]).any()
    assert series.index.tolist() == MODEL.grid.tolist()


def test_step_path(run: Callable[..., Any]) -> None:
    series = run(_driver("Exchange_Rate", "path: {2026: 80, 2030: 100}"))["exchange rate"]
    # 2024 is 40, so 2025 lies half way to 80; then lines between the years; then held.
    for year, value in {2025: 60, 2026: 80, 2027: 85, 2028: 90, 2030: 100, 2035: 100}.items():
        own = series[(series.index >= year) & (series.index < year + 1)]
        assert own.tolist() == [value] * 16


def test_growth_path_moves_at_mid_year(run: Callable[..., Any]) -> None:
    series = run(_driver("GDP growth", "path: {2025: 0.05, 2027: 0.01}"))["GDP growth"]
    assert series[2024.9375] == pytest.approx(0.03)
    assert series.loc[2025.0:2025.4375].tolist() == pytest.approx([0.05] * 8)
    assert series.loc[2025.5:2026.4375].tolist() == pytest.approx([0.03] * 16)
    assert series.loc[2026.5:].tolist() == pytest.approx([0.01] * len(series.loc[2026.5:]))


def test_linear_path_runs_through_the_middles_of_the_years(run: Callable[..., Any]) -> None:
    series = run(_driver("coal price", "path: {2026: 95, 2028: 105}"))["coal price"]
    # From 135 at the start of 2025; 2024 was 140 - 40/24.75 * 0.375 at its middle.
    middle_of_2024 = 100.0 + 40.0 / 24.75 * (2024.5 - 2000.125)
    assert series[2025.0] == pytest.approx(135.0)
    assert series[2025.5] == pytest.approx((middle_of_2024 + 95.0) / 2.0)
    assert series[2026.5] == pytest.approx(95.0)
    assert series[2027.0] == pytest.approx(97.5)
    assert series[2028.5] == pytest.approx(105.0)
    assert series[2036.0] == pytest.approx(105.0)


def test_multiply_goes_from_one_in_2024(run: Callable[..., Any]) -> None:
    series = run(_driver("exchange rate", "multiply: {2028: 3.0}"))["exchange rate"]
    for year, factor in {2025: 1.5, 2026: 2.0, 2028: 3.0, 2035: 3.0}.items():
        assert series[year] == pytest.approx(50.0 * factor)
    line = run(_driver("coal price", "multiply: {2025: 1.0, 2035: 2.0}"))["coal price"]
    assert line[2025.0] == 135.0
    assert line[2030.5] == pytest.approx(1.5 * 120.0)
    assert line[2035.5] == pytest.approx(2.0 * 120.0)


def test_a_layer_multiplies_the_path_it_extends(write: Callable[..., Path]) -> None:
    write("root.yaml", HEAD.replace("mine", "root") + _driver("exchange rate", "path: {2025: 60}"))
    child = write("mine.yaml", HEAD + "extends: root\n"
                  + _driver("Exchange rate", "multiply: {2025: 1.5}"))
    series = resolve(load_scenario(child), MODEL)["exchange rate"]
    assert series[2025.0] == pytest.approx(90.0)
    assert series[2024.0] == 40.0


def test_a_later_layer_wins(write: Callable[..., Path]) -> None:
    write("root.yaml", HEAD.replace("mine", "root")
          + "parameters:\n  mine life: {value: 10, basis: assumption, why: x}\n"
          + "policies:\n  port programme: {value: 5, from: 2025, basis: assumption, why: x}\n")
    child = write("mine.yaml", HEAD + "extends: root\n"
                  + "parameters:\n  Mine life: {value: 12, basis: assumption, why: x}\n"
                  + "policies:\n  port programme: {value: 3, from: 2030, basis: assumption, "
                  "why: x}\n")
    inputs = resolve(load_scenario(child), MODEL)
    assert inputs["mine life"] == 12.0
    assert "Mine life" not in inputs
    assert inputs["port programme"].loc[2029.9375:2030.0].tolist() == [1.0, 3.0]


@pytest.mark.parametrize(
    ("ramp", "expected"),
    [("0", {2025.9375: 1.0, 2026.0: 5.0, 2036.0: 5.0}),
     ("2", {2026.0: 1.0, 2026.5: 2.0, 2027.0: 3.0, 2028.0: 5.0, 2030.0: 5.0})],
)
def test_policy(run: Callable[..., Any], ramp: str, expected: dict[float, float]) -> None:
    inputs = run("policies:\n  port programme: {value: 5, from: 2026, basis: assumption, why: x, "
                 f"ramp: {ramp}}}\n")
    assert {time: inputs["port programme"][time] for time in expected} == expected
    assert (inputs["port programme"].loc[:2025.9375] == 1.0).all()


def _shock(text: str) -> str:
    return f"shocks:\n  - {{{text}}}\n"


@pytest.mark.parametrize(
    ("shock", "expected"),
    [
        ("on: exchange rate, by: -20%, from: 2026, for: 2",
         {2025.9375: 50.0, 2026.0: 40.0, 2027.9375: 40.0, 2028.0: 50.0}),
        ("on: exchange rate, by: -5, from: 2026.5, for: 0.5",
         {2026.4375: 50.0, 2026.5: 45.0, 2026.9375: 45.0, 2027.0: 50.0}),
        ("on: exchange rate, by: +10%, from: 2030, shape: step",
         {2029.9375: 50.0, 2030.0: 55.0, 2036.0: 55.0}),
        ("on: exchange rate, by: 8, from: 2026, for: 4, shape: ramp",
         {2026.0: 50.0, 2027.0: 52.0, 2030.0: 58.0, 2036.0: 58.0}),
        ("on: exchange rate, by: -50%, from: 2026, for: 4, shape: ramp",
         {2026.0: 50.0, 2028.0: 37.5, 2030.0: 25.0, 2036.0: 25.0}),
        ("on: mine life, by: -25%, from: 2026, for: 1",
         {2000.0: 20.0, 2026.0: 15.0, 2027.0: 20.0}),
        ("on: port programme, by: 2, from: 2026, for: 1",
         {2025.9375: 1.0, 2026.0: 3.0, 2027.0: 1.0}),
    ],
)
def test_shock(run: Callable[..., Any], shock: str, expected: dict[float, float]) -> None:
    (series,) = run(_shock(shock)).values()
    for time, value in expected.items():
        assert series[time] == pytest.approx(value, rel=1e-12), time


def test_shock_leaves_the_base_bit_by_bit_before_it(run: Callable[..., Any]) -> None:
    sections = _driver("coal price", "path: {2026: 95, 2028: 105}")
    base = run(sections)["coal price"]
    shocked = run(sections + _shock("on: coal price, by: -20%, from: 2026, for: 2"))["coal price"]
    outside = (base.index < 2026) | (base.index >= 2028)
    assert (shocked[outside] == base[outside]).all()
    np.testing.assert_allclose(shocked[~outside], 0.8 * base[~outside], rtol=1e-14)


def test_shock_lies_on_the_parameter_of_the_scenario(run: Callable[..., Any]) -> None:
    inputs = run("parameters:\n  mine life: {value: 10, basis: assumption, why: x}\n"
                 + _shock("on: mine life, by: 100%, from: 2026, for: 1"))
    assert inputs["mine life"].loc[2025.9375:2026.0].tolist() == [10.0, 20.0]


@pytest.mark.parametrize(
    ("sections", "message"),
    [
        (_driver("coal output", "path: {2026: 300}"), r"drivers\.coal output: the model computes "
         r"this; a scenario sets causes, not outcomes \(found: coal output; allowed: drive"),
        (_shock("on: Real_GRP index, by: -5%, from: 2026, for: 1"), r"shocks\.0\.on: the model "
         r"computes this"),
        (_driver("exchange rates", "path: {2026: 90}"), r"drivers\.exchange rates: unknown variable"
         r" \(found: exchange rates; allowed: for example exchange rate\)"),
        (_driver("zzz", "path: {2026: 90}"), "zzz: unknown variable .*allowed: for example GDP gr"),
        (_shock("on: coal prise, by: 1, from: 2026, for: 1"), r"shocks\.0\.on: unknown variable .*"
         "allowed: for example coal price"),
        (_driver("mine life", "path: {2026: 9}"), r"drivers\.mine life: stands in the wrong section"
         r" \(found: mine life; allowed: under parameters\)"),
        ("parameters:\n  coal price: {value: 1, basis: assumption, why: x}\n", "under drivers"),
        (_driver("coal price", "path: {2026: 501}"), r"drivers\.coal price: value out of range "
         r"\(found: 501; allowed: -1000 to 500 u\)"),
        ("parameters:\n  mine life: {value: 4, basis: assumption, why: x}\n",
         r"parameters\.mine life\.value: value out of range \(found: 4; allowed: 5 to 30 u\)"),
        ("policies:\n  port programme: {value: 11, from: 2026, basis: assumption, why: x}\n",
         r"policies\.port programme\.value: value out of range \(found: 11; allowed: 0 to 10 u\)"),
        (_shock("on: exchange rate, by: -150%, from: 2026, for: 1"), r"shocks\.0\.by: value out of "
         r"range \(found: -25; allowed: 0 to 1000 u\)"),
        (_shock("on: coal price, by: 1, from: 2040, for: 1"), r"shocks\.0\.from: the shock moves "
         r"nothing: .* \(found: 2040 to 2041; allowed: before 2036, for at least 0\.0625 years\)"),
        (_shock("on: coal price, by: 1, from: 2026.01, for: 0.01"), "the shock moves nothing"),
    ],
)
def test_refusals(run: Callable[..., Any], sections: str, message: str) -> None:
    with pytest.raises(InputError, match=r"mine\.yaml: .*" + message):
        run(sections)


def test_the_file_of_the_layer_is_named(write: Callable[..., Path]) -> None:
    write("root.yaml", HEAD.replace("mine", "root") + _driver("coal price", "path: {2026: 501}"))
    child = write("mine.yaml", HEAD + "extends: root\n")
    with pytest.raises(InputError, match=r"root\.yaml: drivers\.coal price: value out of range"):
        resolve(load_scenario(child), MODEL)


def test_grid_of_a_coarser_run(run: Callable[..., Any]) -> None:
    model = ModelInterface(**{**vars(MODEL), "time_step": 0.25, "end": 2030.0})
    series = run(_driver("exchange rate", "path: {2026: 80}"), model)["exchange rate"]
    assert series.index.tolist() == [2000.0 + 0.25 * n for n in range(121)]
    assert series.loc[2026.0:2026.75].tolist() == [80.0] * 4
