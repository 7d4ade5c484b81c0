"""The shipped model: structure, conservation, first fit, shock order, long horizon."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import xarray as xr

from kuzbass.paths import data_dir, model_path
from kuzbass.region.annual import annual
from kuzbass.region.data import fit_table, judged, read_table
from kuzbass.sd.engine import simulate
from kuzbass.sd.graph import dependencies
from kuzbass.sd.lint import lint
from kuzbass.sd.mdl import Model, load_model

RESIDUALS = {
    # identity -> a flow of the same money, people or tonnes that gives it a scale
    "coal balance residual": "cumulative coal mined",
    "coal money residual": "cumulative coal receipts",
    "budget money residual": "cumulative budget revenue",
    "population residual": "population",
}


@pytest.fixture(scope="module")
def model() -> Model:
    return load_model(model_path())


@pytest.fixture(scope="module")
def base(model: Model) -> xr.Dataset:
    return simulate(model)


def test_linter_finds_nothing(model: Model) -> None:
    assert [str(finding) for finding in lint(model)] == []


def test_size_is_that_of_the_design(model: Model) -> None:
    stocks = [v for v in model.variables.values() if v.kind == "stock"]
    assert len(stocks) >= 20
    # Tables are data, not equations.
    assert len([v for v in model.variables.values() if v.kind != "lookup"]) >= 200


def test_every_variable_has_a_reason_and_a_source(model: Model) -> None:
    bare = [name for name, v in model.variables.items()
            if not v.comment.partition("Source:")[0].strip() or "Source:" not in v.comment]
    assert bare == []


@pytest.mark.parametrize(("residual", "scale"), RESIDUALS.items())
def test_conservation_at_every_step(base: xr.Dataset, residual: str, scale: str) -> None:
    error = np.abs(base[residual].to_numpy())
    assert error.max() <= 1e-9 * base[scale].to_numpy().max()


def test_conservation_check_sees_a_leak(tmp_path: Path) -> None:
    # Coal that leaves the stockpile without being shipped must show in the balance.
    text = model_path().read_text(encoding="utf-8")
    old = "INTEG (coal output saleable-coal shipments, initial coal stockpile)"
    assert old in text
    broken = tmp_path / "leak.mdl"
    broken.write_text(text.replace(old, old.replace("-coal shipments", "-1.001*coal shipments")),
                      encoding="utf-8")
    run = simulate(load_model(broken), final_time=2001.0)
    error = np.abs(run["coal balance residual"].to_numpy()).max()
    assert error > 1e-9 * run["cumulative coal mined"].to_numpy().max()


def test_first_fit(base: xr.Dataset) -> None:
    table = judged()
    fit = fit_table(annual(base, dict(zip(table["variable"], table["basis"], strict=True))))
    required = fit[fit["judged"] == "required"].set_index("series")
    assert len(required) >= 18
    assert required.index[~required["passed"].astype(bool)].tolist() == []


def test_levels_start_at_the_observed_start(base: xr.Dataset) -> None:
    for index in ("real GRP index", "industrial production index"):
        assert float(base[index][0]) == 100.0
    observed = read_table("observed.csv").set_index(["series", "year"])["value"]
    first = annual(base, {"population": "mean", "employed": "mean"}).loc[2000]
    assert first["population"] == pytest.approx(observed["population_avg", 2000], rel=0.02)
    assert first["employed"] == pytest.approx(observed["employed_avg_annual", 2000], rel=0.03)


def _onset(base: xr.Dataset, shocked: xr.Dataset, name: str) -> float:
    change = np.abs(shocked[name].to_numpy() / base[name].to_numpy() - 1.0)
    hit = np.flatnonzero(change > 0.01)
    assert len(hit), f"{name} never leaves the base run by one percent"
    return float(base["time"][hit[0]])


@pytest.fixture(scope="module")
def shocked(model: Model, base: xr.Dataset) -> xr.Dataset:
    time = base["time"].to_numpy()
    path = np.where((time >= 2026.0) & (time < 2028.0), 0.8, 1.0)
    return simulate(model, {"foreign demand multiplier": pd.Series(path, index=time)})


def test_shock_runs_down_the_chain(base: xr.Dataset, shocked: xr.Dataset) -> None:
    # The test means something only if demand, not track, binds in the base run.
    window = base.sel(time=slice(2026.0, 2028.0))
    for side in ("east", "west"):
        assert (window[f"willing demand {side}"] < window[f"{side}ern export capacity"]).all()
    onset = {name: _onset(base, shocked, name) for name in
             ("coal revenue", "nominal GRP", "own budget revenue", "fixed investment", "employed")}
    assert onset["coal revenue"] <= 2026.25
    assert onset["coal revenue"] <= onset["nominal GRP"] <= onset["own budget revenue"]
    assert onset["own budget revenue"] < onset["fixed investment"]
    assert onset["own budget revenue"] < onset["employed"]


def test_shock_is_recovered(base: xr.Dataset, shocked: xr.Dataset) -> None:
    for name in ("coal revenue", "nominal GRP", "own budget revenue", "fixed investment",
                 "employed"):
        change = np.abs(shocked[name].to_numpy() / base[name].to_numpy() - 1.0)
        assert change[-1] < 0.25 * change.max(), name


def test_base_run_does_not_feel_a_later_shock(base: xr.Dataset, shocked: xr.Dataset) -> None:
    before = base["time"].to_numpy() < 2026.0
    for name in base.data_vars:
        assert np.array_equal(base[name].to_numpy()[before], shocked[name].to_numpy()[before])


def test_no_explosion_without_growth(model: Model) -> None:
    growth = [name for name, variable in model.variables.items()
              if variable.group == "Drivers" and name.endswith(("growth", "inflation"))]
    assert len(growth) >= 6
    time = np.arange(2000.0, 2051.0, 1.0 / 16.0)
    base = simulate(model, final_time=2051.0)
    inputs = {name: pd.Series(np.where(time < 2025.0, base[name].to_numpy()[:-1], 0.0), index=time)
              for name in growth}
    run = simulate(model, inputs, final_time=2051.0)
    for name in ("nominal GRP", "real GRP index", "consolidated budget revenue", "coal output",
                 "fixed investment", "average monthly wage", "population", "employed",
                 "gross fixed assets"):
        values = run[name].to_numpy()[time.searchsorted(2025.0):]
        assert values.max() < 3.0 * values[0], name
        assert values.min() > values[0] / 5.0, name


def test_named_loops_can_be_cut(model: Model, base: xr.Dataset) -> None:
    loops = pd.read_csv(data_dir() / "loops.csv")
    graph = dependencies(model)
    for _, loop in loops.iterrows():
        path = [model.name(step) for step in loop["path"].split(" -> ")]
        for cause, effect in zip(path, [*path[1:], path[0]], strict=True):
            assert graph.has_edge(cause, effect), f"{loop['loop']}: {cause} -> {effect}"
        run = simulate(model, {loop["cut_constant"]: float(loop["cut_value"])},
                       outputs=["nominal GRP", "real GRP index", "population", "coal output"])
        moved = max(float(np.max(np.abs(run[name] / base[name] - 1.0))) for name in run.data_vars)
        assert 1e-6 < moved < 10.0, loop["loop"]
