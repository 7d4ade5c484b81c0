"""The wide fit: every constant with a range, from the centre of the ranges, to the training years.

The training fit moves a few constants and leaves the others where the file has them, and those
were chosen with all years in view.  Here no number that was fitted to later years is left, so its
hold-out is frozen in earnest.
"""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd

from kuzbass.experiments.calibration_plan import CalibrationPlan, likelihood
from kuzbass.experiments.calibration_runs import AnnualRuns, held_problem
from kuzbass.experiments.interface import DRIVERS, POLICIES, UNITS
from kuzbass.sd.battery.parameters import source_of
from kuzbass.sd.calibration import Parameter, Problem
from kuzbass.sd.mdl import Model

__all__ = ["CLAIMS", "wide_parameters", "wide_problem", "wide_table"]

# What is no estimate: conversions, decisions, cuts, and starts that follow from other constants.
_GROUPS = (DRIVERS, POLICIES, UNITS, "Loop switches")
_SOURCES = ("definition", "start of the model")

CLAIMS = {
    "training": "A few constants are fitted to the training years; all others stand as shipped, "
                "and those values were chosen with 2016-2021 in view. It shows whether the fitted "
                "constants are stable. It does not show that the model would have foreseen "
                "these years.",
    "wide": "All constants with a range are fitted to the training years, from the centre of the "
            "ranges; no shipped value of theirs enters. It shows what the structure alone "
            "foretells once its constants know the training years only. It is frozen, not blind: "
            "equations, ranges, tables and the starts of smoothed variables were written by people "
            "who knew 2016-2021.",
}


def wide_parameters(model: Model, prior: float) -> tuple[Parameter, ...]:
    """Return all constants that are estimates, with a normal prior around the centre of the range.

    Parameters
    ----------
    model : Model
    prior : float
        Standard deviation of the prior as a share of the range.
    """
    found = []
    for name, variable in model.variables.items():
        low, high = variable.lower, variable.upper
        if (variable.kind == "constant" and variable.group not in _GROUPS and low is not None
                and high is not None and low < high
                and not source_of(variable).startswith(_SOURCES)):
            found.append(Parameter(name, low, high, (low + high) / 2.0, prior * (high - low)))
    return tuple(found)


def wide_problem(
    plan: CalibrationPlan, model: Model, table: pd.DataFrame
) -> Problem:
    """Return the problem of fitting all of them to the training years."""
    parameters = wide_parameters(model, plan.wide.prior)
    likely, rows = likelihood(plan, table, plan.training)
    runs = AnnualRuns(model, [one.name for one in parameters], rows, plan.training)
    return held_problem(parameters, {}, runs, likely)


def wide_table(model: Model, parameters: Sequence[Parameter], values: dict[str, float]
               ) -> pd.DataFrame:
    """Return the wide fit beside the shipped values, one row per constant."""
    return pd.DataFrame([
        {"parameter": one.name, "unit": model.variables[one.name].unit, "lower": one.lower,
         "centre": one.mean, "upper": one.upper, "wide": values[one.name],
         "shipped": float(model.equations[one.name].ast)} for one in parameters])
