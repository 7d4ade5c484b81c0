"""The Python interface: the steps of ``kuzbass run`` one by one, on xarray and pandas objects."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Literal

import pandas as pd
import xarray as xr

from kuzbass.errors import InputError
from kuzbass.experiments import run as pipeline
from kuzbass.experiments import score as scoring
from kuzbass.experiments.results import Comparison
from kuzbass.region import resilience as scale
from kuzbass.region.scenario import Scenario, load_scenario
from kuzbass.sd.mdl import Model

__all__ = ["compare", "resilience", "simulate"]


def simulate(
    model: Model,
    scenario: Scenario | str | Path = "baseline",
    changes: Mapping[str, float | pd.Series] | None = None,
    *,
    engine: str = "auto",
    time_step: float | None = None,
    until: int = pipeline.END_YEAR,
) -> xr.Dataset:
    """Simulate a scenario.

    Parameters
    ----------
    model : Model
        From `kuzbass.load_model`.
    scenario : Scenario, str or Path
        From `kuzbass.load_scenario`, the name of a shipped scenario, or the path of a file.
    changes : mapping of str to float or pandas.Series, optional
        Overrides on top of the scenario: a constant, or a path indexed by time in years, in the
        unit of the variable.
    engine : {"auto", "kernel", "pysd"}
    time_step : float, optional
        In years, a power of one half; the model's if left out.
    until : int
        Last year of the run, 2000 to 2050.

    Returns
    -------
    xarray.Dataset
        One variable per model variable along ``time`` (years); attributes ``units``,
        ``comment``.

    Raises
    ------
    InputError, ModelError
        One message with file, key, value and what is allowed.
    """
    given = scenario if isinstance(scenario, Scenario) else load_scenario(scenario)
    return pipeline.simulate_scenario(model, given, changes, engine=engine, time_step=time_step,
                                      until=until)


def resilience(
    run: xr.Dataset,
    *,
    reading: Literal["A", "B"] = "A",
    indicators: str | Path | None = None,
) -> xr.Dataset:
    """Score a run by the resilience index.

    Parameters
    ----------
    run : xarray.Dataset
        From `simulate`.
    reading : {"A", "B"}
        Mean and deviation from the observed years 2000-2021 (A), or from these and the later
        years of the run (B).
    indicators : str or Path, optional
        Another list of indicators, laid out as ``data/indicators.csv``; all its rows that are no
        alternates are used, and there is no family of lists.

    Returns
    -------
    xarray.Dataset
        ``index``, ``P``, ``C``, ``N`` and, for the shipped list under reading A, the quantiles
        ``q05`` to ``q95`` over the admissible lists, along ``year``; index points (z-scores).

    Raises
    ------
    InputError
        Unknown reading, a broken list, or a run without a variable of the list.
    """
    if reading not in ("A", "B"):
        raise InputError("unknown reading", key="reading", value=reading, allowed="A or B")
    statistics = scoring.annual_statistics(run)
    if indicators is not None:
        table, note = _own_index(statistics, reading, Path(indicators)), "list of the user"
    else:
        scored, note = scoring.score(statistics), scale.RECONSTRUCTED
        table = (scored.reading_b if reading == "B" else
                 scored.index.join(scoring.family_quantiles(scored.lists)))
    result = xr.Dataset.from_dataframe(table.rename_axis("year"))
    for name in result.data_vars:
        result[name].attrs["units"] = "index points"
    return result.assign_attrs(reading=reading, note=note)


def compare(runs: Mapping[str, xr.Dataset]) -> Comparison:
    """Hold runs against the paper's targets, its claims on the index, and the history.

    Parameters
    ----------
    runs : mapping of str to xarray.Dataset
        By name of the scenario; targets and claims belong to ``s1-coal-paradigm``,
        ``s2-interregional`` and ``s3-decline``.

    Returns
    -------
    Comparison
        Tables ``targets``, ``distance``, ``index_claims`` and ``fit``, each with its units.

    Raises
    ------
    InputError
        No run, or a run that lacks a variable of the tables.
    """
    if not runs:
        raise InputError("nothing to compare", key="runs", allowed="at least one run")
    statistics = {name: scoring.annual_statistics(run) for name, run in runs.items()}
    return scoring.compare(statistics, {name: scoring.score(table)
                                        for name, table in statistics.items()})


def _own_index(
    statistics: pd.DataFrame, reading: Literal["A", "B"], file: Path
) -> pd.DataFrame:
    own = scale.load_indicators(file)
    statistics_of = scale.run_indicators(own, statistics)
    reference = scale.reference(scale.observed_indicators(own), reading, statistics_of)
    return scale.resilience(statistics_of, own, reference).index
