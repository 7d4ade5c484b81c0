"""Annual statistics of a run, its resilience index, and how both compare with what is known."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import pandas as pd
import xarray as xr

from kuzbass.experiments.results import QUANTILES, Comparison
from kuzbass.region.annual import annual_values, full_years
from kuzbass.region.claims import OBSERVED, index_claims
from kuzbass.region.data import fit_table, judged, observed_for, read_table
from kuzbass.region.resilience import (
    Family,
    load_indicators,
    reference,
    resilience,
    run_indicators,
)
from kuzbass.region.targets import compare_targets

__all__ = ["BASELINE", "Score", "annual_statistics", "compare", "family_quantiles",
           "index_family", "observed_index", "observed_lists", "observed_table", "score",
           "year_end_variables"]

BASELINE = "baseline"


@dataclass(frozen=True)
class Score:
    """The resilience index of one run.

    Attributes
    ----------
    index, reading_b : DataFrame
        Year by ``index``, ``P``, ``C``, ``N``: default list, readings A and B.
    lists : DataFrame
        Year by number of the admissible list: the index, reading A.
    """

    index: pd.DataFrame
    reading_b: pd.DataFrame
    lists: pd.DataFrame


@lru_cache(maxsize=1)
def index_family() -> Family:
    """Return the admissible lists of the shipped indicators."""
    return Family(load_indicators())


def year_end_variables() -> frozenset[str]:
    """Return the variables whose annual figure is that at the end of the year."""
    table = judged()
    indicators = index_family().indicators.variables
    return frozenset({*table.loc[table["basis"] == "end", "variable"],
                      *(name for name, basis in indicators.items() if basis == "end")})


def annual_statistics(run: xr.Dataset) -> pd.DataFrame:
    """Return the annual statistics of every variable of `run`, year by variable.

    Those of `year_end_variables` are taken at the end of the year; the rest are means over it.
    """
    at_end = year_end_variables()
    names, time = [str(name) for name in run.data_vars], run["time"].to_numpy()
    # All variables at once: one by one they take a second.
    steps = np.stack([run.variables[name].to_numpy() for name in names])
    values = annual_values(steps, time, "mean")
    rows = [number for number, name in enumerate(names) if name in at_end]
    values[rows] = annual_values(steps[rows], time, "end")
    return pd.DataFrame(values.T, pd.Index(full_years(time), name="year"), names)


def score(statistics: pd.DataFrame) -> Score:
    """Return the resilience index of annual statistics, on the observed scale of 2000-2021."""
    family = index_family()
    values = run_indicators(family.indicators, statistics)
    scale_b = reference(family.observed, "B", values)
    return Score(
        resilience(values, family.indicators, family.reference, family.default).index,
        resilience(values, family.indicators, scale_b, family.default).index,
        family.index_of(values),
    )


def family_quantiles(lists: pd.DataFrame) -> pd.DataFrame:
    """Return year by `QUANTILES` of the index over the admissible lists."""
    return pd.DataFrame({name: lists.quantile(level, axis=1) for name, level in QUANTILES.items()})


def compare(statistics: Mapping[str, pd.DataFrame], scores: Mapping[str, Score]) -> Comparison:
    """Hold runs against the targets, the claims on the index, and the observed history.

    Parameters
    ----------
    statistics, scores : mapping of str to DataFrame and Score
        By scenario.  What a run is too short for is left out of the comparisons.
    """
    targets, distance = compare_targets(statistics)
    claims = index_claims({name: one.index for name, one in scores.items()}, observed_index(),
                          {OBSERVED: observed_lists(),
                           **{name: one.lists for name, one in scores.items()}})
    fit_of = BASELINE if BASELINE in statistics else next(iter(statistics))
    return Comparison(targets, distance, claims, fit_table(statistics[fit_of]), fit_of)


def observed_index() -> pd.DataFrame:
    """Return the observed index, default list: year by ``index``, ``P``, ``C``, ``N``."""
    family = index_family()
    return resilience(family.observed, family.indicators, family.reference, family.default).index


def observed_lists() -> pd.DataFrame:
    """Return the observed index of every admissible list: year by number of the list."""
    return index_family().index_of(index_family().observed)


def observed_table() -> pd.DataFrame:
    """Return the observed side of every row of ``judged.csv`` as one long table."""
    observed = read_table("observed.csv")
    parts = []
    for _, row in judged().iterrows():
        values = observed_for(row, observed)
        parts.append(pd.DataFrame({
            **{name: row[name] for name in ("series", "variable", "label", "unit")},
            "year": values.index, "value": values.to_numpy(),
        }))
    return pd.concat(parts, ignore_index=True)
