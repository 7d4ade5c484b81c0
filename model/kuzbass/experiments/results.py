"""What a run of scenarios gives: frozen tables, complete in themselves."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import pandas as pd
import xarray as xr

__all__ = ["CHAIN", "CRISIS", "QUANTILES", "Bands", "Comparison", "RunResults", "ScenarioResult"]

# The chain of the 2020 crisis, in the order in which the paper tells it, and the years around it.
CHAIN = ("world thermal price", "coal exports", "coal output", "coal revenue", "real GRP index",
         "own budget revenue", "real fixed investment", "employed")
CRISIS = (2018, 2022)
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
class Bands:
    """Bands of 50 and 90 % around scenarios, columns ``q05`` to ``q95``.

    Attributes
    ----------
    table : DataFrame
        Parameters and drivers vary: scenario, variable, unit, year.  Indices that are chained, and
        what the paper gives in percent of 2019, stand as ``NAME, % of YEAR`` of the run itself as
        well.  The index is that of the default list, but for ``resilience index, any list``.
    index : DataFrame
        The resilience index by scenario, source (``parameters``, ``drivers``, ``all``) and year;
        ``all`` takes any admissible list as well.
    moments : DataFrame
        `CHAIN` step by step through `CRISIS`, in percent of 2019, parameters vary: variable, time.
        Empty if the run does not reach it.
    parameters, drivers : str
        What varies, in plain words.
    notes : tuple of str
        What could not be varied.
    record : mapping
        Plan, runs and seed, for the manifest.
    """

    table: pd.DataFrame
    index: pd.DataFrame
    moments: pd.DataFrame
    parameters: str
    drivers: str
    notes: tuple[str, ...]
    record: Mapping[str, object]

    def of(self, scenario: str, variable: str) -> pd.DataFrame:
        """Return the rows of one scenario and variable; none if it has no bands."""
        return self._parts.get((scenario, variable), self.table.head(0))

    @cached_property
    def _parts(self) -> dict[tuple[str, str], pd.DataFrame]:
        # A report asks a few hundred times.
        parts = self.table.groupby(["scenario", "variable"], sort=False)
        return {(str(scenario), str(variable)): own for (scenario, variable), own in parts}


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
    bands : Bands
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
    bands: Bands
    engine: str
    manifest: Mapping[str, object]
    notes: tuple[str, ...] = ()
