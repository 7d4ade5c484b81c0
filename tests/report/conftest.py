"""Results to draw: one real run; the scenarios differ by a made-up factor from 2025 on."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import xarray as xr

from kuzbass.experiments.results import (
    CHAIN,
    CRISIS,
    QUANTILES,
    Bands,
    Comparison,
    RunResults,
    ScenarioResult,
)
from kuzbass.paths import model_path
from kuzbass.region import data
from kuzbass.region.annual import annual
from kuzbass.region.claims import index_claims
from kuzbass.region.resilience import Family, load_indicators, resilience, run_indicators
from kuzbass.region.targets import compare_targets
from kuzbass.sd.engine import simulate
from kuzbass.sd.mdl import load_model

FACTORS = {"baseline": 1.0, "s1-coal-paradigm": 1.15, "s2-interregional": 1.05,
           "s3-decline": 0.8, "strategy-395": 1.4}
TITLES = {
    "baseline": ("Baseline", "Базовый сценарий"),
    "s1-coal-paradigm": ("Coal paradigm <continued> & more", "Угольная парадигма"),
    "s2-interregional": ("Moderate growth, many industries, interregional cooperation",
                         "Умеренный рост, межрегиональная кооперация"),
    "s3-decline": ("Decline", "Спад"),
    "strategy-395": ("Official strategy, 395 Mt", "Стратегия, 395 млн т"),
}


@pytest.fixture(scope="session")
def results() -> RunResults:
    """Five scenarios, scored and compared as a run of the command line would."""
    run = simulate(load_model(model_path()))
    family = Family(load_indicators())
    statistics = {name: _annual(run, factor) for name, factor in FACTORS.items()}
    observed = _index(family, family.observed)
    lists = {name: family.index_of(run_indicators(family.indicators, table))
             for name, table in statistics.items()}
    observed_lists = family.index_of(family.observed)
    scenarios = {}
    for name, table in statistics.items():
        index = _index(family, run_indicators(family.indicators, table))
        title = dict(zip(("en", "ru"), TITLES[name], strict=True))
        scenarios[name] = ScenarioResult(name, title, run, table, index, _quantiles(lists[name]),
                                         index / 2.0)
    targets, distance = compare_targets(statistics)
    claims = index_claims({name: one.index for name, one in scenarios.items()}, observed,
                          {"observed": observed_lists, **lists})
    return RunResults(
        scenarios=scenarios,
        observed=_observed(),
        observed_index=observed,
        observed_family=_quantiles(observed_lists),
        published=data.read_table("index_published.csv"),
        comparison=Comparison(targets, distance, claims, data.fit_table(statistics["baseline"])),
        bands=_bands(statistics, scenarios),
        engine="PySD",
        manifest={"model": {"file": "kuzbass.mdl", "sha256": run.attrs["model_sha256"]},
                  "scenarios": {"baseline": {"title": "A & <b>"}}, "until": 2035, "seed": None},
        notes=("The horizon is <short> & made up.",),
    )


WIDTHS = dict(zip(QUANTILES, (0.9, 0.95, 1.0, 1.05, 1.1), strict=True))  # of the made-up bands


def _bands(
    statistics: dict[str, pd.DataFrame], scenarios: dict[str, ScenarioResult]
) -> Bands:
    parts, index = [], []
    shown = {*data.judged()["variable"], *data.read_table("targets.csv")["variable"]}
    for name, everything in statistics.items():
        table = everything[sorted(shown)]
        own = {f"{variable}": table[variable] for variable in table}
        own |= {f"{variable}, % of {year}": 100.0 * table[variable] / table.at[year, variable]
                for variable in table for year in (2000, 2019)}
        scored = scenarios[name].index
        own |= {"resilience index": scored["index"],
                **{f"resilience index {code}": scored[code] for code in "PCN"}}
        parts += [_spread(values, scenario=name, variable=variable, unit="")
                  for variable, values in own.items()]
        index += [_spread(scored["index"], scenario=name, source=source)
                  for source in ("parameters", "drivers", "all")]
    time = np.arange(CRISIS[0], CRISIS[1] + 0.01, 0.25)
    moments = [_spread(pd.Series(100.0, time), variable=name).rename(columns={"year": "time"})
               for name in CHAIN]
    return Bands(pd.concat(parts, ignore_index=True), pd.concat(index, ignore_index=True),
                 pd.concat(moments, ignore_index=True), "7 made-up parameters",
                 "5 drivers from 2025 on", (), {"runs": 99})


def _spread(values: pd.Series, **labels: str) -> pd.DataFrame:
    return pd.DataFrame({**labels, "year": values.index,
                         **{name: width * values.to_numpy() for name, width in WIDTHS.items()}})


def _annual(run: xr.Dataset, factor: float) -> pd.DataFrame:
    table = data.judged()
    basis = dict.fromkeys(map(str, run), "mean")
    basis |= dict(zip(table["variable"], table["basis"], strict=True))
    values = annual(run, basis)
    ramp = np.clip((values.index.to_numpy() - 2024) / 11.0, 0.0, None)
    return values.mul(1.0 + (factor - 1.0) * ramp, axis=0)


def _index(family: Family, values: pd.DataFrame) -> pd.DataFrame:
    return resilience(values, family.indicators, family.reference, family.default).index


def _quantiles(index: pd.DataFrame) -> pd.DataFrame:
    return pd.DataFrame({name: index.quantile(q, axis=1) for name, q in QUANTILES.items()})


def _observed() -> pd.DataFrame:
    table = data.read_table("observed.csv")
    parts = []
    for _, row in data.judged().iterrows():
        values = data.observed_for(row, table)
        parts.append(pd.DataFrame({
            **{column: row[column] for column in ("series", "variable", "label", "unit")},
            "year": values.index, "value": values.to_numpy()}))
    return pd.concat(parts, ignore_index=True)
