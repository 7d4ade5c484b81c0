"""What a run of scenarios gives: frozen tables, complete in themselves."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import pandas as pd
import xarray as xr

__all__ = ["QUANTILES", "Comparison", "RunResults", "ScenarioResult"]

QUANTILES = {"q05": 0.05, "q25": 0.25, "q50": 0.5, "q75": 0.75, "q95": 0.95}


@dataclass(frozen=True)
class ScenarioResult:
    """One scenario, simulated and scored.

    Attributes
    ----------
    name : str
        Name of the scenario.
    title : mapping of str to str
        ``en`` and ``ru``.
    run : xarray.Dataset
        Every variable on the full time grid; units in the attributes.
    annual : DataFrame
        Year by variable, in the units of `run`.  Year-end figures are those that
        ``judged.csv`` or the indicators take at the end of the year; the rest are means.
    index : DataFrame
        Year by ``index``, ``P``, ``C``, ``N``: default list of indicators, reading A.
    family : DataFrame
        Year by the `QUANTILES` of the index over all admissible lists of indicators, reading A.
    reading_b : DataFrame
        As `index`, under reading B.
    """

    name: str
    title: Mapping[str, str]
    run: xr.Dataset
    annual: pd.DataFrame
    index: pd.DataFrame
    family: pd.DataFrame
    reading_b: pd.DataFrame


@dataclass(frozen=True)
class Comparison:
    """Runs held against the paper's targets, its claims on the index, and the observed history.

    Attributes
    ----------
    targets : DataFrame
        One row per indicator, scenario and year: simulated value, low, high, gap, inside.
    distance : DataFrame
        One row per scenario: how many targets, how many inside, relative distance.
    index_claims : DataFrame
        One row per published claim and basis: published, simulated, verdict, family share.
    fit : DataFrame
        One row per judged series: fit of the history in the scenario `fit_of`.
    fit_of : str
        ``baseline``, or the first scenario of the run if the baseline is not among them.
    """

    targets: pd.DataFrame
    distance: pd.DataFrame
    index_claims: pd.DataFrame
    fit: pd.DataFrame
    fit_of: str = "baseline"


@dataclass(frozen=True)
class RunResults:
    """All scenarios of a run, the observed side, and the comparisons.

    Attributes
    ----------
    scenarios : mapping of str to ScenarioResult
        In the order in which they were asked for.
    observed : DataFrame
        Long: series, variable, label, unit, year, value; transformed as ``judged.csv`` says.
    observed_index, observed_family : DataFrame
        Index and family quantiles of the observed years 2000-2021.
    published : DataFrame
        ``index_published.csv``.
    comparison : Comparison
    engine : str
        The engine that made the runs.
    manifest : mapping
        What the run was made of: model, data, scenarios, time axis, versions.
    notes : tuple of str
        What a reader must know, such as a horizon too short for some of the comparisons.
    """

    scenarios: Mapping[str, ScenarioResult]
    observed: pd.DataFrame
    observed_index: pd.DataFrame
    observed_family: pd.DataFrame
    published: pd.DataFrame
    comparison: Comparison
    engine: str
    manifest: Mapping[str, object]
    notes: tuple[str, ...] = ()
