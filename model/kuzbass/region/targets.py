"""Runs held against the targets of the paper (DOI 10.15372/REG20240202).

The targets are its authors' expert figures: nine indicators, three scenarios, three years.  The
model is not bent to hit them; a gap is a finding.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd

from kuzbass.errors import InputError
from kuzbass.region.data import read_table

__all__ = ["BASE_YEAR", "compare_targets"]

BASE_YEAR = 2019  # last year before the crisis; targets in percent are of this year
_COLUMNS = ["indicator", "variable", "scenario", "year", "unit", "simulated", "low", "high",
            "tolerance", "gap", "inside"]


def compare_targets(
    annual: Mapping[str, pd.DataFrame], table: pd.DataFrame | None = None
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Hold annual statistics against the targets.

    Parameters
    ----------
    annual : mapping of str to DataFrame
        By scenario: years by model variable (see `annual`).
    table : DataFrame, optional
        ``targets.csv``; by default the shipped one.

    Returns
    -------
    targets : DataFrame
        One row per target whose scenario and year were simulated (81 for a full run): indicator,
        variable, scenario, year, unit, simulated, low, high, tolerance, gap, inside.  A target in
        percent of 2019 is held against the same run's 2019.  ``gap`` is in the unit of the
        target, from the nearest end of its range: negative below, positive above, 0 in the range.
        ``inside`` allows the tolerance of the row, half of the last digit that the paper gives.
    distance : DataFrame
        One row per scenario: scenario, rows, inside (how many), rms_gap_relative (root mean
        square of the gaps, each as a share of the middle of its target).

    Raises
    ------
    InputError
        If a run lacks a variable, or the year 2019 of a target in percent of it.
    """
    table = read_table("targets.csv") if table is None else table
    rows = []
    for _, target in table.iterrows():
        run = annual.get(str(target["scenario"]))
        if run is None or target["year"] not in run.index:
            continue
        simulated = _simulated(target, run)
        low, high = float(target["low"]), float(target["high"])
        gap = simulated - min(max(simulated, low), high)
        rows.append(target.to_dict() | {
            "simulated": simulated, "gap": gap, "inside": abs(gap) <= target["tolerance"]})
    targets = pd.DataFrame(rows, columns=_COLUMNS)
    return targets, _distance(targets)


def _simulated(target: pd.Series, run: pd.DataFrame) -> float:
    name = str(target["variable"])
    if name not in run:
        raise InputError("the run lacks a variable of targets.csv", key=name)
    value = float(run[name].loc[target["year"]])
    if target["transform"] == "none":
        return value
    if BASE_YEAR not in run.index:
        raise InputError("the run lacks the base year of the targets", key=name, value=BASE_YEAR,
                         allowed=f"a run that covers {BASE_YEAR}")
    return 100.0 * value / float(run[name].loc[BASE_YEAR])


def _distance(targets: pd.DataFrame) -> pd.DataFrame:
    rows = []
    for scenario, own in targets.groupby("scenario", sort=False):
        relative = own["gap"] / ((own["low"] + own["high"]) / 2.0)
        rows.append({"scenario": scenario, "rows": len(own), "inside": int(own["inside"].sum()),
                     "rms_gap_relative": float(np.sqrt((relative**2).mean()))})
    return pd.DataFrame(rows, columns=["scenario", "rows", "inside", "rms_gap_relative"])
